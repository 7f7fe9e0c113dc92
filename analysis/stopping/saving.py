"""Does a smaller budget with early stopping reach what plain runs reach? With a margin for chance.

The curve of values over budgets is noisy, so its first crossing of the plain runs' value is no
evidence. Here plan and budget are chosen on one half of the runs and judged on the other, against the
plain runs of that half.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import t as student

from analysis.best_of_n.expected_max import best_of_weights
from analysis.checks import check_at_least, check_probability
from analysis.data.curves import CurvePool, curve_pools
from analysis.stopping.plans import Plans
from analysis.stopping.resampled_values import ResampledPool
from analysis.stopping.value import best_plan, exact_values, pool_plans

FloatArray = npt.NDArray[np.float64]

COLUMNS = [
    "task",
    "recipe",
    "reference",
    "budget",
    "split_half",
    "split_half_baseline",
    "gain",
    "gain_lower",
    "saves",
]
# A half of more runs is judged on so many of them: the margin's cost grows with the square.
MOST_JUDGED = 200


def saving_table(
    curves: pd.DataFrame,
    reference: int,
    *,
    generator: np.random.Generator,
    splits: int = 5,
    resamples: int = 100,
    level: float = 0.95,
    lower_is_better: bool = False,
) -> pd.DataFrame:
    r"""Budgets with early stopping that reach the expected best of `reference` plain runs.

    Parameters
    ----------
    curves : DataFrame
        As for :func:`analysis.stopping.value.early_stopping_table`.
    reference : int, at least 1
        Number of plain runs. Pools of fewer than twice as many runs have no rows.
    generator : numpy Generator
        Halves the pools and resamples their runs.
    splits : int
        Number of random halvings, both ways each.
    resamples : int, at least 20
        Bootstrap resamples of each half.
    level : float in (0, 1)
        Level of the one-sided margin.
    lower_is_better : bool

    Returns
    -------
    DataFrame
        One row per budget from 1 to `reference`: ``task, recipe, reference, budget, split_half,
        split_half_baseline, gain, gain_lower, saves``.

        ``split_half`` is the value of the budget's best plan, chosen on one half of the runs and
        evaluated on the other; ``split_half_baseline`` the expected best of `reference` plain runs
        of the same halves. ``gain`` is their difference, positive if the plan is better, and
        ``gain_lower`` its lower limit; NaN below the largest budget without a clear gain.
        ``saves``: the budget is at least the one that the halves
        chose, and ``gain_lower`` is above 0 for it and for every larger budget.

    Notes
    -----
    Each half chooses the smallest budget from which on its plans reach its plain runs. The median
    over halves is the least budget that may be claimed. A halving's gain is the mean of
    both ways, and its error :math:`\sqrt{s_1^2 + s_2^2} / 2` from bootstrap standard deviations over the
    runs of the judging halves (plans stay as they were chosen). The error of the mean over
    halvings is the mean error, because halvings share their runs. The margin is Student's quantile
    for half of the runs, less one. Budgets are tested from the largest one down to the first that
    fails, so the level needs no correction for many (fixed-sequence test: Maurer, Hothorn and
    Lehmacher 1995). Simulated false claims are in `experiments/inference`.
    """
    check_at_least("reference", reference, 1)
    check_at_least("splits", splits, 1)
    check_at_least("resamples", resamples, 20)
    check_probability("level", level)
    frames = [
        _pool_saving(pool, reference, generator, splits, resamples, level)
        for pool in curve_pools(curves, lower_is_better=lower_is_better)
        if len(pool.runs) >= 2 * reference
    ]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=COLUMNS)


@dataclasses.dataclass(frozen=True)
class _Judged:
    """One half of a pool, and the plans that the other half chose for budgets 1, 2, ...

    `picks` are indices of plans, or None for plain runs. `values` are the plans' values on this half.
    """

    best_so_far: FloatArray
    picks: list[int | None]
    values: FloatArray
    plain: float


def _pool_saving(
    pool: CurvePool,
    reference: int,
    generator: np.random.Generator,
    splits: int,
    resamples: int,
    level: float,
) -> pd.DataFrame:
    half = min(len(pool.runs) // 2, MOST_JUDGED)
    budgets = np.arange(1, reference + 1)
    plans = pool_plans(pool, budgets.tolist(), 0.0).within(half)
    halvings: list[list[_Judged]] = []
    chosen: list[int] = []
    for _ in range(splits):
        order = generator.permutation(len(pool.runs))
        parts = [pool.best_so_far[order[:half]], pool.best_so_far[order[half : 2 * half]]]
        found = [_choices(part, plans, budgets.tolist()) for part in parts]
        chosen += [smallest for _, smallest, _, _ in found]
        halvings.append(
            [
                _judged(part, picks, values, plain)
                for part, (picks, *_), (_, _, values, plain) in zip(
                    parts, found[::-1], found, strict=True
                )
            ]
        )
    judged = [part for both in halvings for part in both]
    value = np.mean([part.values for part in judged], axis=0)
    plain = float(np.mean([part.plain for part in judged]))
    gain = value - plain
    margin = float(student.ppf(level, max(half - 1, 1)))
    lower = np.full(reference, np.nan)
    # From the largest budget down to the first without a clear gain: the others save nothing.
    for k in range(reference - 1, -1, -1):
        if gain[k] <= 0:
            break
        errors = [_error(both, k, plans, generator, resamples) for both in halvings]
        lower[k] = gain[k] - margin * float(np.mean(errors))
        if lower[k] <= 0:
            break
    return pd.DataFrame(
        {
            "task": pool.task,
            "recipe": pool.recipe,
            "reference": reference,
            "budget": budgets,
            "split_half": pool.sign * value,
            "split_half_baseline": pool.sign * plain,
            "gain": gain,
            "gain_lower": lower,
            "saves": (lower > 0) & (budgets >= math.ceil(float(np.median(chosen)))),
        }
    )


def _choices(
    best_so_far: FloatArray, plans: Plans, budgets: list[int]
) -> tuple[list[int | None], int, FloatArray, FloatArray]:
    """The best plan of every budget, the smallest budget that is enough, and all exact values.

    That budget is the smallest one from which on the best values reach the last one's plain runs.
    """
    values, plain = exact_values(best_so_far, plans, budgets)
    picks = [
        best_plan(plans, values, budget, base) for budget, base in zip(budgets, plain, strict=True)
    ]
    best = np.array([plain[k] if at is None else values[at] for k, at in enumerate(picks)])
    short = np.flatnonzero(best < plain[-1] - 1e-12)
    return picks, int(short[-1]) + 2 if short.size else 1, values, plain


def _judged(
    best_so_far: FloatArray, picks: list[int | None], values: FloatArray, plain: FloatArray
) -> _Judged:
    kept = [plain[k] if at is None else values[at] for k, at in enumerate(picks)]
    return _Judged(best_so_far, picks, np.array(kept), float(plain[-1]))


def _error(
    both: list[_Judged], k: int, plans: Plans, generator: np.random.Generator, resamples: int
) -> float:
    """Standard error of the mean gain of both halves at the budget k + 1."""
    variances = []
    for part in both:
        size, at = len(part.best_so_far), part.picks[k]
        ends = part.best_so_far[:, -1]
        drawn = generator.integers(size, size=(resamples, size))
        counts = [k + 1, len(part.picks)]
        value, plain = best_of_weights(size, counts) @ np.sort(ends[drawn], axis=1).T
        if at is not None:
            pool = ResampledPool(part.best_so_far[:, plans.evaluation[at]], ends, drawn)
            value = pool.values(int(plans.started[at]), int(plans.continued[at]))
        variances.append(float(np.var(value - plain, ddof=1)))
    return math.sqrt(sum(variances)) / len(both)
