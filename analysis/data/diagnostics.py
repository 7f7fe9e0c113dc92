"""The tables of diagnostics that ``seedlab export`` writes where runs recorded them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.data.frames import integers, numbers, refuse_rows, texts
from analysis.errors import TableError

REQUIRED = {
    "profiles": ("run", "step", "name", "depth", "value"),
    "representations": ("run", "depth", "example", "values"),
}


def profiles_of(frame: pd.DataFrame, table: str) -> pd.DataFrame:
    """Diagnostics by depth: ``run, step, name, depth, value``, sorted.

    Raises
    ------
    TableError
        A value is of the wrong kind, or there are two for one run, step, name and depth.
    """
    frame = frame.assign(
        run=texts(frame, "run", table),
        name=texts(frame, "name", table),
        step=integers(frame, "step", table),
        depth=integers(frame, "depth", table),
        # NaN is allowed: a diverged run has gradients that are not finite.
        value=numbers(frame, "value", table),
    )
    keys = ["run", "name", "step", "depth"]
    twice = frame.duplicated(keys).to_numpy(dtype=bool)
    refuse_rows(twice, frame.index, "a second value for the same run, name, step and depth.", table)
    return frame.sort_values(keys, kind="stable")[[*REQUIRED["profiles"]]].reset_index(drop=True)


def representations_of(frame: pd.DataFrame, table: str) -> pd.DataFrame:
    """First tokens: ``run, depth, example, values`` (one array of floats per row), sorted.

    Raises
    ------
    TableError
        There are two rows for one run, depth and example, or a run's rows differ in length.
    """
    frame = frame.assign(
        run=texts(frame, "run", table),
        depth=integers(frame, "depth", table),
        example=integers(frame, "example", table),
    )
    keys = ["run", "depth", "example"]
    twice = frame.duplicated(keys).to_numpy(dtype=bool)
    refuse_rows(twice, frame.index, "a second row for the same run, depth and example.", table)
    widths = frame["values"].map(np.size)
    if (widths.groupby([frame["run"], frame["depth"]]).nunique() > 1).any():
        raise TableError(
            f"{table}: the lists of one run and depth differ in length; export the study again."
        )
    return frame.sort_values(keys, kind="stable").reset_index(drop=True)
