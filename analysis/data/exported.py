"""The tables that ``seedlab export`` writes, as a study.

The folder holds ``schema.json`` and ``runs``, ``evaluations``, ``steps``,
``predictions`` and diagnostics as Parquet or CSV; all but ``runs`` may be absent.
Nothing of seedlab is imported: the tables are the interface.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.data import diagnostics as diagnostic_tables
from analysis.data.analysed_score import check_score, chosen_scores, with_score
from analysis.data.curves import joined_test_curve
from analysis.data.frames import (
    flags,
    integers,
    numbers,
    refuse_rows,
    require_columns,
    texts,
)
from analysis.data.labels import SETTINGS, in_order_of_settings, recipes_by_setting
from analysis.data.predictions import read_predictions
from analysis.data.run_status import finished_runs
from analysis.data.run_values import (
    check_one_value_per_group,
    check_statuses,
    direction,
    seeds,
    typed_values,
)
from analysis.data.study import SEED_COLUMNS, Score, Study
from analysis.errors import TableError
from analysis.table_file import read_frame

SCHEMA_VERSION = 1
TABLES = ("runs", "evaluations", "steps", "predictions", "profiles", "representations", "rates")
REQUIRED = {
    "runs": ("run", "task", "init_seed", "order_seed", "status", "metric", "final_score"),
    "evaluations": ("run", "fraction", "metric", "value"),
    "steps": ("run", "step", "train_loss"),
    "predictions": ("run", "example", "label"),
    "rates": ("setting", "step", "depth", "rate"),
    **diagnostic_tables.REQUIRED,
}
NUMBERS = (
    *("final_score", "best_score", "best_step", "chosen_score", "chosen_step"),
    *("majority", "n_examples", "test_score", "seconds", "steps"),
    *("unknown_tokens", "unknown_tokens_train"),
)


def read_study(folder: str | os.PathLike[str], *, score: Score = "best") -> Study:
    """A study from the folder of tables that ``seedlab export`` wrote.

    Runs of one recipe that differ in a setting are different recipes here. They have the label of
    the exported table: ``devlin, reinit.layers=3``. ``recipe_name`` is the recipe alone.

    Parameters
    ----------
    folder : path
        Folder with ``schema.json`` and the tables.
    score : {"best", "final", "test"}
        Which of a run's scores the analyses use (the column ``score``): the best evaluation after
        step 0 (``chosen_score``; see :mod:`analysis.data.analysed_score`), the last score, or the
        score on the test set. Complete runs without a test score are then in ``untested`` alone.

    Raises
    ------
    TableError
        The folder, a table or a column is missing, the schema version is
        not supported, a value cannot be parsed, a cell occurs twice, a run
        has no evaluation after step 0 to choose, or no run has a test score.
    OptionError
        `score` is another name.
    """
    check_score(score)
    root = Path(folder)
    described = _checked_schema(root)
    frames = {name: _table(root, name) for name in TABLES}
    if frames["runs"] is None:
        raise TableError(
            f"{root}: there is no runs.parquet or runs.csv; export the study again, "
            "or read a plain table with read_table()."
        )
    settings = _setting_columns(described, frames["runs"])
    runs = _runs(frames["runs"], frames["evaluations"], score, f"{root}/runs")
    runs = in_order_of_settings(runs, settings)
    evaluations, steps, predictions, profiles, tokens, rates = (frames[name] for name in TABLES[1:])
    study = Study(
        runs=runs,
        curves=None if evaluations is None else _curves(evaluations, runs, f"{root}/evaluations"),
        steps=None if steps is None else _steps(steps, f"{root}/steps"),
        predictions=(
            None
            if predictions is None
            else read_predictions(predictions, runs, f"{root}/predictions")
        ),
        test_predictions=(
            None
            if predictions is None
            else read_predictions(predictions, runs, f"{root}/predictions", test=True)
        ),
        profiles=(
            None
            if profiles is None
            else diagnostic_tables.profiles_of(profiles, f"{root}/profiles")
        ),
        representations=(
            None
            if tokens is None
            else diagnostic_tables.representations_of(tokens, f"{root}/representations")
        ),
        rates=None if rates is None else _rates(rates, f"{root}/rates"),
        settings=settings,
    )
    return with_score(study, score, str(root))


def _checked_schema(root: Path) -> dict[str, Any]:
    path = root / "schema.json"
    if not path.is_file():
        raise TableError(
            f"{root}: there is no schema.json, so this is no exported study; export it with "
            "`seedlab export`, or read a plain table with read_table()."
        )
    try:
        schema = json.loads(path.read_text(encoding="utf-8"))
        version = schema["schema_version"]
        listed = list(schema.get("tables", ()))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise TableError(
            f"{path}: is not an object with a schema_version ({error}); export the study again."
        ) from error
    if version != SCHEMA_VERSION:
        raise TableError(
            f"{path}: schema version {version!r}; this version reads {SCHEMA_VERSION}. "
            "Export the study again with the version that is installed."
        )
    for name in listed:
        if name in TABLES and _path(root, name) is None:
            raise TableError(
                f"{path}: lists the table {name!r}, but there is no {name}.parquet or {name}.csv; "
                "export the study again."
            )
    return dict(schema)


def _setting_columns(schema: dict[str, Any], runs: pd.DataFrame) -> tuple[str, ...]:
    """Columns of settings: those whose key the schema names; earlier exports name none."""
    tables = schema.get("tables")
    columns = tables.get("runs") if isinstance(tables, dict) else None
    keyed = [n for n, c in columns.items() if "key" in c] if isinstance(columns, dict) else []
    return tuple(name for name in keyed or SETTINGS if name in runs)


def _path(root: Path, name: str) -> Path | None:
    candidates = (root / f"{name}.parquet", root / f"{name}.csv")
    return next((path for path in candidates if path.is_file()), None)


def _table(root: Path, name: str) -> pd.DataFrame | None:
    path = _path(root, name)
    if path is None:
        return None
    frame = read_frame(path, empty_allowed=name != "runs")
    require_columns(frame, REQUIRED[name], str(path))
    return None if frame.empty else frame


def _runs(
    frame: pd.DataFrame, evaluations: pd.DataFrame | None, score: str, table: str
) -> pd.DataFrame:
    frame = frame.copy()
    for column, default in (("model", "unspecified"), ("recipe", "default")):
        if column not in frame:
            frame[column] = default
    for column in ("run", "task", "model", "recipe", "status", "metric"):
        frame[column] = texts(frame, column, table)
    for column in SEED_COLUMNS:
        if column in frame:
            optional = column not in ("init_seed", "order_seed")
            frame[column] = seeds(frame, column, table, missing_allowed=optional)
    check_statuses(frame, table)
    for column in NUMBERS:
        if column in frame:
            frame[column] = typed_values(frame, column, table)
    if "majority" not in frame:
        frame["majority"] = np.nan
    if "failed" in frame:
        frame["failed"] = flags(frame, "failed", table)
    frame["higher_is_better"] = direction(frame, table)
    if "best_score" not in frame:
        frame["best_score"] = frame["final_score"]
    if score == "best":
        frame[["chosen_score", "chosen_step"]] = chosen_scores(frame, evaluations, table)
    frame["score"] = frame["chosen_score" if score == "best" else "final_score"]
    frame["recipe_name"] = frame["recipe"]
    if "label" in frame:
        frame["recipe"] = texts(frame, "label", table)
    elif "setting" in frame:
        frame["recipe"] = recipes_by_setting(frame)
    check_one_value_per_group(frame, table)
    return finished_runs(frame, table)


def _curves(frame: pd.DataFrame, runs: pd.DataFrame, table: str) -> pd.DataFrame | None:
    frame = frame.copy()
    for column in ("run", "metric", *(["split"] if "split" in frame else [])):
        frame[column] = texts(frame, column, table)
    for column in ("fraction", "value", "epoch", "step"):
        frame[column] = typed_values(frame, column, table) if column in frame else np.nan
    by_run = runs.set_index("run")
    orphan = ~frame["run"].isin(by_run.index).to_numpy(dtype=bool)
    refuse_rows(orphan, frame.index, "column 'run': there is no such run in the runs table.", table)
    frame = frame.loc[frame["metric"] == frame["run"].map(by_run["metric"])]
    every = frame
    if "split" in frame and "split" in runs:
        frame = frame.loc[frame["split"] == frame["run"].map(by_run["split"])]
    if frame.empty:
        return None
    outside = ~frame["fraction"].between(0.0, 1.0).to_numpy(dtype=bool)
    refuse_rows(outside, frame.index, "column 'fraction' must be in [0, 1].", table)
    twice = frame.duplicated(["run", "fraction"]).to_numpy(dtype=bool)
    refuse_rows(
        twice,
        frame.index,
        "a second value for the same run, metric and fraction; keep one split and one row.",
        table,
    )
    # From the step at which its loss became NaN, a run has the chance value.
    frame["score"] = frame["value"].where(
        frame["value"].notna(), frame["run"].map(by_run["majority"])
    )
    refuse_rows(
        frame["score"].isna().to_numpy(dtype=bool),
        frame.index,
        "column 'value': the score is missing and the run's majority value is unknown; "
        "record the majority value in the runs table.",
        table,
    )
    frame = frame.sort_values(["run", "fraction"], kind="stable")
    curves = frame[["run", "fraction", "epoch", "step", "score"]].reset_index(drop=True)
    return joined_test_curve(curves, every) if "split" in every else curves


def _steps(frame: pd.DataFrame, table: str) -> pd.DataFrame:
    frame = frame.assign(run=texts(frame, "run", table), step=integers(frame, "step", table))
    # NaN is allowed: a diverged run has losses that are not finite.
    frame["train_loss"] = numbers(frame, "train_loss", table)
    return frame.sort_values(["run", "step"], kind="stable").reset_index(drop=True)


def _rates(frame: pd.DataFrame, table: str) -> pd.DataFrame:
    frame = frame.assign(
        setting=texts(frame, "setting", table), step=integers(frame, "step", table)
    )
    # An empty depth stands for all depths.
    frame["depth"] = numbers(frame, "depth", table)
    frame["rate"] = numbers(frame, "rate", table)
    return frame
