"""Exact value of two-rung successive halving on a pool of recorded curves.

Start t runs, keep p1 of them at the first rung and p2 of those at the second.
Higher is better; callers negate other metrics.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from analysis.stopping.expectation import position_weights, stopping_expectation, tie_groups

FloatArray = npt.NDArray[np.float64]

# Tie-breaking orders are enumerated up to this many, and sampled beyond.
MOST_ENUMERATED = 150
# Positions of the best stopped run that are rarer than this are left out.
NEGLIGIBLE = 1e-15


@dataclasses.dataclass(frozen=True)
class HalvingValue:
    """Value of a two-rung plan.

    Attributes
    ----------
    expected : float
        Expected best score seen anywhere, or the chance of reaching the target.
    standard_error : float
        Of the average over sampled tie-breaking orders; 0 where exact.
    orders : int
        Number of tie-breaking orders at the first rung that were averaged.
    cost : float
        In full trainings.
    """

    expected: float
    standard_error: float
    orders: int
    cost: float


def halving_value(
    best_so_far: npt.ArrayLike,
    fractions: tuple[float, float],
    counts: tuple[int, int, int],
    *,
    target: float | None = None,
    orders: int = 5,
    generator: np.random.Generator | None = None,
) -> HalvingValue:
    """Exact expectation of two-rung successive halving, draws without replacement.

    Parameters
    ----------
    best_so_far : array of finite floats, shape (N, 3)
        Best score so far of every run of the pool at the first rung, at the
        second and at the end.
    fractions : pair of floats
        Fractions of training of the two rungs, increasing, in (0, 1).
    counts : three ints
        t, p1, p2: numbers of runs that start, pass the first rung and pass the second;
        N >= t > p1 > p2 >= 0.
    target : float, optional
        Return the chance that the best score is at least `target` instead.
    orders : int
        Number of tie-breaking orders to sample where there are too many.
    generator : numpy Generator, optional
        Needed only where tie-breaking orders must be sampled.

    Returns
    -------
    HalvingValue

    Raises
    ------
    ValueError
        An argument is outside its range, or a generator is needed and missing.

    Notes
    -----
    With the pool sorted at the first rung and the best run stopped there at
    position r + 1, the p1 others are a uniform p1-subset of the r runs before
    it: the second rung is a one-rung problem on that prefix, with no value below
    the one already seen. So the value is a sum over r of
    :func:`analysis.stopping.expectation.stopping_expectation`; ties at the second
    rung are exact in it. Ties at the first rung are averaged over all their
    orders where there are at most 150, and over `orders` random ones beyond.
    """
    curves = np.asarray(best_so_far, dtype=np.float64)
    if curves.ndim != 2 or curves.shape[1] != 3 or not np.isfinite(curves).all():
        raise ValueError(
            f"best_so_far has the shape {curves.shape}; allowed: finite numbers, one row per run, "
            "three columns (first rung, second rung, end)."
        )
    if np.any(np.diff(curves, axis=1) < 0):
        raise ValueError(
            "best_so_far falls along a row; allowed: best scores so far. Apply "
            "numpy.maximum.accumulate(scores, axis=1)."
        )
    t, p1, p2 = counts
    if not len(curves) >= t > p1 > p2 >= 0:
        raise ValueError(
            f"counts are {counts} on a pool of {len(curves)}; allowed: pool >= started > kept at "
            "the first rung > kept at the second >= 0."
        )
    f1, f2 = fractions
    if not 0.0 < f1 < f2 < 1.0:
        raise ValueError(f"fractions are {fractions}; allowed: two increasing ones in (0, 1).")
    weights = position_weights(len(curves), np.array([t]), p1)[0]
    order = np.argsort(-curves[:, 0], kind="stable")
    ranked = curves[order]
    values = ranked if target is None else (ranked >= target).astype(np.float64)
    results = [
        _value_in_order(ranked[o], values[o], weights, p1, p2)
        for o in _tie_orders(ranked[:, 0], orders, generator)
    ]
    sampled = _order_count(ranked[:, 0]) > MOST_ENUMERATED
    error = float(np.std(results, ddof=1) / math.sqrt(len(results))) if sampled else 0.0
    return HalvingValue(
        expected=float(np.mean(results)),
        standard_error=error,
        orders=len(results),
        cost=t * f1 + p1 * (f2 - f1) + p2 * (1 - f2),
    )


def _value_in_order(
    ranked: FloatArray, values: FloatArray, weights: FloatArray, p1: int, p2: int
) -> float:
    total = 0.0
    for r in np.flatnonzero(weights > NEGLIGIBLE).tolist():
        seen = np.maximum(values[:r], values[r, 0])
        total += weights[r] * stopping_expectation(ranked[:r, 1], seen[:, 1], seen[:, 2], p1, p2)
    return total / float(weights[weights > NEGLIGIBLE].sum())


def _order_count(keys: FloatArray) -> int:
    return math.prod(math.factorial(count) for count in tie_groups(keys)[1])


def _tie_orders(
    keys: FloatArray, orders: int, generator: np.random.Generator | None
) -> Iterator[npt.NDArray[np.int64]]:
    groups = [range(start, start + count) for start, count in zip(*tie_groups(keys), strict=True)]
    if _order_count(keys) <= MOST_ENUMERATED:
        for parts in itertools.product(*(itertools.permutations(group) for group in groups)):
            yield np.array([i for part in parts for i in part], dtype=np.int64)
        return
    if generator is None or orders < 2:
        raise ValueError(
            f"the pool has more than {MOST_ENUMERATED} tie-breaking orders at the first rung, "
            f"generator is {generator} and orders {orders}; pass generator="
            "numpy.random.default_rng(SEED) and at least 2 orders to sample them."
        )
    for _ in range(orders):
        yield np.concatenate([generator.permutation(np.array(group)) for group in groups])
