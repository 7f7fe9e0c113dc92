"""Chance that sorted uniform random numbers stay between given boundaries, exactly.

The deterministic core of the simultaneous bands in :mod:`analysis.best_of_n.bands`. It
draws no random numbers.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

FloatArray = npt.NDArray[np.float64]


def stay_probability(lower: npt.ArrayLike, upper: npt.ArrayLike) -> float:
    """P(lower[i] <= U_(i) <= upper[i] for all i) for n sorted uniform numbers.

    Parameters
    ----------
    lower, upper : 1D arrays of n floats in [0, 1]
        Bounds of the order statistics, smallest first. They need not be sorted:
        a bound implies itself for every larger (lower) or smaller (upper) one.

    Returns
    -------
    float in [0, 1]
        With an absolute error of about 1e-13 (Kolmogorov-Smirnov law at n = 250).

    Raises
    ------
    ValueError
        The bounds are not two 1D arrays of one length with values in [0, 1].

    Notes
    -----
    Poissonisation, as in Moscovich and Nadler (2017, "Fast calculation of
    boundary crossing probabilities for Poisson processes"): given that a Poisson
    process of rate n on [0, 1] has n points, the points are sorted uniform
    numbers. The event says that the count is below i up to ``lower[i]`` and has
    reached i by ``upper[i]``. The boundary times are visited in order. At each, the
    law of the count is convolved with the Poisson law of the step, and the counts
    that have crossed get probability 0. The end divides by P(n points). The
    cost is O(n w) with w the width of the live range, about the band's width.
    """
    low, high = np.asarray(lower, np.float64), np.asarray(upper, np.float64)
    if low.ndim != 1 or low.shape != high.shape or low.size == 0:
        raise ValueError(
            f"lower and upper have the shapes {low.shape} and {high.shape}; allowed: one "
            "dimension, the same length, at least one bound."
        )
    # Written so that NaN is refused, too.
    if not (np.all((low >= 0) & (low <= 1)) and np.all((high >= 0) & (high <= 1))):
        raise ValueError("lower and upper hold values outside [0, 1]; clip them to [0, 1].")
    low = np.maximum.accumulate(low)
    high = np.minimum.accumulate(high[::-1])[::-1]
    if np.any(low > high) or low[-1] >= 1.0 or high[0] <= 0.0:
        return 0.0

    n = low.size
    times = np.unique(np.concatenate([low[low > 0], high[high < 1], [1.0]]))
    ceilings = np.searchsorted(low, times, side="left")
    floors = np.searchsorted(high, times, side="right")
    floors[-1] = ceilings[-1] = n  # all n points have arrived by time 1

    means = n * np.diff(times, prepend=0.0)
    first, alive = 0, np.ones(1)  # P(count = first, first + 1, ...; not crossed)
    for mean, floor, ceiling in zip(
        means.tolist(), floors.tolist(), ceilings.tolist(), strict=True
    ):
        law = _poisson_law(mean, ceiling - first)
        arrived = np.convolve(alive, law)[: ceiling - first + 1]
        alive = arrived[max(floor - first, 0) :]
        first = max(floor, first)
        if alive.size == 0:
            return 0.0
    total = float(alive[n - first]) if n - first < alive.size else 0.0
    return min(1.0, total / math.exp(n * math.log(n) - n - math.lgamma(n + 1)))


def _poisson_law(mean: float, largest: int) -> FloatArray:
    # Beyond mean + 10 sd + 16 the law is below 1e-20, even for small means.
    top = min(largest, math.ceil(mean + 10.0 * math.sqrt(mean) + 16.0))
    counts = np.arange(max(top, 0) + 1)
    return np.asarray(np.exp(counts * math.log(mean) - mean - gammaln(counts + 1.0)))
