"""Tables of ``seedlab surface`` and ``seedlab barrier``: the loss around and between two runs."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.data.frames import integers, numbers, require_columns, texts
from analysis.errors import TableError
from analysis.table_file import read_frame

COLUMNS = ("failed", "successful", "start", "examples", "a", "b", "point", "loss")
BARRIER_COLUMNS = (
    *("first", "second", "examples", "metric", "direction"),
    *("at", "point", "loss", "score"),
)
POINTS = ("start", "failed", "successful")


def read_surface(path: str | os.PathLike[str]) -> pd.DataFrame:
    """One surface, sorted by a and b.

    Returns
    -------
    DataFrame
        ``failed, successful, start, examples, a, b, point, loss``: the two runs, the run whose
        start lies on the plane, the number of training examples, and a row per point. ``point``
        names the start and the two ends and is empty elsewhere; a loss may be NaN.

    Raises
    ------
    TableError
        A column or one of the three points is missing, a value cannot be parsed, or the
        points are no full grid of one pair of runs.
    """
    table = str(path)
    frame = read_frame(Path(path))
    require_columns(frame, COLUMNS, table)
    frame = frame[[*COLUMNS]].assign(
        **{name: texts(frame, name, table) for name in ("failed", "successful", "start")},
        **{name: numbers(frame, name, table, missing_allowed=False) for name in ("a", "b")},
        examples=integers(frame, "examples", table),
        loss=numbers(frame, "loss", table),
        point=frame["point"].fillna("").astype("str"),
    )
    if (frame[["failed", "successful", "start", "examples"]].nunique() > 1).any():
        raise TableError(f"{table}: holds several surfaces; keep one to a file.")
    if (
        len(frame) != frame["a"].nunique() * frame["b"].nunique()
        or frame.duplicated(["a", "b"]).any()
    ):
        raise TableError(
            f"{table}: the points are no full grid of a and b; make it again with `seedlab surface`."
        )
    missing = [name for name in POINTS if (frame["point"] == name).sum() != 1]
    if missing:
        raise TableError(f"{table}: the point {missing[0]!r} is not there exactly once.")
    return frame.sort_values(["a", "b"], kind="stable").reset_index(drop=True)


def barrier(surface: pd.DataFrame, end: str) -> float:
    """Height by which the loss on the straight line from the start to an end exceeds both.

    Parameters
    ----------
    surface : DataFrame
        Of `read_surface`.
    end : {"failed", "successful"}

    Returns
    -------
    float
        At least 0; NaN where a loss on the line is NaN.
    """
    moving, still = ("a", "b") if end == "failed" else ("b", "a")
    way = surface.loc[(surface[still] == 0) & surface[moving].between(0, 1), [moving, "loss"]]
    losses = way.sort_values(moving)["loss"].to_numpy(dtype=np.float64)
    return float(losses.max() - max(losses[0], losses[-1]))


def read_barrier(path: str | os.PathLike[str]) -> pd.DataFrame:
    """One line between two runs, from the first one to the second.

    Returns
    -------
    DataFrame
        ``first, second, examples, metric, direction, at, point, loss, score``: the two runs, the
        number of training examples, the metric with its direction (max or min), and a row per
        point. ``at`` rises from 0 to 1. ``point`` is ``first``, ``second`` or empty. A loss or a
        score may be NaN.

    Raises
    ------
    TableError
        A column or an end is missing, a value cannot be parsed, or the points are no line between
        one pair of runs.
    """
    table = str(path)
    frame = read_frame(Path(path))
    require_columns(frame, BARRIER_COLUMNS, table)
    frame = frame[[*BARRIER_COLUMNS]].assign(
        **{name: texts(frame, name, table) for name in ("first", "second", "metric", "direction")},
        **{name: numbers(frame, name, table) for name in ("loss", "score")},
        at=numbers(frame, "at", table, missing_allowed=False),
        examples=integers(frame, "examples", table),
        point=frame["point"].fillna("").astype("str"),
    )
    if (frame[[*BARRIER_COLUMNS[:5]]].nunique() > 1).any():
        raise TableError(f"{table}: holds several lines; keep one to a file.")
    frame = frame.sort_values("at", kind="stable").reset_index(drop=True)
    if (
        len(frame) < 3
        or (frame["at"].iloc[0], frame["at"].iloc[-1]) != (0.0, 1.0)
        or frame["at"].duplicated().any()
    ):
        raise TableError(
            f"{table}: the points are no line from 0 to 1; make it again with `seedlab barrier`."
        )
    if frame["direction"].iloc[0] not in ("max", "min"):
        raise TableError(
            f"{table}: direction is {frame['direction'].iloc[0]!r}; allowed: max, min."
        )
    return frame


def barrier_height(line: pd.DataFrame, quantity: str = "loss") -> float:
    """Height of the barrier on a line: its worst value against the mean of the ends.

    Frankle et al. 2020, section 2: max over t of L(t), minus (L(0) + L(1)) / 2. Of a score that is
    better when higher: the mean of the ends minus the lowest value.

    Parameters
    ----------
    line : DataFrame
        Of `read_barrier`.
    quantity : {"loss", "score"}

    Returns
    -------
    float
        At least half the difference of the ends; NaN where a value on the line is NaN.
    """
    worse = worseness(line, quantity)
    return float(worse.max() - (worse[0] + worse[-1]) / 2)


def worseness(line: pd.DataFrame, quantity: str) -> np.ndarray:
    """Values of a quantity in the order of the line, with their sign so that higher is worse."""
    higher_is_better = quantity == "score" and line["direction"].iloc[0] == "max"
    return line[quantity].to_numpy(dtype=np.float64) * (-1.0 if higher_is_better else 1.0)
