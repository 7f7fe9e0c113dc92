"""Binomial coefficients as logarithms, so that no pool is too large for them.

Never returns a coefficient itself: `C(10000, 5000)` is beyond every float.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln


def log_binomial(n: npt.ArrayLike, k: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Natural logarithm of `C(n, k)`, minus infinity where there is no such subset.

    Parameters
    ----------
    n, k : integers or arrays of integers
        Broadcast against each other. `k` may lie outside `0..n`, and `n` may be
        negative: both mean that there is no such subset.

    Returns
    -------
    array of float64
        Relative error of the coefficient: about 1e-15 times `n log n`.
    """
    size, chosen = np.broadcast_arrays(np.asarray(n, np.int64), np.asarray(k, np.int64))
    possible = (chosen >= 0) & (chosen <= size)
    m = np.where(possible, size, 0)
    j = np.where(possible, chosen, 0)
    # Looked up, since log-gamma takes ten times as long as everything else here.
    log_factorial = gammaln(np.arange(1.0, m.max(initial=0) + 2))
    log = log_factorial[m] - log_factorial[j] - log_factorial[m - j]
    return np.where(possible, log, -np.inf)
