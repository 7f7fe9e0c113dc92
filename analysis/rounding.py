"""Whether numbers differ by more than rounding.

Scores that are all equal have a standard deviation of 1e-17 or so, because their mean is rounded.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

# Differences below this share of the largest magnitude are rounding.
ROUNDING = 1e-12


def varies(values: npt.ArrayLike) -> bool:
    """Whether finite values differ by more than 1e-12 times the largest of their magnitudes."""
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.size < 2:
        return False
    return bool(np.ptp(numbers) > ROUNDING * np.abs(numbers).max())


def spread(values: npt.ArrayLike) -> float:
    """Standard deviation (ddof 1) of finite values; 0 if they do not vary, NaN for fewer than two."""
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.size < 2:
        return float("nan")
    return float(numbers.std(ddof=1)) if varies(numbers) else 0.0
