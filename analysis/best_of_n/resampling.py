"""Bootstrap samples of runs that share seeds: whole init seeds and whole order seeds are drawn."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd


def resampled_counts(
    runs: pd.DataFrame, generator: np.random.Generator, samples: int
) -> npt.NDArray[np.int64]:
    """How often each run is in each bootstrap sample.

    Parameters
    ----------
    runs : DataFrame
        One row per run, with ``init_seed`` and ``order_seed``.
    generator : numpy Generator
    samples : int
        Number of bootstrap samples.

    Returns
    -------
    array of int64, shape (samples, runs)
        Where every run has seeds of its own, runs are drawn. Otherwise init seeds and order seeds
        are drawn apart, with replacement, and a run counts as often as the product of its seeds'
        counts. A factor with one seed is kept as it is. Samples without any run, which only grids
        with missing cells have, are left out.

    Notes
    -----
    The pigeonhole bootstrap (Owen 2007, Annals of Applied Statistics 1, 386-411): the variance of a
    mean is not underestimated where both factors matter.
    """
    init, order = (pd.factorize(runs[factor])[0] for factor in ("init_seed", "order_seed"))
    n, a, b = len(runs), int(init.max()) + 1, int(order.max()) + 1
    if a == n or b == n:
        return np.asarray(_drawn(generator, n, samples))
    rows, columns = _drawn(generator, a, samples), _drawn(generator, b, samples)
    counts = rows[:, init] * columns[:, order]
    return np.asarray(counts[counts.sum(axis=1) > 0])


def _drawn(generator: np.random.Generator, size: int, samples: int) -> npt.NDArray[np.int64]:
    return np.asarray(generator.multinomial(size, np.full(size, 1.0 / size), size=samples))
