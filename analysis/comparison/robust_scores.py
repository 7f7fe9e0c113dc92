"""Scores over several tasks without the tails: interquartile mean and performance profile.

As in Agarwal et al. 2021 (arXiv:2108.13264), stratified by task. Tasks must be
on one scale: means over metrics of different ranges say nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import trim_mean

from analysis.best_of_n.expected_max import finite_scores
from analysis.checks import check_at_least, check_probability
from analysis.data.study import Study
from analysis.errors import TableError

Floats = npt.NDArray[np.float64]
TRIM = 0.25


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A point estimate with a bootstrap interval."""

    point: float
    lower: float
    upper: float
    n_runs: int
    n_tasks: int


def interquartile_mean(
    scores: Mapping[str, npt.ArrayLike],
    generator: np.random.Generator,
    *,
    level: float = 0.95,
    resamples: int = 2_000,
) -> Estimate:
    """Mean of the middle half of all runs of all tasks, with a stratified bootstrap.

    Parameters
    ----------
    scores : mapping of task to 1D array
        On one scale. Runs are pooled, so a task with more runs weighs more.
    generator : numpy Generator
        Resamples runs within each task.
    level : float in (0, 1)
        Nominal coverage of the percentile interval.
    resamples : int
        At least 100.
    """
    tasks = _stratified(scores, level, resamples)
    point = float(trim_mean(np.concatenate(tasks), TRIM))
    drawn = np.concatenate([_resampled(task, generator, resamples) for task in tasks], axis=1)
    lower, upper = np.quantile(
        np.asarray(trim_mean(drawn, TRIM, axis=1)), [0.5 - level / 2, 0.5 + level / 2]
    )
    return Estimate(point, float(lower), float(upper), drawn.shape[1], len(tasks))


def performance_profile(
    scores: Mapping[str, npt.ArrayLike],
    thresholds: npt.ArrayLike,
    generator: np.random.Generator,
    *,
    level: float = 0.95,
    resamples: int = 2_000,
) -> pd.DataFrame:
    """Share of runs above each threshold, averaged over tasks.

    Parameters
    ----------
    scores : mapping of task to 1D array
        On one scale, higher better.
    thresholds : 1D array of floats
    generator, level, resamples
        As in `interquartile_mean`; the band is pointwise.

    Returns
    -------
    DataFrame
        ``threshold, share, lower, upper``; shares fall from 1 to 0.
    """
    tasks = _stratified(scores, level, resamples)
    taus = np.sort(np.asarray(thresholds, dtype=np.float64))
    if taus.ndim != 1 or not len(taus):
        raise ValueError(f"thresholds has the shape {taus.shape}; allowed: one dimension.")
    points, draws = np.zeros(len(taus)), np.zeros((resamples, len(taus)))
    for task in tasks:
        above = (task[:, None] > taus[None, :]).astype(np.float64)
        n = len(task)
        weights = generator.multinomial(n, np.full(n, 1 / n), size=resamples)
        points += above.mean(axis=0) / len(tasks)
        draws += weights @ above / n / len(tasks)
    lower, upper = np.quantile(draws, [0.5 - level / 2, 0.5 + level / 2], axis=0)
    return pd.DataFrame({"threshold": taus, "share": points, "lower": lower, "upper": upper})


def robust_means(
    study: Study,
    generator: np.random.Generator,
    *,
    value: str = "score",
    level: float = 0.95,
) -> pd.DataFrame:
    """Interquartile mean and mean of every model and recipe over its tasks.

    Returns
    -------
    DataFrame
        ``model, recipe, metric, iqm, lower, upper, mean, n_runs, n_failed,
        n_tasks``; one row per metric where tasks have different ones, because
        their scores are not on one scale.
    """
    runs = study.complete_runs()
    rows = []
    for (model, recipe, metric), part in runs.groupby(["model", "recipe", "metric"], sort=False):
        by_task = {
            str(task): group[value].to_numpy(dtype=np.float64)
            for task, group in part.groupby("task", sort=False)
        }
        found = interquartile_mean(by_task, generator, level=level)
        rows.append(
            {
                "model": model,
                "recipe": recipe,
                "metric": metric,
                "iqm": found.point,
                "lower": found.lower,
                "upper": found.upper,
                "mean": float(part[value].astype("float64").mean()),
                "n_runs": found.n_runs,
                "n_failed": int(part["failed"].sum()),
                "n_tasks": found.n_tasks,
            }
        )
    return pd.DataFrame(rows)


def profile_table(
    study: Study,
    generator: np.random.Generator,
    *,
    value: str = "score",
    points: int = 101,
    level: float = 0.95,
) -> pd.DataFrame:
    """Performance profiles of every model and recipe on common thresholds per metric.

    Scores of which lower is better are counted by the share of runs below.

    Returns
    -------
    DataFrame
        ``model, recipe, metric, threshold, share, lower, upper``.
    """
    check_at_least("points", points, 2)
    runs = study.complete_runs()
    tables = []
    for metric, same in runs.groupby("metric", sort=False):
        sign = 1.0 if bool(same["higher_is_better"].iloc[0]) else -1.0
        scores = sign * same[value].astype("float64")
        taus = np.linspace(scores.min(), scores.max(), points)
        for (model, recipe), part in same.groupby(["model", "recipe"], sort=False):
            by_task = {
                str(task): sign * group[value].to_numpy(dtype=np.float64)
                for task, group in part.groupby("task", sort=False)
            }
            table = performance_profile(by_task, taus, generator, level=level)
            table["threshold"] *= sign
            tables.append(table.assign(model=str(model), recipe=str(recipe), metric=str(metric)))
    columns = ["model", "recipe", "metric", "threshold", "share", "lower", "upper"]
    if not tables:
        return pd.DataFrame(columns=columns)
    return pd.concat(tables, ignore_index=True).reindex(columns=columns)


def _stratified(scores: Mapping[str, npt.ArrayLike], level: float, resamples: int) -> list[Floats]:
    if not scores:
        raise TableError("there are no scores; allowed: one task or more, each with its runs.")
    check_probability("level", level)
    check_at_least("resamples", resamples, 100)
    return [finite_scores(values) for values in scores.values()]


def _resampled(task: Floats, generator: np.random.Generator, resamples: int) -> Floats:
    return task[generator.integers(len(task), size=(resamples, len(task)))]
