"""The table of the best of n runs: one row per task, recipe, schedule and n."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.best_of_n.bands import BandMethod, best_of_band
from analysis.best_of_n.expected_max import best_of_median, best_of_spread, expected_max
from analysis.data.schedules import GROUP, Schedule, schedule_scores

COLUMNS = [
    "task",
    "recipe",
    "schedule",
    "n",
    "unbiased",
    "plugin",
    "spread",
    "median",
    "band_lower",
    "band_upper",
    "band_method",
    "band_level",
    "band_runs",
]
# With more runs than this a table has a row for some n only.
EVERY_N = 5_000


def expected_max_table(
    runs: pd.DataFrame,
    curves: pd.DataFrame | None = None,
    *,
    schedules: Sequence[Schedule] = ("final", "epoch", "every"),
    epochs: float | None = None,
    ns: npt.ArrayLike | None = None,
    band_method: BandMethod = "ld_highest_density",
    band_level: float = 0.95,
    bounds: tuple[float, float] = (-math.inf, math.inf),
    lower_is_better: bool = False,
    effective: Callable[[pd.DataFrame], float] | None = None,
) -> pd.DataFrame:
    """Expected maximum, its spread, the median and its band, for every n.

    Parameters
    ----------
    runs, curves, schedules, epochs
        As for :func:`analysis.data.schedules.schedule_scores`: ``task, recipe, run,
        score`` (at the end), and ``run, fraction, score[, epoch]``. Include failed
        runs: without them every n looks better than it is.
    ns : array of positive integers, optional
        Which n to tabulate, by default all from 1 to the number of runs B of
        the group. Larger ones than B are left out.
    band_method, band_level, bounds
        As for :func:`analysis.best_of_n.bands.best_of_band`.
    lower_is_better : bool
        The best score is the smallest; "maximum" then reads "minimum".
    effective : callable, optional
        Returns the number of independent runs that the rows of `runs` of one group are worth, with
        the schedule's scores as their ``score``. By default runs are independent.

    Returns
    -------
    DataFrame
        ``task, recipe, schedule, n, unbiased, plugin, spread, median, band_lower,
        band_upper, band_method, band_level, band_runs``: the two estimates of the expected
        best of n, the standard deviation of the best (plug-in), the median best
        and its simultaneous band, for scores that are worth ``band_runs`` independent ones. The
        five band columns are empty beyond the
        informative range, where the data give no upper bound for the best of n.

    Raises
    ------
    AnalysisError
        As the functions above.
    """
    scores = schedule_scores(
        runs, curves, schedules=schedules, epochs=epochs, lower_is_better=lower_is_better
    )
    frames = []
    for (task, recipe, schedule), group in scores.groupby([*GROUP, "schedule"], sort=False):
        values = group["score"].to_numpy(np.float64)
        sizes = np.arange(1, len(values) + 1) if ns is None else np.unique(np.asarray(ns))
        sizes = sizes[sizes <= len(values)]
        known = runs.drop(columns="score").merge(group[["run", "score"]], on="run")
        worth = float(len(values)) if effective is None else effective(known)
        band = best_of_band(
            values,
            sizes,
            method=band_method,
            level=band_level,
            bounds=bounds,
            lower_is_better=lower_is_better,
            effective=worth,
        )
        informative = sizes <= band.informative
        frames.append(
            pd.DataFrame(
                {
                    "task": task,
                    "recipe": recipe,
                    "schedule": schedule,
                    "n": sizes,
                    "unbiased": expected_max(values, sizes, lower_is_better=lower_is_better),
                    "plugin": expected_max(
                        values, sizes, estimator="plugin", lower_is_better=lower_is_better
                    ),
                    "spread": best_of_spread(values, sizes, lower_is_better=lower_is_better),
                    "median": best_of_median(values, sizes, lower_is_better=lower_is_better),
                    "band_lower": np.where(informative, band.lower, np.nan),
                    "band_upper": np.where(informative, band.upper, np.nan),
                    "band_method": pd.Series(
                        [band_method if known else None for known in informative], dtype="str"
                    ),
                    "band_level": np.where(informative, band_level, np.nan),
                    "band_runs": np.where(informative, worth, np.nan),
                }
            )
        )
    return (
        pd.concat(frames, ignore_index=True)[COLUMNS] if frames else pd.DataFrame(columns=COLUMNS)
    )


def tabulated_ns(n_runs: int) -> npt.NDArray[np.int64]:
    """The n of a table of the best of n: all up to 5,000 runs, else 1 to 30 and 50 beyond."""
    if n_runs <= EVERY_N:
        return np.arange(1, n_runs + 1)
    beyond = np.geomspace(30, n_runs, 50).round().astype(np.int64)
    return np.unique(np.concatenate([np.arange(1, 31), beyond]))


def richest_schedule(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the schedule that evaluates most often, from a table of one group."""
    name = next(s for s in ("every", "epoch", "final") if (table["schedule"] == s).any())
    return table.loc[table["schedule"] == name]
