"""Final predictions of the runs of one group as one array, run by example by class."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.data.frames import integers, is_missing, numbers, refuse_rows, texts
from analysis.data.study import Study
from analysis.errors import TableError

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
TEST = "test"


@dataclasses.dataclass(frozen=True)
class Predictions:
    """Predictions of R runs for the same N examples of K classes.

    Attributes
    ----------
    runs : DataFrame of R rows
        Their rows of `Study.runs`.
    examples : array of N
    labels : array of float64, shape (N,)
        True classes (or targets, when K is 1).
    logits : array of float64, shape (R, N, K)
    clusters : array of N str, or None
        Name of the cluster of every example, such as its passage.
    texts : array of N str, or None
    """

    runs: pd.DataFrame
    examples: npt.NDArray[np.object_]
    labels: Floats
    logits: Floats
    clusters: npt.NDArray[np.object_] | None = None
    texts: npt.NDArray[np.object_] | None = None

    @property
    def is_classification(self) -> bool:
        """Whether there are at least two classes; otherwise the logit is the prediction."""
        return bool(self.logits.shape[2] > 1)

    def good(self) -> Predictions | None:
        """Predictions of the runs that did not fail; None if no run failed or fewer than 2 did not."""
        good = ~self.runs["failed"].to_numpy(dtype=bool)
        if good.all() or good.sum() < 2:
            return None
        runs = self.runs.loc[good].reset_index(drop=True)
        return dataclasses.replace(self, runs=runs, logits=self.logits[good])

    @property
    def classes(self) -> Integers:
        """Predicted classes, shape (R, N)."""
        return np.asarray(self.logits.argmax(axis=2), dtype=np.int64)

    @property
    def correct(self) -> Floats:
        """1.0 where the predicted class is the label, shape (R, N)."""
        return np.asarray(self.classes == self.labels, dtype=np.float64)

    @property
    def probabilities(self) -> Floats:
        """Softmax of the logits, shape (R, N, K)."""
        shifted = np.exp(self.logits - self.logits.max(axis=2, keepdims=True))
        return np.asarray(shifted / shifted.sum(axis=2, keepdims=True))


def predictions_of(study: Study, *, test: bool = False) -> Predictions | None:
    """Predictions of the complete runs of one group; None where none are recorded.

    Runs without predictions are left out, and so are runs with logits that are
    not finite: a model that diverged predicts nothing. They are those of the
    validation set, or with `test` those of the test set.

    Raises
    ------
    TableError
        The study holds several groups, runs predict different examples, labels
        of an example differ, or logits differ in length.
    """
    if len(study.group_keys()) != 1:
        raise TableError(
            f"predictions belong to one (task, model, recipe), but the study holds "
            f"{len(study.group_keys())}; take one with subset() or groups()."
        )
    recorded = study.test_predictions if test else study.predictions
    if recorded is None:
        return None
    runs = study.complete_runs()
    table = recorded.loc[recorded["run"].isin(runs["run"])]
    if table.empty:
        return None
    table = table.sort_values(["run", "example"], kind="stable")
    # The rows are sorted by run, and np.unique would sort as many texts again.
    of_row = table["run"].to_numpy(dtype=object)
    starts = np.flatnonzero(np.concatenate([[True], of_row[1:] != of_row[:-1]]))
    names, sizes = of_row[starts], np.diff(starts, append=len(of_row))
    per_run = int(sizes[0])
    examples = table["example"].to_numpy(dtype=object)
    for name, size, first in zip(names, sizes, starts, strict=True):
        if size != per_run or (examples[first : first + size] != examples[:per_run]).any():
            raise TableError(
                f"predictions: run {name} predicts other examples than run {names[0]}; every run "
                "of a group must predict the same. Export the study again."
            )
    labels = table["label"].to_numpy(dtype=np.float64).reshape(len(names), per_run)
    if (labels != labels[0]).any():
        position = int(np.flatnonzero((labels != labels[0]).any(axis=0))[0])
        raise TableError(
            f"predictions: the label of example {examples[position]} differs between runs; "
            "every run must have been scored on the same data."
        )
    rows = table["logits"].to_list()
    lengths = set(map(len, rows))
    if len(lengths) > 1:
        raise TableError(
            f"predictions: logits of {sorted(lengths)} numbers; all need one length, "
            "the number of classes."
        )
    logits = np.array(rows, dtype=np.float64).reshape(len(names), per_run, -1)
    finite = np.isfinite(logits).all(axis=(1, 2))
    if not finite.any():
        return None
    chosen = runs.set_index("run").loc[list(names[finite])].reset_index()
    named = [_of_examples(table, column, per_run, examples) for column in ("cluster", "text")]
    return Predictions(chosen, examples[:per_run], labels[0], logits[finite], *named)


def _of_examples(
    table: pd.DataFrame, column: str, per_run: int, examples: npt.NDArray[np.object_]
) -> npt.NDArray[np.object_] | None:
    """A column that has one value per example; None where the table of a group lacks it."""
    if column not in table or table[column].isna().all():
        return None
    values = table[column].to_numpy(dtype=object).reshape(-1, per_run)
    other = ((values != values[0]) | pd.isna(values)).any(axis=0)
    if other.any():
        raise TableError(
            f"predictions: the {column} of example {examples[int(np.flatnonzero(other)[0])]} is "
            f"missing, or differs between runs; every run needs the same {column} for an example."
        )
    return np.asarray(values[0], dtype=object)


def read_predictions(
    frame: pd.DataFrame, runs: pd.DataFrame, table: str, *, test: bool = False
) -> pd.DataFrame | None:
    """Check an exported table of predictions; None if it has no row of the split.

    Parameters
    ----------
    frame : DataFrame
        ``run, example, label``, ``logits`` or ``logit_0, logit_1, ...``; ``split``, ``cluster``
        and ``text`` or not.
    runs : DataFrame
        The runs, with ``run``, ``task`` and ``split`` or not.
    table : str
        Name of the table in messages.
    test : bool
        Whether to read the split "test" instead of the split of the runs' scores.

    Raises
    ------
    TableError
        A value is of the wrong kind, a row occurs twice, or there are no logits.
    """
    if test and not ("split" in frame and (frame["split"] == TEST).any()):
        return None
    frame = frame.assign(run=texts(frame, "run", table), label=numbers(frame, "label", table))
    if "split" in frame and (test or "split" in runs):
        split = TEST if test else frame["run"].map(runs.set_index("run")["split"])
        frame = frame.loc[texts(frame, "split", table) == split]
        if frame.empty:
            return None
    twice = frame.duplicated(["run", "example"]).to_numpy(dtype=bool)
    refuse_rows(twice, frame.index, "a second row for the same run and example; keep one.", table)
    frame = frame.assign(example=integers(frame, "example", table))
    if "cluster" in frame:
        frame = frame.assign(cluster=texts(frame, "cluster", table))
    if "logits" in frame:
        return frame.reset_index(drop=True)
    # Their place is their number: logit_10 comes after logit_9.
    names = {str(column) for column in frame.columns}
    flat = [f"logit_{i}" for i in range(len(names)) if f"logit_{i}" in names]
    if not flat:
        raise TableError(
            f"{table}: the column 'logits' (or 'logit_0', 'logit_1', ...) is missing; "
            "export the study again."
        )
    parsed = [numbers(frame, column, table).to_numpy() for column in flat]
    # Logits that are not finite are NaN; a column beyond a task's classes is empty.
    given = [~is_missing(frame[column]) | (i == 0) for i, column in enumerate(flat)]
    classes = pd.Series(np.sum(given, axis=0), index=frame.index)
    classes = classes.groupby(frame["run"].map(runs.set_index("run")["task"])).transform("max")
    values = np.column_stack(parsed)
    frame["logits"] = [list(row[:n]) for row, n in zip(values, classes, strict=True)]
    return frame.drop(columns=flat).reset_index(drop=True)
