"""Values that no run can have: each is refused with its row, its column and the remedy."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from analysis.data.frames import counted, integers, numbers, refuse_rows, texts
from analysis.data.study import COMPLETE_STATUSES, GROUP_COLUMNS
from analysis.errors import OptionError, TableError

STATUSES = (*sorted(COMPLETE_STATUSES), "stopped", "running")
# Squares of larger scores, which every variance needs, come near the end of the floats.
LARGEST_SCORE = 1e100
# Scores that were written with other numbers of digits differ by rounding.
ROUNDED = 1e-9
UPWARD = frozenset({"max", "maximize", "maximise", "higher", "up", "true", "1"})
DOWNWARD = frozenset({"min", "minimize", "minimise", "lower", "down", "false", "0"})
COSTS = ("steps", "seconds")
OF_GROUP = ("higher_is_better", "majority", "n_examples")


def typed_values(frame: pd.DataFrame, column: str, table: str) -> pd.Series:
    """A column of runs as numbers of its kind: scores, majority, n_examples, or any other.

    Raises
    ------
    TableError
        A score is beyond 1e100, a majority value is infinite, n_examples is no whole
        number from 1 on, or a cost is below 0 or infinite.
    """
    if column == "n_examples":
        return counted(frame, column, table)
    values = numbers(
        frame, column, table, infinite_allowed=column not in ("majority", "test_score", *COSTS)
    )
    if column in ("majority", "value") or column.endswith("score"):
        bad = (values.abs() > LARGEST_SCORE).to_numpy(dtype=bool)
        what = f"too large to compute with; allowed: magnitudes up to {LARGEST_SCORE:g}"
    elif column in ("step", "epoch"):
        bad = (values < 0).to_numpy(dtype=bool)
        what = "below 0; allowed: numbers from 0, the start of training, on"
    elif column in COSTS:
        bad = (values < 0).to_numpy(dtype=bool)
        what = "below 0; allowed: numbers from 0 on, the cost of the run so far"
    else:
        return values
    if bad.any():
        got = values.iloc[int(np.flatnonzero(bad)[0])]
        refuse_rows(
            bad,
            frame.index,
            f"column {column!r}: {got:g} is {what}. Correct the value or remove the row.",
            table,
        )
    return values


def seeds(
    frame: pd.DataFrame, column: str, table: str, *, missing_allowed: bool = False
) -> pd.Series:
    """A column of seeds: whole numbers from 0 to 2^63 - 1."""
    return integers(frame, column, table, missing_allowed=missing_allowed, least=0)


def direction(frame: pd.DataFrame, table: str) -> pd.Series:
    """Whether higher scores are better, from an exported direction; True where there is none."""
    column = next((c for c in ("direction", "higher_is_better") if c in frame), None)
    if column is None:
        return pd.Series(True, index=frame.index)
    lowered = texts(frame, column, table).str.lower()
    refuse_rows(
        ~lowered.isin(UPWARD | DOWNWARD).to_numpy(dtype=bool),
        frame.index,
        f"column {column!r}: is no direction; allowed: 'max' (higher is better) or 'min'.",
        table,
    )
    return lowered.isin(UPWARD).astype("bool")


def check_statuses(frame: pd.DataFrame, table: str) -> None:
    """Refuse a status that is not known: it would silently leave its run out."""
    unknown = ~frame["status"].isin(STATUSES).to_numpy(dtype=bool)
    if not unknown.any():
        return
    got = str(frame["status"].iloc[int(np.flatnonzero(unknown)[0])])
    near = difflib.get_close_matches(got.lower(), STATUSES, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    refuse_rows(
        unknown,
        frame.index,
        f"column 'status': {got!r} is no status; allowed: {', '.join(STATUSES)}.{hint} Correct "
        "the value.",
        table,
    )


def check_one_value_per_group(frame: pd.DataFrame, table: str) -> None:
    """Refuse a direction, majority value or number of examples that changes within a group."""
    for column in OF_GROUP:
        if column not in frame:
            continue
        # An exported table calls the direction by another name.
        if column == "higher_is_better" and "direction" in frame:
            column = "direction"
        given = frame.loc[frame[column].notna(), [*GROUP_COLUMNS, column]]
        first = given.groupby(list(GROUP_COLUMNS), sort=False)[column].transform("first")
        changed = (given[column] != first).to_numpy(dtype=bool)
        if changed.any():
            at = int(np.flatnonzero(changed)[0])
            refuse_rows(
                changed,
                given.index,
                f"column {column!r}: {given[column].iloc[at]} differs from {first.iloc[at]} in an "
                "earlier row of the same task, model and recipe; allowed: one value for all of "
                "them. Correct it, or give the rows a task or recipe of their own.",
                table,
            )


def check_best_scores(runs: pd.DataFrame, table: str) -> None:
    """Refuse a best score that is worse than the final one, which is among those compared.

    A diverged run's final score is the chance value, which its evaluations need not reach.
    """
    if not {"best_score", "final_score"} <= set(runs.columns):
        return
    best, final = (runs[c].to_numpy(dtype=np.float64) for c in ("best_score", "final_score"))
    sign = np.where(runs["higher_is_better"], 1.0, -1.0)
    worse = sign * (final - best) > ROUNDED * np.maximum(np.abs(best), np.abs(final))
    if "status" in runs:
        worse = worse & (runs["status"] != "diverged").to_numpy(dtype=bool)
    if worse.any():
        at = int(np.flatnonzero(worse)[0])
        word = "higher" if bool(runs["higher_is_better"].iloc[at]) else "lower"
        refuse_rows(
            worse,
            runs.index,
            f"column 'best_score': {best[at]:g} is worse than the final score "
            f"{final[at]:g} ({word} is better); the best evaluation can't be. Correct the "
            "scores, or the direction of the metric.",
            table,
        )


def with_costs_of_runs(frame: pd.DataFrame) -> pd.DataFrame:
    """A long table with each run's cost in all of its rows.

    ``steps`` and ``seconds`` may stand in one row of a run, in all, or grow from row to row: the
    largest is that of the run. Without ``steps`` the last ``step`` is the number of updates.
    """
    if "step" in frame and "steps" not in frame:
        frame = frame.assign(steps=frame["step"])
    known = [column for column in COSTS if column in frame]
    largest = {c: frame.groupby("run")[c].transform("max") for c in known}
    return frame.assign(**largest)


def check_test_scale(runs: pd.DataFrame, table: str) -> None:
    """Refuse test scores in percent beside fractions, or the reverse, where higher is better.

    Accuracies, F1 and correlations are at most 1. So the scores of one group are on two scales where
    none exceeds 1 and most test scores do, or the reverse.
    """
    if "test_score" not in runs:
        return
    up = runs.loc[runs["higher_is_better"] & runs[["score", "test_score"]].notna().all(axis=1)]
    for key, part in up.groupby(list(GROUP_COLUMNS), sort=False):
        score, test = part["score"], part["test_score"]
        one, other = score.max() <= 1 < test.median(), test.max() <= 1 < score.median()
        if one or other:
            raise TableError(
                f"{table}: {key[0]}, {key[2]}: column 'test_score' is {test.median():g} in the middle, "
                f"and the score {score.median():g}: fractions beside percentages. Give both on one "
                "scale."
            )


def check_majority_option(majority: float | Mapping[str, float] | None) -> None:
    """Refuse a majority value that is given as an option and is not finite."""
    given = majority if isinstance(majority, Mapping) else {"": majority}
    for task, value in given.items():
        if value is not None and not (math.isfinite(value) and abs(value) <= LARGEST_SCORE):
            of = f" of {task!r}" if task else ""
            raise OptionError(
                f"majority{of} is {value}; allowed: a finite number, the score of the majority "
                "classifier. Leave it out where it is unknown."
            )
