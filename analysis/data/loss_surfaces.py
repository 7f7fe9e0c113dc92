"""Tables that ``seedlab surface`` writes: the loss on the plane through two runs."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.data.frames import integers, numbers, require_columns, texts
from analysis.errors import TableError
from analysis.table_file import read_frame

COLUMNS = ("failed", "successful", "start", "examples", "a", "b", "point", "loss")
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
