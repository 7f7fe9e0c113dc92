"""The metrics of the tasks, as GLUE defines them, and the score of a constant prediction.

The formulas are a few lines of numpy: a run is scored many times, and every worker imports
this module. The tests compare them with scikit-learn and scipy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Kind = Literal["classes", "two classes", "numbers"]

_ROUNDING = 1e-6
"""spread, relative to the largest value, under which float32 predictions count as constant"""


@dataclass(frozen=True)
class Metric:
    """A metric of predictions against labels.

    Parameters
    ----------
    name : str
    higher_is_better : bool
    kind : str
        Labels that it can score: ``classes`` (two or more), ``two classes`` or ``numbers``.
    compare : callable
        (predictions, labels) -> value; (example,) arrays of classes or of numbers.
    """

    name: str
    higher_is_better: bool
    kind: Kind
    compare: Callable[[Any, Any], float]

    def score(self, logits: npt.ArrayLike, labels: npt.ArrayLike) -> float:
        """Return the metric's value.

        Parameters
        ----------
        logits : (example, class) array of float
            Regression has one column, the prediction.
        labels : (example,) array of int (classes) or float (targets)

        Returns
        -------
        float
            NaN where a logit is not finite.
        """
        values = np.asarray(logits, dtype=np.float64)
        if not np.isfinite(values).all():
            return float("nan")
        if self.kind == "numbers":
            return self.compare(values.reshape(-1), np.asarray(labels, dtype=np.float64))
        return self.compare(values.argmax(axis=1), np.asarray(labels, dtype=np.int64))

    def majority(self, labels: npt.ArrayLike, n_classes: int) -> float:
        """Return the best value that a constant prediction reaches on these labels.

        A run that does not exceed it has failed; for other metrics than accuracy it must exceed
        chance too (`seedlab.tasks.chance`). With classes, each class is tried: the most
        frequent one is best for accuracy, the positive one for F1. With numbers, the prediction
        is the mean of the labels, which is the best constant for RMSE. A correlation with a
        constant is 0.

        Parameters
        ----------
        labels : (example,) array
        n_classes : int
            1 for regression.
        """
        if self.kind == "numbers":
            targets = np.asarray(labels, dtype=np.float64)
            return self.compare(np.full_like(targets, targets.mean()), targets)
        classes = np.asarray(labels, dtype=np.int64)
        return max(self.compare(np.full_like(classes, c), classes) for c in range(n_classes))

    def suits(self, n_classes: int) -> bool:
        """Whether the metric can score a task of so many classes (1: regression)."""
        if self.kind == "numbers":
            return n_classes == 1
        return n_classes == 2 if self.kind == "two classes" else n_classes > 1


def accuracy(predicted: Ints, labels: Ints) -> float:
    """Return the share of predictions that equal the label, in [0, 1]."""
    return float(np.mean(predicted == labels))


def f1(predicted: Ints, labels: Ints) -> float:
    """Return F1 of class 1: 2 TP / (2 TP + FP + FN), 0 if no label and no prediction is positive."""
    hits = np.count_nonzero((predicted == 1) & (labels == 1))
    total = np.count_nonzero(predicted == 1) + np.count_nonzero(labels == 1)
    return float(2.0 * hits / total) if total else 0.0


def accuracy_f1_mean(predicted: Ints, labels: Ints) -> float:
    """Return the mean of accuracy and F1 (MRPC and QQP in GLUE)."""
    return (accuracy(predicted, labels) + f1(predicted, labels)) / 2.0


def matthews(predicted: Ints, labels: Ints) -> float:
    """Return Matthews' correlation for any number of classes (Gorodkin 2004, R_K).

    It is 0 if the predictions or the labels are constant.
    """
    n = int(max(predicted.max(), labels.max())) + 1
    table = np.bincount(n * labels + predicted, minlength=n * n).reshape(n, n).astype(np.float64)
    true, called, total = table.sum(axis=1), table.sum(axis=0), table.sum()
    spread = (total**2 - called @ called) * (total**2 - true @ true)
    return float((np.trace(table) * total - true @ called) / np.sqrt(spread)) if spread else 0.0


def pearson(predicted: Floats, labels: Floats) -> float:
    """Return Pearson's correlation, 0 if predictions or labels are constant."""
    if constant(predicted) or constant(labels):
        return 0.0
    a, b = predicted - predicted.mean(), labels - labels.mean()
    return float(np.clip(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)), -1.0, 1.0))


def spearman(predicted: Floats, labels: Floats) -> float:
    """Return Spearman's rank correlation (ties get their mean rank), 0 as for `pearson`."""
    if constant(predicted) or constant(labels):
        return 0.0
    return pearson(ranks(predicted), ranks(labels))


def pearson_spearman_mean(predicted: Floats, labels: Floats) -> float:
    """Return the mean of the two correlations (STS-B in GLUE)."""
    return (pearson(predicted, labels) + spearman(predicted, labels)) / 2.0


def rmse(predicted: Floats, labels: Floats) -> float:
    """Return the root of the mean squared error."""
    return float(np.sqrt(np.mean((predicted - labels) ** 2)))


def constant(values: Floats) -> bool:
    """Return whether predictions or targets count as equal: float32's rounding does not matter."""
    return bool(np.ptp(values) <= _ROUNDING * np.abs(values).max())


def ranks(values: Floats) -> Floats:
    """Return ranks from 1, the mean rank for equal values."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2.0)[inverse], dtype=np.float64)


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", True, "classes", accuracy),
        Metric("f1", True, "two classes", f1),
        Metric("accuracy_f1_mean", True, "two classes", accuracy_f1_mean),
        Metric("matthews", True, "classes", matthews),
        Metric("pearson", True, "numbers", pearson),
        Metric("spearman", True, "numbers", spearman),
        Metric("pearson_spearman_mean", True, "numbers", pearson_spearman_mean),
        Metric("rmse", False, "numbers", rmse),
    )
}
