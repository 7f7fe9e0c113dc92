"""Sizes of grids for a question, where runs share init and order seeds."""

from __future__ import annotations

import dataclasses
import math

import pandas as pd
from scipy.stats import t as student

from analysis.checks import check_at_least, check_positive, check_probability
from analysis.errors import DesignError
from analysis.planning.sample_size import fewest, upper_tail
from analysis.variance.henderson import cell_table, components


@dataclasses.dataclass(frozen=True)
class SeedVariances:
    """Variance components of a run's score, each at least 0, in squared units of the metric."""

    init: float
    order: float
    rest: float

    @property
    def sd(self) -> float:
        """Standard deviation of runs that share no seed."""
        return math.sqrt(self.init + self.order + self.rest)

    def doubled(self) -> SeedVariances:
        """Components of the difference of two recipes whose seed effects are independent."""
        return SeedVariances(2 * self.init, 2 * self.order, 2 * self.rest)

    def of_mean(self, a: int, b: int) -> tuple[float, float]:
        """Standard error of the mean of a x b runs, and its degrees of freedom.

        Those of `analysis.variance.grid_mean` with the expected mean squares, where no factor is
        dropped. That is on the safe side where seeds hardly matter.
        """
        init, order = self.rest + b * self.init, self.rest + a * self.order
        total = init + order - self.rest
        parts = init**2 / (a - 1) + order**2 / (b - 1) + self.rest**2 / ((a - 1) * (b - 1))
        return math.sqrt(total / (a * b)), total**2 / parts


def seed_variances(runs: pd.DataFrame, value: str = "score") -> SeedVariances | None:
    """Components of a pilot by Henderson's method III; None where its design does not tell them."""
    try:
        found = components(cell_table(runs, value), "pool")
    except DesignError:
        return None
    parts = SeedVariances(*(max(found[name], 0.0) for name in ("init", "order", "rest")))
    return parts if parts.sd > 0 else None


def grid_interval_width(a: int, b: int, spread: SeedVariances, *, level: float = 0.95) -> float:
    """Expected width of the interval for the mean of a grid of a init and b order seeds."""
    check_probability("level", level)
    _check_grid(a, b)
    error, df = spread.of_mean(a, b)
    return float(2 * student.ppf((1 + level) / 2, df) * error)


def power_of_grid(
    a: int, b: int, effect: float, spread: SeedVariances, *, alpha: float = 0.05
) -> float:
    """Power of the crossed test between two recipes on the same a x b grid.

    Parameters
    ----------
    a, b : int, at least 2
        Numbers of init and of order seeds.
    effect : float
        True difference of the mean scores.
    spread : SeedVariances
        Components of the differences between the recipes' runs of a cell.
    alpha : float in (0, 1)
        Size of the two-sided test.

    Returns
    -------
    float
        From the noncentral t distribution with the degrees of freedom of the expected mean squares.
        The test decides with estimated ones; simulated powers are in `experiments/inference`.
    """
    check_probability("alpha", alpha)
    _check_grid(a, b)
    error, df = spread.of_mean(a, b)
    critical, shift = float(student.isf(alpha / 2, df)), effect / error
    return upper_tail(critical, df, shift) + upper_tail(critical, df, -shift)


def grid_for_width(width: float, spread: SeedVariances, *, level: float = 0.95) -> int:
    """Fewest seeds n of each kind for which an n x n grid's interval is at most `width` wide.

    Squares only: a pilot knows its components too badly for a better shape.
    """
    check_positive("width", width)
    return fewest(lambda n: grid_interval_width(n, n, spread, level=level) <= width, 2)


def grid_for_power(
    effect: float, spread: SeedVariances, *, power: float = 0.8, alpha: float = 0.05
) -> int:
    """Fewest seeds n of each kind for which the crossed test of n x n grids has the given power.

    Parameters as for `power_of_grid`; `effect` positive.
    """
    check_positive("effect", effect)
    check_probability("power", power)
    return fewest(lambda n: power_of_grid(n, n, effect, spread, alpha=alpha) >= power, 2)


def _check_grid(a: int, b: int) -> None:
    check_at_least("the number of init seeds", a, 2)
    check_at_least("the number of order seeds", b, 2)
