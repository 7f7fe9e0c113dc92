"""Value of early stopping per budget: the best plan, its baseline, its split-half value.

Exact expectations over draws without replacement from the recorded runs
(:mod:`analysis.stopping.expectation`). The only randomness is the halving of the pool,
which evaluates a plan on runs that had no part in its choice.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.best_of_n.expected_max import expected_max
from analysis.checks import check_at_least
from analysis.data.curves import CurvePool, curve_pools
from analysis.stopping.expectation import stopping_surface
from analysis.stopping.plans import Plans, affordable_plans

FloatArray = npt.NDArray[np.float64]

COLUMNS = [
    "task",
    "recipe",
    "budget",
    "started",
    "fraction",
    "continued",
    "expected_best",
    "baseline",
    "relative_error_reduction",
    "split_half",
    "split_half_plans",
    "split_half_most",
]
MOST_STARTED = 200


def early_stopping_table(
    curves: pd.DataFrame,
    *,
    generator: np.random.Generator,
    budgets: Sequence[int] = range(1, 31),
    target: float | None = None,
    splits: int = 5,
    slack: float = 0.0,
    perfect_score: float | None = None,
    lower_is_better: bool = False,
) -> pd.DataFrame:
    """Best early-stopping plan for every budget, and the plain runs that it replaces.

    Parameters
    ----------
    curves : DataFrame
        ``task, recipe, run, score`` and ``fraction`` (ending at 1) or ``step``,
        one row per evaluation; see :func:`analysis.data.curves.curve_pools`. Runs
        that were stopped early cannot be used.
    generator : numpy Generator
        Halves the pools for the column ``split_half``.
    budgets : sequence of positive ints
        In full trainings. Budgets above the number of runs are left out.
    target : float, optional
        Add ``reach`` and ``baseline_reach``: the chances that the best score of
        the chosen plan, and of the baseline, is at least as good as `target`.
    splits : int
        Number of random halvings that `split_half` averages over, both ways each.
    slack : float
        See :func:`analysis.stopping.plans.affordable_plans`.
    perfect_score : float, optional
        Score without error, by default 1, or 0 when lower is better.
    lower_is_better : bool
        Negates the scores on the way in and the results on the way out.

    Returns
    -------
    DataFrame
        ``task, recipe, budget, started, fraction, continued, expected_best,
        baseline, relative_error_reduction, split_half, split_half_plans, split_half_most``.

        The plan is the best of all that start at most 200 runs of the pool and
        cost the budget exactly. Where none beats `budget` runs without
        stopping, the plan is plain runs (started = continued = budget, fraction 1).
        ``baseline`` is the expected best of `budget` plain runs, and
        ``relative_error_reduction`` (best - baseline) / (perfect - baseline).

        ``expected_best`` is optimistic, since the plan was chosen on the same
        runs. ``split_half`` is the mean value on one half of the pool of a plan
        chosen on the other half. The estimates are unbiased for any size of the
        pool, so the two are comparable. It is biased low, because the good runs
        that mislead one half are missing in the other. NaN where half of the pool
        is smaller than the budget. It belongs to plans that start at most
        ``split_half_most`` runs, half of the pool. ``split_half_plans`` is their number for this
        budget; without any, ``split_half`` is the value of plain runs.

    Raises
    ------
    TableError
        The curves are incomplete; the message names run and evaluation.
    OptionError
        An argument is outside its range.
    """
    check_at_least("splits", splits, 1)
    perfect = (0.0 if lower_is_better else 1.0) if perfect_score is None else perfect_score
    frames = [
        _pool_table(pool, list(budgets), generator, splits, slack, perfect, target)
        for pool in curve_pools(curves, lower_is_better=lower_is_better)
    ]
    columns = COLUMNS if target is None else [*COLUMNS, "reach", "baseline_reach"]
    if not frames:
        return pd.DataFrame(columns=columns)
    return pd.concat(frames, ignore_index=True)[columns]


def plan_values(
    curves: pd.DataFrame,
    *,
    budgets: Sequence[int] = range(1, 31),
    slack: float = 0.0,
    target: float | None = None,
    lower_is_better: bool = False,
) -> pd.DataFrame:
    """Every plan that a budget pays for, with its exact value.

    Parameters as for :func:`early_stopping_table`.

    Returns
    -------
    DataFrame
        ``task, recipe, budget, started, fraction, continued, expected_best`` and,
        with a `target`, ``reach``. The baseline of `budget` plain runs is the row
        with fraction 1.
    """
    frames = []
    for pool in curve_pools(curves, lower_is_better=lower_is_better):
        plans = pool_plans(pool, list(budgets), slack)
        wanted = [b for b in dict.fromkeys(budgets) if b <= len(pool.runs)]
        frame = _frame(pool, plans, wanted)
        values, plain = exact_values(pool.best_so_far, plans, wanted)
        frame["expected_best"] = pool.sign * np.concatenate([values, plain])
        if target is not None:
            reach = exact_values(pool.best_so_far, plans, wanted, pool.sign * target)
            frame["reach"] = np.concatenate(reach)
        frames.append(frame.sort_values("budget", kind="stable"))
    return pd.concat(frames, ignore_index=True)


def _pool_table(
    pool: CurvePool,
    budgets: list[int],
    generator: np.random.Generator,
    splits: int,
    slack: float,
    perfect: float,
    target: float | None,
) -> pd.DataFrame:
    plans = pool_plans(pool, budgets, slack)
    wanted = [budget for budget in dict.fromkeys(budgets) if budget <= len(pool.runs)]
    values, plain = exact_values(pool.best_so_far, plans, wanted)
    chosen = [
        best_plan(plans, values, budget, base) for budget, base in zip(wanted, plain, strict=True)
    ]
    every = np.concatenate([values, plain])
    rows = [len(plans) + k if at is None else at for k, at in enumerate(chosen)]
    table = _frame(pool, plans, wanted).iloc[rows].reset_index(drop=True)
    best = every[rows]
    error = pool.sign * perfect - plain
    table["expected_best"], table["baseline"] = pool.sign * best, pool.sign * plain
    table["relative_error_reduction"] = np.divide(
        best - plain, error, out=np.zeros_like(best), where=error != 0
    )
    table["split_half"] = pool.sign * _split_half(pool, plans, wanted, generator, splits)
    table["split_half_most"] = len(pool.runs) // 2
    small = plans.within(len(pool.runs) // 2).budget
    table["split_half_plans"] = [int((small == budget).sum()) for budget in wanted]
    if target is not None:
        reach, plain_reach = exact_values(pool.best_so_far, plans, wanted, pool.sign * target)
        table["reach"] = np.concatenate([reach, plain_reach])[rows]
        table["baseline_reach"] = plain_reach
    return table


def pool_plans(pool: CurvePool, budgets: list[int], slack: float) -> Plans:
    """The plans of some budgets that start at most 200 runs of a pool."""
    most = min(MOST_STARTED, len(pool.runs))
    return affordable_plans(pool.steps, list(dict.fromkeys(budgets)), most, slack=slack)


def exact_values(
    best_so_far: FloatArray, plans: Plans, budgets: list[int], target: float | None = None
) -> tuple[FloatArray, FloatArray]:
    """Values of the plans, and of the plain runs of every budget."""
    ends = best_so_far[:, -1]
    plain = expected_max(ends if target is None else (ends >= target).astype(float), budgets)
    if not len(plans):
        return np.empty(0), plain
    used, at = np.unique(plans.evaluation, return_inverse=True)
    ts, k = np.unique(plans.started, return_inverse=True)
    ps, j = np.unique(plans.continued, return_inverse=True)
    columns = best_so_far[:, np.append(used, best_so_far.shape[1] - 1)]
    return stopping_surface(columns, ts, ps, target=target)[at, k, j], plain


def best_plan(plans: Plans, values: FloatArray, budget: int, plain: float) -> int | None:
    """Index of the best plan of a budget by its `values`; None where plain runs are at least as good."""
    mine = np.flatnonzero(plans.budget == budget)
    if not mine.size:
        return None
    # Differences below rounding are ties, of which the plan with fewest runs is taken.
    top = values[mine] >= values[mine].max() - 1e-12
    at = mine[top][np.argmin(plans.started[mine[top]])]
    return int(at) if values[at] > plain + 1e-12 else None


def _split_half(
    pool: CurvePool,
    plans: Plans,
    budgets: list[int],
    generator: np.random.Generator,
    splits: int,
) -> FloatArray:
    half = len(pool.runs) // 2
    usable = [budget for budget in budgets if budget <= half]
    result = np.full(len(budgets), np.nan)
    if not usable:
        return result
    small = plans.within(half)
    curves = pool.best_so_far
    total = np.zeros(len(usable))
    for _ in range(splits):
        order = generator.permutation(len(curves))
        halves = [
            exact_values(curves[part], small, usable) for part in (order[:half], order[half:])
        ]
        for (values, plain), (other, other_plain) in (halves, halves[::-1]):
            for k, budget in enumerate(usable):
                at = best_plan(small, values, budget, plain[k])
                total[k] += other_plain[k] if at is None else other[at]
    result[[budgets.index(budget) for budget in usable]] = total / (2 * splits)
    return result


def _frame(pool: CurvePool, plans: Plans, budgets: list[int]) -> pd.DataFrame:
    plain = np.array(budgets, dtype=np.int64)
    return pd.DataFrame(
        {
            "task": pool.task,
            "recipe": pool.recipe,
            "budget": np.concatenate([plans.budget, plain]),
            "started": np.concatenate([plans.started, plain]),
            "fraction": np.concatenate([pool.fractions[plans.evaluation], np.ones(len(plain))]),
            "continued": np.concatenate([plans.continued, plain]),
        }
    )
