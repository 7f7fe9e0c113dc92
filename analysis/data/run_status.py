"""The end of a run: its status, its failure, and its scores.

A failed run is a row with its real score, or with the metric's chance value
where its loss became NaN. It is never left out.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.data.frames import refuse_rows
from analysis.data.run_values import check_best_scores
from analysis.data.study import COMPLETE_STATUSES, FAILED_STATUSES, refuse_duplicate_cells

LEADING_COLUMNS = (
    "run",
    "task",
    "model",
    "recipe",
    "init_seed",
    "order_seed",
    "status",
    "complete",
    "failed",
    "diverged",
    "score",
    "final_score",
    "best_score",
    "metric",
    "higher_is_better",
    "majority",
    "n_examples",
)


def finished_runs(runs: pd.DataFrame, table: str) -> pd.DataFrame:
    """Typed rows of runs with every column that `Study.runs` promises.

    Parameters
    ----------
    runs : DataFrame
        One typed row per run with ``run``, the group, the seeds, ``score`` and/or
        ``final_score`` and ``best_score``, ``metric``, ``higher_is_better`` and
        ``majority``; the index holds the row numbers of the source, from 0.
    table : str
        Name of the source, for messages.

    Raises
    ------
    TableError
        A complete run has no score and is not marked as failed, a failed one
        has none and no majority value is known, or a run or cell occurs twice.
    """
    runs = runs.copy()
    refuse_rows(
        runs["run"].duplicated().to_numpy(dtype=bool),
        runs.index,
        "column 'run': the name occurs a second time; each run needs its own.",
        table,
    )
    refuse_duplicate_cells(runs, table)
    check_best_scores(runs, table)
    if "status" not in runs:
        runs["status"] = "finished"
    runs["complete"] = runs["status"].isin(COMPLETE_STATUSES).astype("bool")
    known = [c for c in ("final_score", "best_score", "score") if c in runs]
    lost = runs["status"] == "diverged"
    for column in known:
        lost |= runs[column].isna() & runs["complete"]
        runs[column] = at_chance(runs, column, table)
    runs["diverged"] = (lost | runs["diverged"]) if "diverged" in runs else lost
    score = runs["score"] if "score" in runs else runs[known[-1]]
    runs["score"] = score
    for column in ("final_score", "best_score"):
        runs[column] = runs.get(column, score)
    runs["failed"] = _failed(runs)
    if "n_examples" not in runs:
        runs["n_examples"] = np.nan
    rest = [c for c in runs.columns if c not in LEADING_COLUMNS]
    return runs[[*LEADING_COLUMNS, *rest]].reset_index(drop=True)


def at_chance(
    runs: pd.DataFrame, column: str, table: str, *, incomplete_may_lack: bool = True
) -> pd.Series:
    """A score column with the majority value in place of missing scores of failed runs.

    Scores of incomplete runs may stay missing if `incomplete_may_lack`; any
    other gap is refused.
    """
    scores = runs[column]
    gap = scores.isna()
    if "status" in runs and incomplete_may_lack:
        gap &= runs["status"].isin(COMPLETE_STATUSES)
    marked = marked_failed(runs)
    refuse_rows(
        (gap & ~marked).to_numpy(dtype=bool),
        runs.index,
        f"column {column!r}: the score is missing or not finite; allowed is a gap only in a run "
        "that is marked as failed. Give the score, or set failed to true or status to 'failed'.",
        table,
    )
    refuse_rows(
        (gap & marked & runs["majority"].isna()).to_numpy(dtype=bool),
        runs.index,
        f"column {column!r}: the failed run has no score and the metric's chance value is "
        "unknown; give majority=VALUE (a run whose loss became NaN has the chance value).",
        table,
    )
    return scores.where(~gap, runs["majority"])


def marked_failed(runs: pd.DataFrame) -> pd.Series:
    """Which rows say themselves that their run failed."""
    marked = pd.Series(False, index=runs.index)
    if "failed" in runs:
        marked |= runs["failed"].fillna(False).astype("bool")
    if "status" in runs:
        marked |= runs["status"].isin(FAILED_STATUSES)
    return marked


def _failed(runs: pd.DataFrame) -> pd.Series:
    """The failure of each run: as given, else judged on the final score.

    A run fails when it does not beat the majority value (equal is a failure). By metrics such as
    Matthews' correlation that is a lower bound of the failures: chance scores a little above 0 in
    half of the cases, and without predictions it can't be told from a small success. Tables that
    seedlab exported say themselves which runs failed.
    An incomplete run is not judged: its final score is unknown.
    """
    sign = np.where(runs["higher_is_better"], 1.0, -1.0)
    # A comparison with an unknown majority is false both ways: not judged a failure.
    beaten = (sign * (runs["final_score"] - runs["majority"])) <= 0
    judged: pd.Series = (beaten & runs["complete"]) | marked_failed(runs) | runs["diverged"]
    if "failed" in runs:
        given = runs["failed"]
        judged = judged.where(given.isna(), given.fillna(False).astype("bool"))
    return judged.astype("bool")
