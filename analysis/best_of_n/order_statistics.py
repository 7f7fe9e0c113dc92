"""Intervals for the quantile levels of order statistics, which are beta distributed.

The i-th smallest of n scores of a continuous distribution sits at a quantile
level that is Beta(i, n + 1 - i). Each function returns one interval per i.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, betaincinv, betaln, log_expit, ndtri

FloatArray = npt.NDArray[np.float64]


def equal_tailed_intervals(size: int, miss: float) -> tuple[FloatArray, FloatArray]:
    """Intervals of Beta(i, size + 1 - i), i = 1..size, with ``miss / 2`` in either tail.

    Parameters
    ----------
    size : positive int
        Number of scores n.
    miss : float in (0, 1)
        One minus the coverage of each interval.

    Returns
    -------
    lower, upper : arrays of float64, shape (size,), in [0, 1]
    """
    rank = np.arange(1.0, size + 1)
    lower = np.asarray(betaincinv(rank, size + 1 - rank, miss / 2), dtype=np.float64)
    # The law of the i-th largest is that of one minus the i-th smallest.
    return lower, 1.0 - lower[::-1]


def highest_density_intervals(size: int, miss: float) -> tuple[FloatArray, FloatArray]:
    r"""Shortest intervals of Beta(i, size + 1 - i), i = 1..size, missing `miss` each.

    Parameters and results as for :func:`equal_tailed_intervals`. The smallest
    and the largest score have one-sided intervals; with a single score, whose
    law is uniform, no interval is the shortest and the equal-tailed one is
    returned.

    Notes
    -----
    An inner interval is :math:`\{x: \log f(x) \geq \log f(mode) - s\}`. In
    :math:`z = \log x/(1-x)` the function :math:`(i-1) \log x + (n-i) \log (1-x)`
    is concave with linear tails, so Newton's method for the end points
    converges from any start beyond the mode, monotonically after one step; an
    outer Newton iteration on the logarithm of the missed probability finds s.
    """
    if size == 1:
        return equal_tailed_intervals(size, miss)
    lower, upper = np.zeros(size), np.ones(size)
    upper[0] = -np.expm1(np.log(miss) / size)
    lower[-1] = np.exp(np.log(miss) / size)
    if size > 2:
        lower[1:-1], upper[1:-1] = _inner(size, miss)
    return lower, upper


def _inner(size: int, miss: float) -> tuple[FloatArray, FloatArray]:
    rank = np.arange(2.0, size)
    left, right = rank - 1, size - rank  # exponents of x and 1 - x
    total = size - 1.0
    mode = np.log(left) - np.log(right)  # in z
    peak = left * log_expit(mode) + right * log_expit(-mode)
    scale = np.sqrt(total / (left * right))  # normal approximation of the width in z
    depth = np.full(rank.size, ndtri(miss / 2) ** 2 / 2)
    # Newton takes 4 or 5 rounds for any size and miss tried (2..10,000; 1e-12..0.99).
    for _ in range(30):
        low = _edge(left, right, total, mode, peak, depth, -scale)
        high = _edge(left, right, total, mode, peak, depth, scale)
        x, y = np.exp(log_expit(low)), np.exp(log_expit(-high))  # y counts from above
        missed = betainc(rank, right + 1, x) + betainc(right + 1, rank, y)
        density = np.exp(peak - depth - betaln(rank, right + 1))
        slope = density * (x * (1 - x) / (left - total * x) + y * (1 - y) / (right - total * y))
        step = missed / slope * np.log(missed / miss)
        # At least half of the depth is kept, so that it stays positive.
        depth = np.maximum(depth + step, depth / 2)
        # Convergence is quadratic: after such a step only rounding errors remain.
        if np.all(np.abs(step) <= 1e-9 * depth):
            break
    return x, 1.0 - y


def _edge(
    left: FloatArray,
    right: FloatArray,
    total: float,
    mode: FloatArray,
    peak: FloatArray,
    depth: FloatArray,
    direction: FloatArray,
) -> FloatArray:
    z = mode + direction * np.sqrt(2 * depth)
    for _ in range(60):
        x = np.exp(log_expit(z))
        excess = left * log_expit(z) + right * log_expit(-z) - peak + depth
        step = excess / (left - total * x)
        z = z - step
        if np.all(np.abs(step) <= 1e-9 * (1 + np.abs(z))):
            break
    return z
