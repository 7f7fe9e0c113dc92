"""A plain table of scores as a study: one row per run, or per run and evaluation.

Columns ``task, init_seed, order_seed, score``, or ``seed`` in place of the two where one seed
decides both; optional ``recipe, model, run,
dropout_seed, fraction, epoch, step, failed, status, metric, majority,
n_examples, final_score, best_score, test_score, steps, seconds``; any others are kept. A table with a
``fraction`` (or ``epoch`` or ``step``) that varies within runs is in long form:
its rows are evaluations and carry the curves. An evaluation at 0 is the untrained model: it is in
the curves and never the score of a run.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.data.analysed_score import check_score, with_score
from analysis.data.curves import rows_with_test_scores
from analysis.data.frames import (
    flags,
    listed,
    refuse_rows,
    require_columns,
    texts,
)
from analysis.data.run_status import at_chance, finished_runs, marked_failed
from analysis.data.run_values import (
    check_majority_option,
    check_one_value_per_group,
    check_statuses,
    check_test_scale,
    seeds,
    typed_values,
    with_costs_of_runs,
)
from analysis.data.study import GROUP_COLUMNS, SEED_COLUMNS, Score, Study, cell_columns
from analysis.errors import TableError
from analysis.table_file import read_frame, refuse_repeated_names

TIME_COLUMNS = ("fraction", "step", "epoch")
DEFAULT_NAMES = {"model": "unspecified", "recipe": "default"}


def read_table(
    source: str | os.PathLike[str] | pd.DataFrame,
    *,
    metric: str | None = None,
    higher_is_better: bool = True,
    majority: float | Mapping[str, float] | None = None,
    score: Score = "best",
) -> Study:
    """A study from one table of scores.

    Parameters
    ----------
    source : path or DataFrame
        A ``.csv``, ``.tsv``, ``.jsonl``, ``.ndjson`` or ``.parquet`` file, or a frame.
    metric : str, optional
        Name of the metric. It selects rows where the table has a ``metric``
        column, names the score column where there is no ``score``, and is a
        label otherwise.
    higher_is_better : bool
        Direction of the metric. A ``higher_is_better`` column decides instead; False beside a
        column that says true is refused.
    majority : float or mapping of task to float, optional
        Score of the majority classifier (the metric's chance value). A
        ``majority`` column overrides it. A run whose final score does not beat
        it has failed, and a failed run without a score is given this value.
    score : {"best", "final", "test"}
        Which of a run's scores the analyses use (the column ``score``): ``best_score``,
        ``final_score`` or ``test_score``. Where the table has no ``best_score`` or ``final_score``,
        its ``score`` serves.

    Returns
    -------
    Study
        In long form ``best_score`` is the best evaluation of the run, ``final_score`` the last,
        and the best one that is analysed is that after step 0. ``fraction`` is the step
        (or epoch) over the largest one of its group where it is not given. Complete runs without a
        test score are in ``untested`` alone where test scores are analysed.

    Raises
    ------
    TableError
        A column is missing, a value cannot be parsed or is none that a run can have
        (`run_values`), a score is missing on a run that is not marked as failed, or two rows
        have the same cell; or no run has a test score and test scores are to be analysed.
    OptionError
        A majority value is not finite, or `score` is another name.
    """
    check_score(score)
    check_majority_option(majority)
    if isinstance(source, pd.DataFrame):
        table, frame = "the table", source.reset_index(drop=True)
        refuse_repeated_names([str(c) for c in frame.columns], table)
        if frame.empty:
            raise TableError("the table holds no rows; at least one run is needed.")
    else:
        table, frame = str(source), read_frame(Path(source))
    frame, name = _with_one_metric(frame, metric, table)
    frame = _with_both_seeds(frame, table)
    if "score" not in frame and {"best_score", "final_score"} <= set(frame.columns):
        frame["score"] = frame["final_score"]
    require_columns(frame, ("task", "init_seed", "order_seed", "score"), table)
    frame = _typed(frame, table)
    frame["metric"] = name
    if "higher_is_better" not in frame:
        frame["higher_is_better"] = higher_is_better
    elif not higher_is_better:
        refuse_rows(
            frame["higher_is_better"].to_numpy(dtype=bool),
            frame.index,
            "column 'higher_is_better' is true, but the metric was said to be better if lower "
            "(--lower-is-better); leave that out, or correct the column.",
            table,
        )
    if "majority" not in frame:
        frame["majority"] = _majority_of(frame["task"], majority)
    check_one_value_per_group(frame, table)

    time = next((c for c in TIME_COLUMNS if c in frame), None)
    key = ["run"] if "run" in frame else cell_columns(frame)
    if time is None or not frame.duplicated(key).any():
        if "run" not in frame:
            frame["run"] = [f"row{i + 1}" for i in range(len(frame))]
        frame = frame.drop(columns=[c for c in ("fraction", "epoch") if c in frame])
        runs = finished_runs(frame, table)
        study = Study(runs=runs.assign(score=runs["best_score"]))
    else:
        study = _long_form(frame, time, key, table)
    check_test_scale(study.runs, table)
    return with_score(study, score, table)


def _with_one_metric(
    frame: pd.DataFrame, metric: str | None, table: str
) -> tuple[pd.DataFrame, str]:
    if "metric" in frame.columns:
        names = texts(frame, "metric", table)
        known = sorted(set(names))
        if metric is None:
            if len(known) > 1:
                raise TableError(
                    f"{table}: the column 'metric' holds {len(known)} metrics "
                    f"({', '.join(known)}); choose one with metric=NAME."
                )
            return frame.copy(), known[0]
        if metric not in known:
            raise TableError(
                f"{table}: no row has the metric {metric!r}; allowed: {', '.join(known)}."
            )
        # The index keeps the rows' numbers in the file, for later refusals.
        return frame.loc[names == metric].copy(), metric
    if metric is not None and "score" not in frame.columns and metric in frame.columns:
        return frame.rename(columns={metric: "score"}), metric
    return frame.copy(), metric or "score"


def _with_both_seeds(frame: pd.DataFrame, table: str) -> pd.DataFrame:
    """The table with init and order seeds: a single ``seed`` decides both."""
    both = [column for column in ("init_seed", "order_seed") if column in frame]
    if "seed" not in frame:
        if not both:
            raise TableError(
                f"{table}: there is no column of seeds. It holds: "
                f"{listed(map(str, frame.columns))}. Name them 'init_seed' and 'order_seed', or "
                "'seed' where one seed decides initial weights and order."
            )
        return frame
    if both:
        raise TableError(
            f"{table}: the columns 'seed' and {' and '.join(map(repr, both))} are both there; "
            "allowed: 'init_seed' and 'order_seed', or 'seed' alone, which then is both. Remove or "
            "rename 'seed'."
        )
    seed = seeds(frame, "seed", table)
    return frame.assign(seed=seed, init_seed=seed, order_seed=seed)


def _typed(frame: pd.DataFrame, table: str) -> pd.DataFrame:
    for column in GROUP_COLUMNS:
        if column in frame:
            frame[column] = texts(frame, column, table)
        else:
            frame[column] = DEFAULT_NAMES[column]
    for column in ("run", "status"):
        if column in frame:
            frame[column] = texts(frame, column, table)
    for column in SEED_COLUMNS:
        if column in frame:
            frame[column] = seeds(frame, column, table)
    for column in (
        *("score", "final_score", "best_score", "test_score", "fraction", "epoch", "step"),
        *("majority", "n_examples", "steps", "seconds"),
    ):
        if column in frame:
            frame[column] = typed_values(frame, column, table)
    if "status" in frame:
        check_statuses(frame, table)
    if "higher_is_better" in frame:
        frame["higher_is_better"] = flags(frame, "higher_is_better", table)
        gap = frame["higher_is_better"].isna().to_numpy(dtype=bool)
        refuse_rows(
            gap, frame.index, "column 'higher_is_better' is empty; give true or false.", table
        )
        frame["higher_is_better"] = frame["higher_is_better"].astype("bool")
    if "failed" in frame:
        frame["failed"] = flags(frame, "failed", table)
    if "fraction" in frame:
        outside = ~frame["fraction"].between(0.0, 1.0).to_numpy(dtype=bool)
        refuse_rows(
            outside,
            frame.index,
            "column 'fraction' must be a fraction of training in [0, 1]; "
            "divide steps or percentages first.",
            table,
        )
    return frame


def _majority_of(tasks: pd.Series, majority: float | Mapping[str, float] | None) -> pd.Series:
    if isinstance(majority, Mapping):
        return tasks.map(dict(majority)).astype("float64")
    value = np.nan if majority is None else float(majority)
    return pd.Series(value, index=tasks.index, dtype="float64")


def _long_form(frame: pd.DataFrame, time: str, key: list[str], table: str) -> Study:
    refuse_rows(
        frame[time].isna().to_numpy(dtype=bool),
        frame.index,
        f"column {time!r} is empty; every row of a long table needs its {time}.",
        table,
    )
    if time != "fraction":
        longest = frame.groupby(list(GROUP_COLUMNS))[time].transform("max")
        frame["fraction"] = (frame[time] / longest.where(longest > 0, 1.0)).astype("float64")
    if "run" not in frame:
        frame["run"] = frame.groupby(key, sort=False, dropna=False).ngroup().map("run{}".format)
    twice = frame.duplicated(["run", time]).to_numpy(dtype=bool)
    refuse_rows(twice, frame.index, f"a second row for the same run and {time}; remove one.", table)
    fixed = [c for c in ("seed", *cell_columns(frame), "status", "failed") if c in frame]
    for column in fixed:
        first = frame.groupby("run")[column].transform("first")
        changed = (frame[column].ne(first) & ~(frame[column].isna() & first.isna())).fillna(True)
        refuse_rows(
            changed.to_numpy(dtype=bool),
            frame.index,
            f"column {column!r}: differs from the earlier rows of the same run; "
            "a run has one value. Give each run its own name in the column 'run'.",
            table,
        )
    frame, tested = rows_with_test_scores(frame, table)
    frame = with_costs_of_runs(frame)
    frame["_diverged"] = frame["score"].isna()
    frame["score"] = at_chance(frame, "score", table, incomplete_may_lack=False)
    ordered = frame.sort_values(["run", "fraction"], kind="stable")
    # Turned round where lower is better, so that one maximum serves both.
    signed = ordered["score"].where(ordered["higher_is_better"], -ordered["score"])
    best = ordered.loc[signed.groupby(ordered["run"]).idxmax()].set_index("run")["score"]
    after = ordered.loc[ordered["fraction"] > 0]
    first = signed[after.index].groupby(after["run"]).idxmax()
    chosen = after.loc[first].set_index("run")["score"]
    per_run = ordered.groupby("run", sort=False)
    ends = ordered.drop_duplicates("run", keep="last").set_index("run")
    runs = frame.drop_duplicates("run").drop(
        columns=["fraction", "epoch", "step", "_diverged"], errors="ignore"
    )
    runs["best_score"], runs["score"] = runs["run"].map(best), runs["run"].map(chosen)
    refuse_rows(
        (runs["score"].isna() & ~marked_failed(runs)).to_numpy(dtype=bool),
        runs.index,
        f"the run has no evaluation after {time} 0, the untrained model, which is never its score; "
        "add a later evaluation or remove the run.",
        table,
    )
    runs["final_score"] = runs["run"].map(ends["score"])
    if tested:
        runs["test_score"] = runs["run"].map(ends["test_score"])
    runs["diverged"] = runs["run"].map(per_run["_diverged"].any()).astype("bool")
    columns = ["run", "fraction", "epoch", "step", "score", *(["test_score"] if tested else [])]
    curves = ordered.reindex(columns=columns).reset_index(drop=True)
    return Study(
        runs=finished_runs(runs, table),
        curves=curves.astype({"epoch": "float64", "step": "float64"}),
    )
