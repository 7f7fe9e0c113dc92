"""Exact distribution of the outcome of one early-stopping plan, with its P(target).

Draws with or without replacement, ties broken uniformly at random and averaged
exactly. It draws no random numbers. Higher is better; callers negate other
metrics. Whole surfaces of expectations are in :mod:`analysis.stopping.expectation`.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
from scipy.special import betaln

from analysis.best_of_n.binomial import log_binomial
from analysis.best_of_n.expected_max import finite_scores
from analysis.errors import OptionError
from analysis.stopping.expectation import position_weights, tie_groups

FloatArray = npt.NDArray[np.float64]

# Quadrature nodes whose weight is below this cannot change a probability.
NEGLIGIBLE = 1e-19


@dataclasses.dataclass(frozen=True)
class OutcomeLaw:
    """Law of a discrete outcome.

    Attributes
    ----------
    values : array of L increasing floats
    cdf : array of L floats in [0, 1]
        P(outcome <= value), the last one 1.
    """

    values: FloatArray
    cdf: FloatArray

    @property
    def mean(self) -> float:
        """Expected outcome."""
        return float(self.values[-1] - np.diff(self.values) @ self.cdf[:-1])

    def reach(self, target: float) -> float:
        """P(outcome >= target)."""
        below = int(np.searchsorted(self.values, target, side="left"))
        return 1.0 if below == 0 else float(1.0 - self.cdf[below - 1])

    def quantile(self, level: float) -> float:
        """Smallest value that the outcome does not exceed with probability `level`."""
        if not 0.0 <= level <= 1.0:
            raise OptionError(f"level is {level}; allowed: a probability in [0, 1].")
        # Rounding must not push the level above the last step.
        at = int(np.searchsorted(self.cdf, level - 1e-12, side="left"))
        return float(self.values[min(at, len(self.values) - 1)])


def stopping_distribution(
    at_fraction: npt.ArrayLike,
    at_end: npt.ArrayLike,
    started: int,
    continued: int,
    *,
    replacement: bool = False,
) -> OutcomeLaw:
    r"""Law of the best score when t runs are started and the best p are continued.

    Parameters
    ----------
    at_fraction, at_end : 1D arrays of N finite floats
        Best score so far of every run of the pool, at the fraction where it is
        ranked and at the end (at least as large).
    started : int
        t, from 1 on; at most N without replacement.
    continued : int
        p, from 0 to t; with p = t no run is stopped.
    replacement : bool
        Draw the t runs with replacement. The Monte Carlo of Dodge et al. 2020
        estimates this; as an estimate for new runs it is biased low.

    Returns
    -------
    OutcomeLaw
        The outcome is the best score seen anywhere, stopped runs included.

    Raises
    ------
    OptionError
        `started` or `continued` is outside its range.
    ValueError
        The scores differ in number, or one at the end is below that at the fraction.

    Notes
    -----
    Without replacement as derived in
    :func:`analysis.stopping.expectation.stopping_expectation`. With replacement, lay
    the pool on [0, 1] in the order of its ranks: the best stopped draw is at
    U ~ Beta(p + 1, t - p), and given U = u the continued ones are independent
    draws from [0, u]. A tie group of n runs below A others is an interval in
    which every draw is any of its members, so that

    .. math:: F(y) = \sum_k \int_{k} \mathrm{beta}(u)
              \left\{\frac{G_k(y) + (uN - A_k)\, g_k(y) / n_k}{uN}\right\}^p du,

    over the groups k with a_k <= y: on each a polynomial of degree t - 1 in u,
    which Gauss-Legendre quadrature with t/2 nodes integrates exactly.
    """
    a, b = finite_scores(at_fraction), finite_scores(at_end)
    size = len(a)
    if a.shape != b.shape or np.any(b < a):
        raise ValueError(
            f"at_fraction and at_end have {len(a)} and {len(b)} scores; allowed: best scores so "
            "far of the same runs, at the end at least as large. Apply numpy.maximum.accumulate."
        )
    if started < 1 or not (replacement or started <= size):
        most = "" if replacement else f" to {size}, the size of the pool"
        raise OptionError(f"started is {started}; allowed: whole numbers from 1{most or ' on'}.")
    if not 0 <= continued <= started:
        raise OptionError(
            f"continued is {continued}; allowed: whole numbers from 0 to the number started, "
            f"{started}."
        )
    values = np.unique(np.concatenate([a, b]))
    if continued == started:
        ends = np.searchsorted(np.sort(b), values, side="right")
        if replacement:
            return OutcomeLaw(values, (ends / size) ** started)
        return OutcomeLaw(values, np.exp(log_binomial(ends, started) - log_binomial(size, started)))
    order = np.argsort(-a, kind="stable")
    law = _with_replacement if replacement else _without_replacement
    cdf = law(a[order], b[order], values, started, continued)
    return OutcomeLaw(values, np.clip(cdf / cdf[-1], 0.0, 1.0))


def _without_replacement(
    a: FloatArray, b: FloatArray, values: FloatArray, t: int, p: int
) -> FloatArray:
    size = len(a)
    log = log_binomial(np.arange(size + 1)[:, None], np.arange(p + 1))
    weights = position_weights(size, np.array([t]), p)[0]
    cdf = np.zeros(len(values))
    for start, count in zip(*tie_groups(a), strict=True):
        # Positions with fewer than p runs before them cannot be the best stopped one.
        least = max(p - start, 0)
        if least >= count:
            continue
        first = int(np.searchsorted(values, a[start]))
        levels = values[first:]
        above = np.searchsorted(np.sort(b[:start]), levels, side="right")
        inside = np.searchsorted(np.sort(b[start : start + count]), levels, side="right")
        taken = np.arange(min(count - 1, p) + 1)
        part = np.exp(log[inside][:, taken] - log[count, taken])
        # C(reach, .) is the scale that keeps C(G, .) within the floats.
        reach = start + count
        rest = np.exp(log[above][:, p - taken] - log[reach, p - taken])
        chance = np.exp(
            log[least:count, taken] + log[reach, p - taken] - log[start + least : reach, p][:, None]
        )
        cdf[first:] += (part * rest) @ (weights[start + least : reach] @ chance)
    return cdf


def _with_replacement(
    a: FloatArray, b: FloatArray, values: FloatArray, t: int, p: int
) -> FloatArray:
    size = len(a)
    nodes, node_weights = np.polynomial.legendre.leggauss((t + 1) // 2)
    cdf = np.zeros(len(values))
    for start, count in zip(*tie_groups(a), strict=True):
        first = int(np.searchsorted(values, a[start]))
        levels = values[first:]
        above = np.searchsorted(np.sort(b[:start]), levels, side="right")
        inside = np.searchsorted(np.sort(b[start : start + count]), levels, side="right")
        # Position within the group, and density of the best stopped draw there.
        offset = (nodes + 1) / 2 * count
        u = (start + offset) / size
        density = np.exp(p * np.log(u) + (t - p - 1) * np.log1p(-u) - betaln(p + 1, t - p))
        weights = density * node_weights / 2 * count / size
        kept = weights > NEGLIGIBLE
        if not kept.any():
            continue
        good = above[:, None] + inside[:, None] * (offset[kept] / count)
        cdf[first:] += (good / (size * u[kept])) ** p @ weights[kept]
    return cdf
