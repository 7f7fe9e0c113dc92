"""Does a smaller budget with early stopping reach what plain runs reach? With a margin for chance.

The curve of values over budgets is noisy, so its first crossing of the plain runs' value is no
evidence. Here plan and budget are chosen on one half of the runs and judged on the other, against the
plain runs of that half.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import t as student

from analysis.best_of_n.expected_max import expected_max
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
        ``gain_lower`` its lower limit. ``saves``: the budget is at least the one that the halves
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


def _pool_saving(
    pool: CurvePool,
    reference: int,
    generator: np.random.Generator,
    splits: int,
    resamples: int,
    level: float,
) -> pd.DataFrame:
    half = min(len(pool.runs) // 2, MOST_JUDGED)
    budgets = list(range(1, reference + 1))
    plans = pool_plans(pool, budgets, 0.0).within(half)
    values, plain, errors = (np.zeros((splits, reference)) for _ in range(3))
    chosen: list[int] = []
    for k in range(splits):
        order = generator.permutation(len(pool.runs))
        parts = [pool.best_so_far[order[:half]], pool.best_so_far[order[half : 2 * half]]]
        surfaces = [exact_values(part, plans, budgets) for part in parts]
        squares = np.zeros(reference)
        for choosing, judging in ((0, 1), (1, 0)):
            picks = [
                best_plan(plans, surfaces[choosing][0], budget, base)
                for budget, base in zip(budgets, surfaces[choosing][1], strict=True)
            ]
            chosen.append(_first_budget(picks, *surfaces[choosing]))
            found, base = surfaces[judging]
            values[k] += [base[i] if at is None else found[at] for i, at in enumerate(picks)]
            plain[k] += base[-1]
            squares += _squared_errors(parts[judging], plans, picks, generator, resamples)
        values[k], plain[k], errors[k] = values[k] / 2, plain[k] / 2, np.sqrt(squares) / 2
    gain = (values - plain).mean(axis=0)
    margin = float(student.ppf(level, max(half - 1, 1)))
    lower = gain - margin * errors.mean(axis=0)
    clear = np.logical_and.accumulate((lower > 0)[::-1])[::-1]
    return pd.DataFrame(
        {
            "task": pool.task,
            "recipe": pool.recipe,
            "reference": reference,
            "budget": budgets,
            "split_half": pool.sign * values.mean(axis=0),
            "split_half_baseline": pool.sign * plain.mean(axis=0),
            "gain": gain,
            "gain_lower": lower,
            "saves": clear & (np.array(budgets) >= math.ceil(float(np.median(chosen)))),
        }
    )


def _first_budget(picks: list[int | None], values: FloatArray, plain: FloatArray) -> int:
    """Smallest budget from which on every best value reaches that of the largest budget's plain runs."""
    best = np.array([plain[k] if at is None else values[at] for k, at in enumerate(picks)])
    short = np.flatnonzero(best < plain[-1] - 1e-12)
    return int(short[-1]) + 2 if short.size else 1


def _squared_errors(
    best_so_far: FloatArray,
    plans: Plans,
    picks: list[int | None],
    generator: np.random.Generator,
    resamples: int,
) -> FloatArray:
    """Bootstrap variances of the gain over the last budget's plain runs, one per budget."""
    size = len(best_so_far)
    drawn = generator.integers(size, size=(resamples, size))
    ends = best_so_far[:, -1][drawn]
    plain = np.stack([expected_max(row, range(1, len(picks) + 1)) for row in ends])
    pools: dict[int, ResampledPool] = {}
    variances = np.zeros(len(picks))
    for k, at in enumerate(picks):
        value = plain[:, k]
        if at is not None:
            evaluation = int(plans.evaluation[at])
            if evaluation not in pools:
                pools[evaluation] = ResampledPool(
                    best_so_far[:, evaluation], best_so_far[:, -1], drawn
                )
            value = pools[evaluation].values(int(plans.started[at]), int(plans.continued[at]))
        variances[k] = np.var(value - plain[:, -1], ddof=1)
    return variances
