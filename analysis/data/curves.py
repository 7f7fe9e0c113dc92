"""Pools of complete learning curves, from tidy tables of evaluations.

A pool is all runs of one task and recipe, every one evaluated at the same
fractions of training up to its end. Nothing is interpolated or filled. Test scores stand beside the
validation scores of a curve where both were recorded.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.data.frames import numbers, refuse_rows, require_columns
from analysis.errors import TableError

FloatArray = npt.NDArray[np.float64]

# Recorded fractions are exact ratios of steps; trainings are shorter than this.
LARGEST_STEP_COUNT = 1_000_000
TEST_SPLIT = "test"


@dataclasses.dataclass(frozen=True)
class CurvePool:
    """Complete curves of one task and recipe, higher always better.

    Attributes
    ----------
    task, recipe : str
    runs : tuple of R names
    steps : array of int64, shape (T,)
        Times of the evaluations in whole units; increasing, the last is the
        length of a full training.
    scores : array of float64, shape (R, T)
        Negated when lower is better.
    sign : 1.0 or -1.0
        Factor that turns `scores` back into those of the table.
    """

    task: str
    recipe: str
    runs: tuple[str, ...]
    steps: npt.NDArray[np.int64]
    scores: FloatArray
    sign: float = 1.0

    @property
    def fractions(self) -> FloatArray:
        """Times of the evaluations as fractions of a full training, shape (T,)."""
        return np.asarray(self.steps / self.steps[-1])

    @property
    def best_so_far(self) -> FloatArray:
        """Best score up to each evaluation, shape (R, T)."""
        return np.maximum.accumulate(self.scores, axis=1)


def fraction_steps(fractions: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Recorded fractions of training as step counts in a common whole unit.

    Parameters
    ----------
    fractions : 1D array of T increasing floats in [0, 1], the last one 1

    Returns
    -------
    array of int64, shape (T,)
        ``steps / steps[-1]`` are the fractions; exact where they are k / T
        printed to three digits or more, or ratios of step counts up to a
        million printed in full.

    Raises
    ------
    ValueError
        The fractions do not increase to 1.
    """
    given = np.asarray(fractions, dtype=np.float64)
    increasing = given.ndim == 1 and given.size > 0 and bool(np.all(np.diff(given) > 0))
    if not increasing or not given[0] >= 0 or not abs(given[-1] - 1) < 1e-9:
        shown = np.array2string(given, threshold=6, precision=4)
        raise TableError(
            f"fractions are {shown}; allowed: increasing numbers from 0 on that end at 1, the end "
            "of training. Add the evaluation at the end, or divide by the last step."
        )
    equal = np.arange(1, given.size + 1)
    for count in (given.size, given.size - 1):  # without and with an evaluation at 0
        if count and np.allclose(given * count, equal - (given.size - count), atol=5e-4 * count):
            return equal - (given.size - count)
    ratios = [Fraction(value).limit_denominator(LARGEST_STEP_COUNT) for value in given.tolist()]
    total = math.lcm(*(ratio.denominator for ratio in ratios))
    if total > LARGEST_STEP_COUNT:
        total = LARGEST_STEP_COUNT
    return np.array([round(ratio * total) for ratio in ratios], dtype=np.int64)


def curve_pools(
    curves: pd.DataFrame, *, lower_is_better: bool = False, from_start: bool = False
) -> Iterator[CurvePool]:
    """The pools of a table of evaluations, in order of first appearance.

    Parameters
    ----------
    curves : DataFrame
        ``task, recipe, run, fraction, score``, one row per evaluation; or with
        ``step`` (whole numbers) beside or instead of ``fraction``. Runs that
        were stopped early must not be included: they would bias every estimate,
        so incomplete curves are refused.
    lower_is_better : bool
        Negate the scores, so that higher is better in the pool.
    from_start : bool
        Keep evaluations at 0. The untrained model is never chosen, so estimates of the best
        score leave them out; a figure may show them.

    Yields
    ------
    CurvePool

    Raises
    ------
    TableError
        A column or a value is missing, an evaluation occurs twice, or a run
        lacks an evaluation that others of its pool have.
    """
    require_columns(curves, ("task", "recipe", "run", "score"), "curves")
    frame = curves.reset_index(drop=True)
    frame["score"] = numbers(frame, "score", "curves", missing_allowed=False)
    by_step = "step" in frame and bool(frame["step"].notna().all())
    time = "step" if by_step else "fraction"
    require_columns(frame, (time,), "curves")
    # Nine digits: the same fraction may have been computed along two ways.
    frame["time"] = numbers(frame, time, "curves", missing_allowed=False).round(9)
    if not from_start:
        # Runs that were scored at 0 alone keep their row, and are refused as incomplete.
        only = frame.groupby("run")["time"].transform("max") <= 0
        frame = frame.loc[(frame["time"] > 0) | only]
    sign = -1.0 if lower_is_better else 1.0
    for (task, recipe), group in frame.groupby(["task", "recipe"], sort=False):
        matrix = _matrix(group, f"curves of {task}, {recipe}", time)
        times = matrix.columns.to_numpy(np.float64)
        whole = np.rint(times).astype(np.int64)
        steps = whole if by_step and np.array_equal(whole, times) else fraction_steps(times)
        yield CurvePool(
            task=str(task),
            recipe=str(recipe),
            runs=tuple(str(name) for name in matrix.index),
            steps=steps,
            scores=sign * matrix.to_numpy(np.float64),
            sign=sign,
        )


def _matrix(group: pd.DataFrame, table: str, time: str) -> pd.DataFrame:
    repeated = group.duplicated(["run", "time"])
    if repeated.any():
        row = group.loc[repeated].iloc[0]
        number = int(group.index[int(np.flatnonzero(repeated)[0])]) + 1
        raise TableError(
            f"{table}: row {number}, a second evaluation of the run {row['run']!r} at "
            f"{time} {row['time']:g}; allowed is one. Remove the other."
        )
    matrix = group.pivot(index="run", columns="time", values="score")
    # In order of first appearance, so that seeded permutations mean the same runs.
    matrix = matrix.reindex(group["run"].drop_duplicates())
    gaps = np.argwhere(matrix.isna().to_numpy())
    if len(gaps):
        run, at = gaps[0]
        raise TableError(
            f"{table}: the run {matrix.index[run]!r} has no evaluation at {time} "
            f"{matrix.columns[at]:g}, which other runs have; allowed are complete curves on one "
            "schedule. Leave out evaluations that not all runs have; runs stopped early cannot "
            "be used."
        )
    return matrix


def joined_test_curve(curves: pd.DataFrame, evaluations: pd.DataFrame) -> pd.DataFrame:
    """The curves with the test score of every evaluation, where some run has several.

    Parameters
    ----------
    curves : DataFrame
        ``run, fraction`` and more, one row per evaluation on the validation set.
    evaluations : DataFrame
        Typed rows with ``run, fraction, split, value``, of the deciding metric.

    Returns
    -------
    DataFrame
        `curves`, with ``test_score`` (NaN where there is none) unless every run has one test score
        at most. That one belongs to the run and stands in the table of runs.
    """
    test = evaluations.loc[evaluations["split"] == TEST_SPLIT]
    if not test["run"].duplicated().any():
        return curves
    scores = test[["run", "fraction", "value"]].rename(columns={"value": "test_score"})
    return curves.merge(scores, on=["run", "fraction"], how="left")


def rows_with_test_scores(frame: pd.DataFrame, table: str) -> tuple[pd.DataFrame, bool]:
    """A long table with its test scores, and whether they belong to evaluations.

    Parameters
    ----------
    frame : DataFrame
        Typed rows with ``run, fraction, score``, and ``test_score`` where the table has it.
    table : str
        Name of the source, for messages.

    Returns
    -------
    frame : DataFrame
        Where every run has one test score, it stands in all rows of the run.
    by_evaluation : bool
        Some run has several test scores: each belongs to the evaluation of its row.

    Raises
    ------
    TableError
        Some run has several test scores, and an evaluation after 0 of a tested run has none. A
        diverged evaluation, without a score, needs none.
    """
    if "test_score" not in frame:
        return frame, False
    by_run = frame.groupby("run")["test_score"]
    if not (by_run.nunique() > 1).any():
        return frame.assign(test_score=by_run.transform("first")), False
    tested = by_run.transform("count") > 0
    gap = tested & frame["test_score"].isna()
    gap &= (frame["fraction"] > 0) & frame["score"].notna()
    refuse_rows(
        gap.to_numpy(dtype=bool),
        frame.index,
        "column 'test_score' is empty, and other rows of the table hold several test scores of a run. "
        "Give the test score of every evaluation, or one test score per run: that of the model that "
        "is reported.",
        table,
    )
    return frame, True
