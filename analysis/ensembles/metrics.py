"""The metrics of the tasks, for many predictions at once.

The definitions are those of GLUE, as `seedlab.tasks.metrics` has them: a metric that is 0/0 is 0.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from analysis.errors import TableError

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
# A spread below this share of the largest value is float32's rounding: such predictions are constant.
SINGLE_ROUNDING = 1e-6


@dataclasses.dataclass(frozen=True)
class PredictionMetric:
    """A metric of S rows of predictions against one row of labels.

    Attributes
    ----------
    compare : callable
        (predictions of shape (S, N), labels of shape (N,)) -> values of shape (S,). Predictions
        and labels are classes (int64), or numbers (float64).
    of_classes : bool
        Whether it scores classes.
    lower_is_better : bool
    of_order : bool
        Whether it compares arrangements of numbers, so that ranks can be scored.
    """

    compare: Callable[[Any, Any], Floats]
    of_classes: bool = True
    lower_is_better: bool = False
    of_order: bool = False


def metric_named(name: str, n_classes: int) -> PredictionMetric:
    """The metric called `name`, for predictions of so many classes (1: numbers).

    Raises
    ------
    TableError
        There is no such metric, or it scores something else.
    """
    found = METRICS.get(name)
    if found is None:
        raise TableError(
            f"the metric {name!r} can't be computed from predictions; known: {', '.join(METRICS)}."
        )
    if found.of_classes != (n_classes > 1):
        kinds = {True: "classes", False: "numbers"}
        raise TableError(
            f"the metric {name!r} scores {kinds[found.of_classes]}, but the predictions are "
            f"{kinds[n_classes > 1]}; export the study again."
        )
    return found


def accuracy(predicted: Integers, labels: Integers) -> Floats:
    """Share of predictions that equal the label."""
    return np.asarray((predicted == labels).mean(axis=1))


def f1(predicted: Integers, labels: Integers) -> Floats:
    """F1 of class 1, 2 TP / (2 TP + FP + FN); 0 if no label and no prediction is positive."""
    positive, true = predicted == 1, labels == 1
    hits = (positive & true).sum(axis=1)
    total = positive.sum(axis=1) + true.sum()
    return np.asarray(2.0 * hits / np.maximum(total, 1))


def accuracy_f1_mean(predicted: Integers, labels: Integers) -> Floats:
    """Mean of accuracy and F1 (MRPC and QQP in GLUE)."""
    return (accuracy(predicted, labels) + f1(predicted, labels)) / 2.0


def matthews(predicted: Integers, labels: Integers) -> Floats:
    """Matthews' correlation for any number of classes (Gorodkin 2004); 0 for constants."""
    n = labels.size
    kinds = np.arange(int(max(predicted.max(), labels.max())) + 1)
    called = np.stack([(predicted == k).sum(axis=1) for k in kinds], axis=1).astype(np.float64)
    true = np.array([(labels == k).sum() for k in kinds], dtype=np.float64)
    hits = (predicted == labels).sum(axis=1)
    spread = (n**2 - (called**2).sum(axis=1)) * (n**2 - (true**2).sum())
    covariance = hits * float(n) - called @ true
    return np.asarray(
        np.where(spread > 0, covariance / np.sqrt(np.where(spread > 0, spread, 1)), 0)
    )


def pearson(predicted: Floats, labels: Floats) -> Floats:
    """Pearson's correlation; 0 if predictions or labels are constant."""
    a = predicted - predicted.mean(axis=1, keepdims=True)
    b = labels - labels.mean()
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b)
    still = _constant(predicted) | _constant(labels[None])
    found = np.clip((a @ b) / np.where(still, 1.0, lengths), -1.0, 1.0)
    return np.asarray(np.where(still, 0.0, found))


def spearman(predicted: Floats, labels: Floats) -> Floats:
    """Spearman's rank correlation with mean ranks for ties; 0 as for `pearson`."""
    still = _constant(predicted) | _constant(labels[None])
    found = pearson(rankdata(predicted, axis=1), rankdata(labels))
    return np.asarray(np.where(still, 0.0, found))


def pearson_spearman_mean(predicted: Floats, labels: Floats) -> Floats:
    """Mean of the two correlations (STS-B in GLUE)."""
    return (pearson(predicted, labels) + spearman(predicted, labels)) / 2.0


def rmse(predicted: Floats, labels: Floats) -> Floats:
    """Root of the mean squared error."""
    return np.asarray(np.sqrt(((predicted - labels) ** 2).mean(axis=1)))


def _constant(values: Floats) -> npt.NDArray[np.bool_]:
    return np.asarray(np.ptp(values, axis=1) <= SINGLE_ROUNDING * np.abs(values).max(axis=1))


METRICS = {
    "accuracy": PredictionMetric(accuracy),
    "f1": PredictionMetric(f1),
    "accuracy_f1_mean": PredictionMetric(accuracy_f1_mean),
    "matthews": PredictionMetric(matthews),
    "pearson": PredictionMetric(pearson, of_classes=False, of_order=True),
    "spearman": PredictionMetric(spearman, of_classes=False, of_order=True),
    "pearson_spearman_mean": PredictionMetric(
        pearson_spearman_mean, of_classes=False, of_order=True
    ),
    "rmse": PredictionMetric(rmse, of_classes=False, lower_is_better=True),
}
