"""The mean score over seeds with its standard error, whatever seeds the runs share."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import t as student

from analysis.checks import check_probability
from analysis.data.study import Study
from analysis.errors import DesignError
from analysis.rounding import varies
from analysis.variance.grid_mean import grid_mean
from analysis.variance.henderson import FACTORS, CellTable, cell_table, components

Floats = npt.NDArray[np.float64]
MEAN_COLUMNS = ("mean", "lower", "upper", "error", "df", "sd", "effective_runs", "design")
Design = Literal["independent", "grid", "incomplete grid", "one shared seed", "unknown"]


@dataclasses.dataclass(frozen=True)
class MeanInterval:
    """The mean of some runs for seeds drawn anew, in the units of the score.

    Attributes
    ----------
    mean, error, df, lower, upper : float
        Mean, its standard error with degrees of freedom, and the interval; the last four are NaN
        where the runs do not determine them. ``error`` is 0 where the scores do not vary.
    sd : float
        Standard deviation of runs that share no seed: from the sum of the components, since the
        standard deviation of a small grid is too low.
    effective : float
        Number of runs without a common seed whose mean would be known as well; the number of the
        rarer seeds where the design is unknown.
    design : {"independent", "grid", "incomplete grid", "one shared seed", "unknown"}
        Which runs share seeds. "independent": no two runs share a seed. "one shared seed": all runs
        have the same init (or order) seed, and the interval holds for this seed alone. "unknown":
        the seeds' effects cannot be separated.
    """

    mean: float
    error: float
    df: float
    lower: float
    upper: float
    sd: float
    effective: float
    design: Design


def mean_interval(runs: pd.DataFrame, value: str = "score", *, level: float = 0.95) -> MeanInterval:
    r"""Mean of `value` over the seeds of one group's runs.

    Parameters
    ----------
    runs : DataFrame
        At least one row, with ``init_seed``, ``order_seed`` and the finite column `value`.
        Repeats of a cell are averaged.
    value : str
    level : float in (0, 1)
        Nominal coverage.

    Returns
    -------
    MeanInterval
        Of the mean over cells.

    Notes
    -----
    Complete grids: `grid_mean.grid_mean`. Grids with missing cells: components by Henderson's
    method III, at least 0 each, and

    .. math:: s^2_{init} \sum_i (n_{i.}/n)^2 + s^2_{order} \sum_j (n_{.j}/n)^2 + s^2_E / n,

    with the degrees of freedom of the factor that has fewer seeds, as the jackknife takes them.
    Independent runs, and runs that all share a seed: Student's interval.
    """
    check_probability("level", level)
    if runs.empty:
        raise DesignError("there are no runs; a mean needs at least one.")
    cells = runs.groupby(list(FACTORS))[value].mean().reset_index()
    y = cells[value].to_numpy(dtype=np.float64)
    n, (a, b) = len(y), (int(cells[factor].nunique()) for factor in FACTORS)
    mean, design = float(y.mean()), _design(a, b, n)
    if not varies(y):
        error = 0.0 if n > 1 else math.nan
        return MeanInterval(mean, error, n - 1.0, mean, mean, error, float(n), design)
    if design in ("independent", "one shared seed"):
        sd = float(y.std(ddof=1))
        error, df = sd / math.sqrt(n), n - 1.0
    else:
        try:
            table = cell_table(cells, value)
            parts = {k: max(part, 0.0) for k, part in components(table, "pool").items()}
        except DesignError:
            nan, fewest = math.nan, float(min(a, b))
            return MeanInterval(mean, nan, nan, nan, nan, float(y.std(ddof=1)), fewest, "unknown")
        sd = math.sqrt(sum(parts.values()))
        if design == "grid":
            found = grid_mean(y.reshape(a, b), level=level)
            error, df = float(found.error), float(found.df)
        else:
            error, df = _of_components(table, parts), min(a, b) - 1.0
    half = float(student.ppf(0.5 + level / 2, df)) * error
    effective = min(max((sd / error) ** 2, 1.0), float(n))
    return MeanInterval(mean, error, df, mean - half, mean + half, sd, effective, design)


def _design(a: int, b: int, n: int) -> Design:
    if a == n and b == n:
        return "independent"
    if a == 1 or b == 1:
        return "one shared seed"
    return "grid" if n == a * b else "incomplete grid"


def _of_components(table: CellTable, parts: dict[str, float]) -> float:
    """Standard error of the mean from the components of a grid with missing cells."""
    n = float(table.counts.sum())
    shares = {
        "init": float(((table.counts.sum(axis=1) / n) ** 2).sum()),
        "order": float(((table.counts.sum(axis=0) / n) ** 2).sum()),
        "rest": 1.0 / n,
    }
    return math.sqrt(sum(parts[name] * share for name, share in shares.items()))


def mean_table(study: Study, *, value: str = "score", level: float = 0.95) -> pd.DataFrame:
    """Mean, interval, spread and range of every group's complete runs.

    Returns
    -------
    DataFrame
        ``task, model, recipe, n_runs, mean, lower, upper, error, df, sd, effective_runs, design, min,
        max`` in the units of the metric; see `MeanInterval`.
    """
    rows = []
    for key, part in study.groups():
        runs = part.complete_runs()
        if runs.empty:
            continue
        found = dataclasses.asdict(mean_interval(runs, value, level=level))
        found["effective_runs"] = found.pop("effective")
        rows.append(
            {
                **key._asdict(),
                "n_runs": len(runs),
                **{name: found[name] for name in MEAN_COLUMNS},
                "min": float(runs[value].min()),
                "max": float(runs[value].max()),
            }
        )
    return pd.DataFrame(rows)
