"""The best of n runs against what they cost, so that cheap and dear recipes can be compared."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.best_of_n.run_costs import COSTS, mean_cost, run_costs
from analysis.rounding import ROUNDING

Floats = npt.NDArray[np.float64]
STOPPED = "early stopping"
"""In the column ``schedule``: the study itself, which stopped runs by their scores."""
COLUMNS = ("task", "recipe", "schedule", "n", *COSTS, "expected_best", "lower", "upper")
# A budget that is a whole number of runs up to rounding pays for all of them.
SLACK = 1e-9


class LeadChange(NamedTuple):
    """A change of the lead from one recipe to another.

    ``a_first`` says whether the first of the two leads before. ``before`` is the last budget at which
    the band of one lies wholly on the better side of the other's, ``after`` the first one at
    which it lies wholly on the worse side.
    """

    a_first: bool
    before: float
    after: float


def best_of_compute(expected: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Expected best score of one recipe against cumulative cost.

    Parameters
    ----------
    expected : DataFrame
        Rows of one group and one schedule of `expected_max_table.expected_max_table`.
    runs : DataFrame
        The group's complete runs; `run_costs.run_costs` names the columns of their costs.

    Returns
    -------
    DataFrame
        ``task, recipe, schedule, n, updates, examples, seconds, gpu_hours, expected_best, lower,
        upper``: a cost is n times the mean cost of a run, NaN unless it is known of every run.
        ``expected_best`` is the unbiased estimate; ``lower`` and ``upper`` are the simultaneous band
        of the median of the best of n.

    Notes
    -----
    Dodge et al. 2019 (arXiv:1909.03004) draw the expected best against budget in the same way: the
    number of runs times the mean duration of a run.
    """
    table = expected.reset_index(drop=True)
    cost = mean_cost(runs)
    named = {"unbiased": "expected_best", "band_lower": "lower", "band_upper": "upper"}
    scaled = {name: table["n"] * cost[name] for name in COSTS}
    return table.rename(columns=named).assign(**scaled)[list(COLUMNS)]


def stopped_study(runs: pd.DataFrame, task: str, recipe: str) -> pd.DataFrame:
    """The best score of a study that stopped runs early, at the cost of all its runs.

    Parameters
    ----------
    runs : DataFrame
        All runs of one group, with ``status``, ``score`` and ``higher_is_better``.
    task, recipe : str

    Returns
    -------
    DataFrame
        One row with the columns of `best_of_compute`, for n started runs: the costs of the stopped ones
        count. ``expected_best`` is one draw from the policy, without a band. No row while runs still
        train, or without a score.
    """
    scores = runs["score"].dropna()
    if scores.empty or (runs["status"] == "running").any():
        return pd.DataFrame(columns=list(COLUMNS))
    up = bool(runs["higher_is_better"].iloc[0])
    row = {
        "task": task,
        "recipe": recipe,
        "schedule": STOPPED,
        "n": len(runs),
        **run_costs(runs).sum(skipna=False),
        "expected_best": float(scores.max() if up else scores.min()),
        "lower": math.nan,
        "upper": math.nan,
    }
    return pd.DataFrame([row])[list(COLUMNS)]


def affordable(curve: pd.DataFrame, cost: str, budgets: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Position in a curve of the runs that each budget pays for; -1 where it pays for none.

    A part of a run gives no score, so the curve is a step function of the budget.
    """
    spent = curve[cost].to_numpy(dtype=np.float64)
    reach = np.asarray(budgets, dtype=np.float64) * (1 + SLACK)
    return np.asarray(np.searchsorted(spent, reach, side="right") - 1)


def change_of_lead(
    a: pd.DataFrame, b: pd.DataFrame, cost: str, *, lower_is_better: bool = False
) -> LeadChange | None:
    """The first change of the lead between two recipes that their bands show.

    Parameters
    ----------
    a, b : DataFrame
        `best_of_compute` of two recipes, in the order of n.
    cost : str
        A column of costs that is known in both.
    lower_is_better : bool

    Returns
    -------
    LeadChange or None
        None where the bands never part in both directions: then the runs do not show that the
        lines cross.

    Notes
    -----
    Each 95% band holds at all n at once, so both hold with at least 90% (Bonferroni), and the
    medians of the best then cross between the two budgets.
    """
    budgets = np.union1d(a[cost], b[cost])
    at = [affordable(curve, cost, budgets) for curve in (a, b)]
    both = (
        (at[0] >= 0) & (at[1] >= 0) & (budgets <= min(a[cost].max(), b[cost].max()) * (1 + SLACK))
    )
    budgets, at = budgets[both], [place[both] for place in at]
    low_a, low_b = (c["lower"].to_numpy(np.float64)[p] for c, p in zip((a, b), at, strict=True))
    top_a, top_b = (c["upper"].to_numpy(np.float64)[p] for c, p in zip((a, b), at, strict=True))
    lead = np.where(_above(low_a, top_b), 1, np.where(_above(low_b, top_a), -1, 0))
    if lower_is_better:
        lead = -lead
    apart = np.flatnonzero(lead)
    turns = np.flatnonzero(np.diff(lead[apart]))
    if not len(turns):
        return None
    before, after = apart[turns[0]], apart[turns[0] + 1]
    return LeadChange(bool(lead[before] > 0), float(budgets[before]), float(budgets[after]))


def do_cross(a: pd.DataFrame, b: pd.DataFrame, cost: str) -> bool:
    """Whether the lines of two recipes cross over the budgets that both have."""
    # A line is a band without width.
    a, b = (c.assign(lower=c["expected_best"], upper=c["expected_best"]) for c in (a, b))
    return change_of_lead(a, b, cost) is not None


def _above(low: Floats, top: Floats) -> npt.NDArray[np.bool_]:
    """Where `low` exceeds `top` by more than rounding."""
    return np.asarray((low > top) & ~np.isclose(low, top, rtol=ROUNDING, atol=0.0))
