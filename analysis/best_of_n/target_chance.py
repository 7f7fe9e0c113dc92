"""Chance that the best of n runs reaches a target, and the n that makes it likely.

From a pool of scores of runs of the same kind, without a model of their
distribution.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt
from scipy.stats import beta

from analysis.best_of_n.binomial import log_binomial
from analysis.best_of_n.expected_max import finite_scores
from analysis.checks import check_at_least, check_probability


@dataclasses.dataclass(frozen=True)
class TargetChance:
    """Chance that the best of n runs reaches a target.

    Attributes
    ----------
    unbiased : float
        Over subsets of n runs of the pool; NaN for n beyond the pool.
    plugin : float
        1 - (1 - share)^n, with the share of the pool that reaches the target.
    lower, upper : float
        The plug-in formula at the Clopper-Pearson limits of that share.
    """

    unbiased: float
    plugin: float
    lower: float
    upper: float


def chance_of_target(
    scores: npt.ArrayLike,
    target: float,
    n: int,
    *,
    level: float = 0.95,
    lower_is_better: bool = False,
) -> TargetChance:
    """Chance that the best of n new runs is at least as good as `target`.

    Parameters
    ----------
    scores : 1D array of B finite floats
        Scores of runs of the same kind.
    target : float
        Higher is better, unless `lower_is_better`.
    n : int, at least 1
        May exceed B.
    level : float in (0, 1)
        Of the interval, which is the one for the share of good runs.
    """
    check_at_least("n", n, 1)
    good, size = _reaching(scores, target, lower_is_better)
    low, high = _share_interval(good, size, level)
    missed = float(np.exp(log_binomial(size - good, n) - log_binomial(size, n))) if n <= size else 1
    return TargetChance(
        unbiased=1.0 - missed if n <= size else math.nan,
        plugin=1.0 - (1.0 - good / size) ** n,
        lower=1.0 - (1.0 - low) ** n,
        upper=1.0 - (1.0 - high) ** n,
    )


@dataclasses.dataclass(frozen=True)
class RunsNeeded:
    """Fewest runs for a chance of reaching a target; None where no number is enough.

    `at_best` and `at_worst` belong to the limits of the interval for the share
    of runs that reach the target.
    """

    expected: int | None
    at_best: int | None
    at_worst: int | None


def runs_for_target(
    scores: npt.ArrayLike,
    target: float,
    *,
    chance: float = 0.95,
    level: float = 0.95,
    lower_is_better: bool = False,
) -> RunsNeeded:
    """Fewest runs for which the best reaches `target` with probability `chance`.

    Parameters as for :func:`chance_of_target`; the plug-in formula is solved
    for n.
    """
    check_probability("chance", chance)
    good, size = _reaching(scores, target, lower_is_better)
    low, high = _share_interval(good, size, level)
    return RunsNeeded(
        _runs_at_share(good / size, chance),
        _runs_at_share(high, chance),
        _runs_at_share(low, chance),
    )


def _reaching(scores: npt.ArrayLike, target: float, lower_is_better: bool) -> tuple[int, int]:
    values = finite_scores(scores)
    good = values <= target if lower_is_better else values >= target
    return int(good.sum()), len(values)


def _share_interval(good: int, size: int, level: float) -> tuple[float, float]:
    check_probability("level", level)
    tail = (1 - level) / 2
    low = float(beta.ppf(tail, good, size - good + 1)) if good else 0.0
    high = float(beta.isf(tail, good + 1, size - good)) if good < size else 1.0
    return low, high


def _runs_at_share(share: float, chance: float) -> int | None:
    if share <= 0.0:
        return None
    if share >= 1.0:
        return 1
    return max(1, math.ceil(math.log1p(-chance) / math.log1p(-share) - 1e-9))
