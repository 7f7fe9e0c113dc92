"""Scores of runs under less frequent evaluation.

A schedule states the evaluations of which the best one is kept: "final" (the score
at the end only), "epoch" (one evaluation per epoch) or "every" (all of them).
Scores are never interpolated between evaluations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import pandas as pd

from analysis.data.frames import numbers, require_columns
from analysis.errors import TableError

Schedule = Literal["final", "epoch", "every"]
GROUP = ["task", "recipe"]


def schedule_scores(
    runs: pd.DataFrame,
    curves: pd.DataFrame | None = None,
    *,
    schedules: Sequence[Schedule] = ("final", "epoch", "every"),
    epochs: float | None = None,
    lower_is_better: bool = False,
) -> pd.DataFrame:
    """The score of every run under every schedule.

    Parameters
    ----------
    runs : DataFrame
        One row per run with ``task, recipe, run, score``; the score at the end
        of training.
    curves : DataFrame, optional
        ``run, fraction, score`` and, optionally, ``epoch``: one row per
        evaluation; ``fraction`` of training in [0, 1], ``epoch`` either the
        progress in epochs (.1, .2, ... 3.0) or the number of the epoch.
        Curves of other runs are ignored, and so are evaluations at 0: the untrained
        model is never chosen.
    schedules : sequence of {"final", "epoch", "every"}
        Those that the data do not allow are left out: all but "final" without
        `curves`, and "epoch" without an ``epoch`` column and `epochs`, which
        give the ends of the epochs.
    epochs : float, optional
        Number of epochs of the whole training, for curves without ``epoch``.
    lower_is_better : bool
        Keep the smallest score instead of the largest.

    Returns
    -------
    DataFrame
        ``task, recipe, schedule, run, score``. The score at the end counts in
        every schedule, so that a schedule that evaluates more is never worse.

    Raises
    ------
    TableError
        A column or value is missing, a run occurs twice, or a run has no curve
        although others have.
    """
    for schedule in schedules:
        if schedule not in get_args(Schedule):
            allowed = ", ".join(repr(name) for name in get_args(Schedule))
            raise TableError(f"schedule is {schedule!r}; allowed: {allowed}.")
    final = _checked_runs(runs)
    parts = {"final": final["score"]}
    if curves is not None and not curves.empty:
        every, per_epoch = _best_of_curves(final, curves, epochs, lower_is_better)
        parts["every"] = every
        if per_epoch is not None:
            parts["epoch"] = per_epoch
    frames = [
        final.assign(schedule=schedule, score=parts[schedule])
        for schedule in schedules
        if schedule in parts
    ]
    columns = [*GROUP, "schedule", "run", "score"]
    if not frames:
        return pd.DataFrame(columns=columns)
    return pd.concat(frames, ignore_index=True)[columns]


def _checked_runs(runs: pd.DataFrame) -> pd.DataFrame:
    require_columns(runs, (*GROUP, "run", "score"), "runs")
    if "model" in runs and (runs.groupby(GROUP)["model"].nunique() > 1).any():
        raise TableError(
            "runs: the column 'model' holds several models for one task and recipe; allowed is "
            "one pool at a time. Select a model first."
        )
    final = runs[[*GROUP, "run"]].reset_index(drop=True)
    final["score"] = numbers(runs.reset_index(drop=True), "score", "runs", missing_allowed=False)
    repeated = final["run"].duplicated()
    if repeated.any():
        row = int(np.flatnonzero(repeated)[0])
        raise TableError(
            f"runs: row {row + 1}, column 'run': {final['run'].iloc[row]!r} occurs a second time; "
            "allowed is one row per run."
        )
    return final


def _best_of_curves(
    final: pd.DataFrame, curves: pd.DataFrame, epochs: float | None, lower_is_better: bool
) -> tuple[pd.Series, pd.Series | None]:
    require_columns(curves, ("run", "fraction", "score"), "curves")
    points = curves.loc[curves["run"].isin(final["run"])].reset_index(drop=True)
    points["score"] = numbers(points, "score", "curves", missing_allowed=False)
    points["fraction"] = numbers(points, "fraction", "curves", missing_allowed=False)
    points = points.loc[points["fraction"] > 0]
    bare = ~final["run"].isin(points["run"])
    if bare.any():
        raise TableError(
            f"curves: the run {final.loc[bare, 'run'].iloc[0]!r} has no evaluations after the "
            "start, other runs have; add them, or leave the curves out."
        )
    every = _with_final(final, points, lower_is_better)
    epoch = _epoch_numbers(points, epochs)
    if epoch is None:
        return every, None
    # The evaluation of an epoch is the last one within it.
    last = (
        points.assign(epoch=epoch)
        .sort_values("fraction", kind="stable")
        .drop_duplicates(["run", "epoch"], keep="last")
    )
    return every, _with_final(final, last, lower_is_better)


def _epoch_numbers(points: pd.DataFrame, epochs: float | None) -> pd.Series | None:
    if epochs is not None:
        progress = points["fraction"] * epochs
    elif "epoch" in points and points["epoch"].notna().all():
        progress = numbers(points, "epoch", "curves")
    else:
        return None
    # Progress 1.0 ends epoch 1; whole numbers are epochs already.
    return progress.sub(1e-6).map(math.ceil)


def _with_final(final: pd.DataFrame, points: pd.DataFrame, lower_is_better: bool) -> pd.Series:
    per_run = points.groupby("run")["score"]
    if lower_is_better:
        return final["run"].map(per_run.min()).clip(upper=final["score"])
    return final["run"].map(per_run.max()).clip(lower=final["score"])
