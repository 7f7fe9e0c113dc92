"""Almost stochastic order: the violation of one sample's dominance over another.

Own implementation of del Barrio, Cuesta-Albertos and Matran 2018 ("An optimal
transportation approach for assessing almost stochastic order") as Dror,
Shlomov and Reichart 2019 ("Deep Dominance") use it to compare models.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from analysis.best_of_n.expected_max import finite_scores
from analysis.checks import check_at_least, check_probability

Floats = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class StochasticOrder:
    """Violation of the stochastic dominance of A over B.

    ``violation_ratio`` is the estimate in [0, 1]: 0 when every quantile of A is
    at least B's. ``epsilon_min`` is its upper confidence limit at ``level``: A
    is called almost dominant where it is below a threshold tau (0.5 by the
    definition; 0.2 is a stricter habit).
    """

    violation_ratio: float
    epsilon_min: float
    level: float
    n_a: int
    n_b: int


def violation_ratio(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Share of the squared quantile distance on which A's quantile is below B's.

    Parameters
    ----------
    a, b : 1D arrays of finite floats
        Scores of which higher is better.

    Returns
    -------
    float in [0, 1]
        0 when A dominates, 1 when B does; swapping the arguments gives one
        minus it. 0.5 when both samples have the same quantiles, where the
        ratio is 0/0.
    """
    x, y = np.sort(finite_scores(a)), np.sort(finite_scores(b))
    i, j, width = _merged_grid(len(x), len(y))
    return float(_ratio(x[None, i], y[None, j], width)[0])


def almost_stochastic_order(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    generator: np.random.Generator,
    *,
    level: float = 0.95,
    resamples: int = 1_000,
) -> StochasticOrder:
    """Violation ratio of "A beats B" with its upper confidence limit.

    Parameters
    ----------
    a, b : 1D arrays of finite floats
        Scores of which higher is better.
    generator : numpy Generator
        Resamples both samples.
    level : float in (0, 1)
        Confidence of the limit.
    resamples : int
        Number of bootstrap samples, at least 100.

    Notes
    -----
    epsilon_min = ratio + z_level sigma / sqrt(nm/(n+m)), clipped to [0, 1], with sigma
    the bootstrap standard deviation of sqrt(nm/(n+m)) (ratio* - ratio). (The
    papers write minus z with the lower quantile.) The quantile functions are
    step functions, so their integrals are sums over the merged grid of i/n and
    j/m: nothing is discretised.
    """
    x, y = finite_scores(a), finite_scores(b)
    check_probability("level", level)
    check_at_least("resamples", resamples, 100)
    n, m = len(x), len(y)
    ratio = violation_ratio(x, y)
    i, j, width = _merged_grid(n, m)
    new_x = np.sort(x[generator.integers(n, size=(resamples, n))], axis=1)
    new_y = np.sort(y[generator.integers(m, size=(resamples, m))], axis=1)
    ratios = _ratio(new_x[:, i], new_y[:, j], width)
    # The factors sqrt(nm/(n+m)) of sigma and of the limit cancel.
    limit = ratio + float(norm.ppf(level)) * float(np.std(ratios - ratio))
    return StochasticOrder(ratio, float(np.clip(limit, 0.0, 1.0)), level, n, m)


def _merged_grid(n: int, m: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], Floats]:
    """Steps on which both quantile functions are constant: indices and widths."""
    # In units of 1/(n m), where both grids are whole numbers.
    edges = np.union1d(np.arange(0, n * m + 1, m), np.arange(0, n * m + 1, n))
    left = edges[:-1]
    return (left // m).astype(np.intp), (left // n).astype(np.intp), np.diff(edges) / (n * m)


def _ratio(x: Floats, y: Floats, width: Floats) -> Floats:
    gap = y - x
    squared = width * gap**2
    total = squared.sum(axis=1)
    below = np.where(gap > 0, squared, 0.0).sum(axis=1)
    result: Floats = np.full_like(total, 0.5)
    np.divide(below, total, out=result, where=total > 0)
    return result
