"""Numbers of runs for a question, and the best use of a budget.

Planning formulas under stated assumptions. They decide no comparison.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import pandas as pd
from scipy.stats import nct, t

from analysis.checks import check_at_least, check_choice, check_positive, check_probability
from analysis.errors import OptionError
from analysis.stopping.value import early_stopping_table

# The search for a number of runs ends here.
MOST_RUNS = 10**9


def interval_width(runs: int, sd: float, *, level: float = 0.95) -> float:
    """Width of the t interval for the mean of `runs` scores of standard deviation `sd`."""
    check_positive("sd", sd)
    check_probability("level", level)
    if runs < 2:
        return math.inf
    return float(2 * t.ppf((1 + level) / 2, runs - 1) * sd / math.sqrt(runs))


def runs_for_width(width: float, sd: float, *, level: float = 0.95) -> int:
    """Fewest runs whose t interval for the mean is at most `width` wide.

    Parameters
    ----------
    width : float, positive
        Whole width, from end to end, in the units of the metric.
    sd : float, positive
        Standard deviation of a run's score. The actual width varies with the
        standard deviation of the runs.
    level : float in (0, 1)

    Returns
    -------
    int, at least 2
    """
    check_positive("width", width)
    return fewest(lambda n: interval_width(n, sd, level=level) <= width, 2)


def power_of_runs(
    runs: int,
    effect: float,
    sd: float,
    *,
    alpha: float = 0.05,
    paired: bool = False,
    alternative: Literal["two-sided", "larger"] = "two-sided",
) -> float:
    """Power of the t test between two recipes with `runs` runs each.

    Parameters
    ----------
    runs : int, at least 2
        Per recipe.
    effect : float
        True difference of the mean scores.
    sd : float, positive
        Standard deviation of a run's score, the same in both recipes; with
        ``paired=True`` that of the difference between paired runs.
    alpha : float in (0, 1)
        Size of the test.
    paired : bool
        Test the differences of runs that share their seeds.
    alternative : {"two-sided", "larger"}

    Returns
    -------
    float
        Exact for normal scores: from the noncentral t distribution, with 2n - 2
        (paired: n - 1) degrees of freedom and noncentrality effect / sd *
        sqrt(n / 2) (paired: sqrt(n)).
    """
    check_positive("sd", sd)
    check_probability("alpha", alpha)
    check_at_least("runs", runs, 2)
    check_choice("alternative", alternative, ("two-sided", "larger"))
    freedom = runs - 1 if paired else 2 * runs - 2
    shift = effect / sd * math.sqrt(runs if paired else runs / 2)
    if alternative == "larger":
        return upper_tail(float(t.isf(alpha, freedom)), freedom, shift)
    critical = float(t.isf(alpha / 2, freedom))
    # The lower tail of the noncentral t is the upper one with the shift turned round.
    return upper_tail(critical, freedom, shift) + upper_tail(critical, freedom, -shift)


def runs_for_power(
    effect: float,
    sd: float,
    *,
    power: float = 0.8,
    alpha: float = 0.05,
    paired: bool = False,
    alternative: Literal["two-sided", "larger"] = "two-sided",
) -> int:
    """Fewest runs per recipe for which the t test has the given power.

    Parameters as for :func:`power_of_runs`; `effect` positive.
    """
    check_positive("effect", effect)
    check_probability("power", power)

    def enough(n: int) -> bool:
        reached = power_of_runs(n, effect, sd, alpha=alpha, paired=paired, alternative=alternative)
        return reached >= power

    return fewest(enough, 2)


def budget_table(
    curves: pd.DataFrame,
    budget: int,
    *,
    generator: np.random.Generator,
    target: float | None = None,
    slack: float = 1.0,
    perfect_score: float | None = None,
    lower_is_better: bool = False,
) -> pd.DataFrame:
    """The best early-stopping plan for `budget` full trainings.

    Parameters as for :func:`analysis.stopping.value.early_stopping_table`, whose
    row for this budget is returned per task and recipe; `slack` is one training
    by default, because a plan may cost less than the budget. There is no row for a
    pool with fewer runs than the budget.
    """
    return early_stopping_table(
        curves,
        generator=generator,
        budgets=[budget],
        target=target,
        slack=slack,
        perfect_score=perfect_score,
        lower_is_better=lower_is_better,
    )


def upper_tail(critical: float, freedom: float, shift: float) -> float:
    """Chance that a noncentral t variable exceeds `critical`; safe far out in the tails."""
    # Far tails: scipy's noncentral t returns NaN there, and the answer is 0 or 1.
    if critical - shift > 40.0:
        return 0.0
    if shift - critical > 40.0:
        return 1.0
    return float(nct.sf(critical, freedom, shift))


def fewest(enough: Callable[[int], bool], least: int) -> int:
    """Smallest n from `least` on with ``enough(n)``, which must not turn false again."""
    high = least
    while not enough(high):
        high *= 2
        if high > MOST_RUNS:
            raise OptionError(
                f"more than {MOST_RUNS} runs would be needed; give a wider interval, a larger "
                "effect or less power."
            )
    low = max(least, high // 2)
    while low < high:
        middle = (low + high) // 2
        if enough(middle):
            high = middle
        else:
            low = middle + 1
    return high
