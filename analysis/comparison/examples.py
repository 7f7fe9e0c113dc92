"""Texts and clusters of the predicted examples, from a table with a row per example."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.comparison.clusters import codes_of
from analysis.data.frames import (
    integers,
    is_missing,
    listed,
    numbers,
    refuse_rows,
    require_columns,
    texts,
)
from analysis.data.study import Study
from analysis.errors import TableError
from analysis.names import unprintable
from analysis.table_file import read_frame

ABOUT = ("cluster", "text")
SECOND = "pair"
"""Column of the second text of an example, which is joined to the first."""
BETWEEN = " | "


def read_examples(path: str | os.PathLike[str], study: Study) -> Study:
    """The study with the texts and clusters of its examples from a file; see `with_examples`."""
    return with_examples(study, read_frame(Path(path)), str(path))


def with_examples(study: Study, frame: pd.DataFrame, table: str = "examples") -> Study:
    """The study with the columns ``cluster`` and ``text`` in its predictions.

    Parameters
    ----------
    study : Study
        With predictions.
    frame : DataFrame
        A row per example: ``example``, its index in the scored split, counted from 0, as in the
        table of predictions; ``cluster`` (a name) or ``text`` or both; ``task`` where
        the study has several; ``pair``, a second text; ``label``, compared with that of the
        predictions; ``split``, where rows of other splits are passed over. Other columns are too.
    table : str
        Name of the frame in messages.

    Raises
    ------
    TableError
        The study has no predictions, or the table does not fit them: a column is missing, an
        example is missing, occurs twice or was not predicted, a label differs, or a cluster
        is missing or the only one.
    """
    if study.predictions is None:
        raise TableError(
            f"{table}: clusters and texts of examples belong to predictions, and there are none; "
            "give the examples with a study that recorded its final logits, or leave them out."
        )
    require_columns(frame, ("example",), table)
    given = [column for column in ABOUT if column in frame]
    if not given:
        raise TableError(
            f"{table}: neither the column 'cluster' nor 'text' is there; allowed: one of them or "
            f"both. It holds: {listed(map(str, frame.columns))}. Add a column."
        )
    frame = frame.assign(task=_tasks(study, frame, table))
    frame = _of_split(study, frame, table)
    frame = frame.assign(example=integers(frame, "example", table))
    twice = frame.duplicated(["task", "example"]).to_numpy(dtype=bool)
    refuse_rows(twice, frame.index, "a second row for the same example; keep one.", table)
    if "cluster" in frame:
        frame = frame.assign(cluster=texts(frame, "cluster", table))
    if "text" in frame:
        frame = frame.assign(text=_whole_texts(frame))
    joined = study.predictions.drop(columns=given, errors="ignore")
    joined = joined.assign(task=joined["run"].map(study.runs.set_index("run")["task"]))
    for task, part in frame.groupby("task", sort=False):
        _check_fit(joined.loc[joined["task"] == task], part, str(task), table)
    about = frame[["task", "example", *given]].astype(dict.fromkeys(given, object))
    joined = joined.merge(about, on=["task", "example"], how="left", validate="many_to_one")
    return dataclasses.replace(study, predictions=joined.drop(columns="task"))


def _tasks(study: Study, frame: pd.DataFrame, table: str) -> pd.Series:
    assert study.predictions is not None
    runs = study.runs.loc[study.runs["run"].isin(study.predictions["run"])]
    known = list(dict.fromkeys(runs["task"]))
    if "task" in frame:
        named = texts(frame, "task", table)
        refuse_rows(
            ~named.isin(known).to_numpy(dtype=bool),
            frame.index,
            f"column 'task': no run with predictions has this task; allowed: {listed(known)}. "
            "Correct the name or remove the row.",
            table,
        )
        return named
    if len(known) > 1:
        raise TableError(
            f"{table}: the column 'task' is missing, and there are predictions of {len(known)} tasks: "
            f"{listed(known)}. Add the column."
        )
    return pd.Series(known[0], index=frame.index)


def _of_split(study: Study, frame: pd.DataFrame, table: str) -> pd.DataFrame:
    """The rows of the split that the runs were scored on, where the table names splits."""
    if "split" not in frame or "split" not in study.runs:
        return frame
    scored = frame["task"].map(study.runs.groupby("task")["split"].first())
    kept = frame.loc[(texts(frame, "split", table) == scored).to_numpy(dtype=bool)]
    if kept.empty:
        raise TableError(
            f"{table}: column 'split': no row is of the split that was predicted; allowed: "
            f"{listed(sorted(set(scored)))}. Give the examples of that split."
        )
    return kept


def _whole_texts(frame: pd.DataFrame) -> pd.Series:
    """Texts on one line, with their pairs; characters that can't be shown become blanks."""
    parts = [
        frame[column].astype("object").where(~is_missing(frame[column]), "")
        for column in ("text", SECOND)
        if column in frame
    ]
    lines = []
    for row in zip(*parts, strict=True):
        line = BETWEEN.join(" ".join(str(text).split()) for text in row if text)
        while (character := unprintable(line)) is not None:
            line = line.replace(character, " ")
        lines.append(line)
    return pd.Series(lines, index=frame.index, dtype="object")


def _check_fit(predicted: pd.DataFrame, part: pd.DataFrame, task: str, table: str) -> None:
    """Refuse rows of examples that were not predicted, missing examples, and other labels."""
    labels = predicted.drop_duplicates("example").set_index("example")["label"]
    first, last, n = labels.index.min(), labels.index.max(), len(labels)
    refuse_rows(
        ~part["example"].isin(labels.index).to_numpy(dtype=bool),
        part.index,
        f"column 'example': it was not predicted; {task} has predictions of {n} examples, "
        f"{first} to {last}. Give the examples of the split that was scored, counted from 0.",
        table,
    )
    absent = np.setdiff1d(labels.index.to_numpy(), part["example"].to_numpy())
    if len(absent):
        raise TableError(
            f"{table}: {len(absent)} of the {n} predicted examples of {task} have no row, the first "
            f"is example {absent[0]}. Add them."
        )
    if "label" in part:
        given = numbers(part, "label", table, missing_allowed=False).to_numpy()
        other = np.abs(given - part["example"].map(labels).to_numpy(dtype=np.float64)) > 1e-6
        refuse_rows(
            other,
            part.index,
            "column 'label': the predictions have another label for this example, so the rows are "
            "of other data or in another order. Correct them, or leave the column out.",
            table,
        )
    if "cluster" in part:
        try:
            codes_of(part["cluster"].to_numpy(dtype=object), len(part))
        except TableError as error:
            raise TableError(f"{table}: {task}: {error}") from error
