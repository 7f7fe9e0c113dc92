"""Variance components of scores: init, order and the rest.

Every table states the numbers of runs and of failed runs that it used, and is
given three times: for all runs, without the failed ones, and for failure itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import pandas as pd

from analysis.checks import check_choice
from analysis.data.study import Study
from analysis.errors import DesignError, OptionError
from analysis.rounding import varies
from analysis.variance.henderson import cell_table, components
from analysis.variance.intervals import (
    ComponentIntervals,
    fiducial_intervals,
    jackknife_intervals,
    shares,
)

SUBSETS = ("all runs", "without failed", "failure")


def variance_components(
    study: Study,
    *,
    value: str = "score",
    interval: Literal["jackknife", "fiducial"] | None = "jackknife",
    level: float = 0.95,
    repeats: Literal["split", "pool"] = "split",
    generator: np.random.Generator | None = None,
) -> pd.DataFrame:
    """Variance components of every group by Henderson's method III, with intervals.

    Parameters
    ----------
    study : Study
        Only its complete runs are used.
    value : str
        Column of `Study.runs` to decompose.
    interval : {"jackknife", "fiducial"} or None
        See :mod:`analysis.variance.intervals`. The fiducial pivots pool repeats.
    level : float in (0, 1)
        Nominal coverage.
    repeats : {"split", "pool"}
        Whether repeated cells split the rest into interaction and noise.
    generator : numpy Generator
        Needed for fiducial intervals only.

    Returns
    -------
    DataFrame
        Per task, model, recipe, subset ("all runs", "without failed",
        "failure": the indicator of failure) and component (init, order, rest,
        or interaction and noise): ``variance`` (at least 0), ``raw`` (may be
        negative), ``sd``, ``share`` (NaN for constant scores), ``lower,
        upper, share_lower, share_upper`` (NaN where not available), ``n_runs,
        n_failed, n_init, n_order, n_missing`` (empty cells), ``splits`` (whether repeats split
        the rest), ``method`` and ``note`` (the reason for missing values).
    """
    check_choice("interval", interval, ("jackknife", "fiducial", None))
    if interval == "fiducial":
        if generator is None:
            raise OptionError("fiducial intervals draw random numbers: give a numpy Generator.")
        repeats = "pool"
    rows: list[dict[str, object]] = []
    for key, part in study.groups():
        for subset, runs in _subsets(part.complete_runs(), value):
            facts: dict[str, object] = {
                **key._asdict(),
                "subset": subset,
                "n_runs": len(runs),
                "n_failed": int(runs["failed"].sum()),
                "n_init": runs["init_seed"].nunique(),
                "n_order": runs["order_seed"].nunique(),
            }
            present = len(runs[["init_seed", "order_seed"]].drop_duplicates())
            n_cells = runs["init_seed"].nunique() * runs["order_seed"].nunique()
            facts["n_missing"] = n_cells - present
            rows += [facts | row for row in _rows(runs, interval, level, repeats, generator)]
    return pd.DataFrame(rows)


def _subsets(runs: pd.DataFrame, value: str) -> Iterator[tuple[str, pd.DataFrame]]:
    yield SUBSETS[0], runs.assign(value=runs[value])
    yield SUBSETS[1], runs.loc[~runs["failed"]].assign(value=lambda part: part[value])
    yield SUBSETS[2], runs.assign(value=runs["failed"].astype("float64"))


def _rows(
    runs: pd.DataFrame,
    interval: Literal["jackknife", "fiducial"] | None,
    level: float,
    repeats: Literal["split", "pool"],
    generator: np.random.Generator | None,
) -> list[dict[str, object]]:
    nan = float("nan")
    gaps: dict[str, object] = dict.fromkeys(("lower", "upper", "share_lower", "share_upper"), nan)
    try:
        cells = cell_table(runs, "value")
        estimate = components(cells, repeats)
    except DesignError as error:
        empty = dict.fromkeys(("variance", "raw", "sd", "share"), nan)
        facts = {"splits": False, "method": "none", "note": str(error)}
        return [{"component": c, **empty, **gaps, **facts} for c in ("init", "order", "rest")]
    note = ""
    found: ComponentIntervals | None = None
    try:
        if interval == "jackknife":
            found = jackknife_intervals(cells, level=level, repeats=repeats)
        elif interval == "fiducial" and generator is not None:
            found = fiducial_intervals(cells, generator, level=level)
    except DesignError as error:
        note = str(error)
    raw = np.array(list(estimate.values()))
    share = shares(raw)
    if np.isnan(share).all():
        note = "all values are equal: there is no variance to share."
    rows: list[dict[str, object]] = []
    for i, name in enumerate(estimate):
        variance = max(float(raw[i]), 0.0)
        row: dict[str, object] = {
            "component": name,
            "variance": variance,
            "raw": float(raw[i]),
            "sd": variance**0.5,
            "share": float(share[i]),
        }
        limits = gaps
        if found is not None:
            limits = {
                "lower": float(found.lower[i]),
                "upper": float(found.upper[i]),
                "share_lower": float(found.share_lower[i]),
                "share_upper": float(found.share_upper[i]),
            }
        rows.append(
            row
            | limits
            | {
                "splits": "interaction" in estimate,
                "method": interval if found is not None else "none",
                "note": note,
            }
        )
    return rows


def seed_spreads(study: Study, *, value: str = "score", ddof: int = 1) -> pd.DataFrame:
    """Standard deviations given init, given order, and overall, per group and subset.

    "Given init" is the mean over init seeds of the standard deviation across
    their runs (over order seeds); seeds with at most `ddof` runs do not enter.

    Parameters
    ----------
    study : Study
        Only its complete runs are used.
    value : str
        Column of `Study.runs`.
    ddof : int
        1 by default; 0 as in table 3 of Dodge et al. 2020.

    Returns
    -------
    DataFrame
        ``task, model, recipe, subset, mean, sd_given_init, sd_given_order,
        sd_overall, ddof, n_runs, n_failed``; NaN where there are too few runs.
    """
    check_choice("ddof", ddof, (0, 1))
    rows = []
    for key, part in study.groups():
        for subset, runs in _subsets(part.complete_runs(), value):
            rows.append(
                {
                    **key._asdict(),
                    "subset": subset,
                    "mean": runs["value"].mean(),
                    "sd_given_init": _mean_sd(runs, "init_seed", ddof),
                    "sd_given_order": _mean_sd(runs, "order_seed", ddof),
                    "sd_overall": _sd(runs["value"], ddof),
                    "ddof": ddof,
                    "n_runs": len(runs),
                    "n_failed": int(runs["failed"].sum()),
                }
            )
    return pd.DataFrame(rows)


def _mean_sd(runs: pd.DataFrame, factor: str, ddof: int) -> float:
    spreads = [
        _sd(part, ddof) for _, part in runs.groupby(factor)["value"] if len(part) > max(ddof, 1)
    ]
    return float(np.mean(spreads)) if spreads else float("nan")


def _sd(values: pd.Series, ddof: int) -> float:
    if len(values) <= ddof:
        return float("nan")
    return float(values.std(ddof=ddof)) if varies(values) else 0.0
