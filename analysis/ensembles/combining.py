"""One prediction from those of several runs: average of probabilities, vote, average of ranks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from analysis.data.predictions import Predictions
from analysis.ensembles.metrics import PredictionMetric

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Method = Literal["average", "vote", "ranks"]
Combine = Callable[[Floats], npt.NDArray[Any]]
# Probabilities of a block of ensembles: 16 MB of doubles.
BLOCK_VALUES = 2_000_000


def methods_of(metric: PredictionMetric) -> tuple[Method, ...]:
    """The ways to combine predictions that the metric can score."""
    if metric.of_classes:
        return ("average", "vote")
    return ("average", "ranks") if metric.of_order else ("average",)


def single_scores(predictions: Predictions, metric: PredictionMetric) -> Floats:
    """Score of every run by itself, shape (R,)."""
    alone = predictions.classes if metric.of_classes else predictions.logits[:, :, 0]
    return metric.compare(alone, _labels(predictions, metric))


def ensemble_scores(
    predictions: Predictions, members: Flags, metric: PredictionMetric, method: Method
) -> Floats:
    """Score of the combined predictions of every subset of the runs.

    Parameters
    ----------
    predictions : Predictions
        Of R runs.
    members : array of bool, shape (S, R)
        At least one run in every row.
    metric : PredictionMetric
    method : {"average", "vote", "ranks"}
        "average": the class with the largest mean probability; for numbers their mean. "vote": the
        class that most runs predict; of equally frequent classes the one with the larger mean
        probability. "ranks": the mean of each run's ranks of the examples (Borda's count), with mean
        ranks for ties.

    Returns
    -------
    array of float64, shape (S,)
        In the metric's units. Where classes tie in every respect, the first one counts.
    """
    combine, labels = _combiner(predictions, method), _labels(predictions, metric)
    block = max(1, BLOCK_VALUES // max(int(np.prod(predictions.logits.shape[1:])), 1))
    return np.concatenate(
        [metric.compare(combine(part), labels) for part in _parts(members, block)]
    )


def _parts(members: Flags, block: int) -> Iterator[Floats]:
    for start in range(0, len(members), block):
        yield members[start : start + block].astype(np.float64)


def _labels(predictions: Predictions, metric: PredictionMetric) -> npt.NDArray[Any]:
    return predictions.labels.astype(np.int64) if metric.of_classes else predictions.labels


def _combiner(predictions: Predictions, method: Method) -> Combine:
    """The function from members, shape (S, R), to predictions, shape (S, N)."""
    if not predictions.is_classification:
        values = predictions.logits[:, :, 0]
        values = rankdata(values, axis=1) if method == "ranks" else values
        return lambda members: (members @ values) / members.sum(axis=1, keepdims=True)
    runs, examples, classes = predictions.logits.shape
    chances = predictions.probabilities.reshape(runs, -1)

    def total(members: Floats, values: Floats) -> Floats:
        return (members @ values).reshape(-1, examples, classes)

    if method == "average":
        return lambda members: total(members, chances).argmax(axis=2)
    votes = (predictions.classes[:, :, None] == np.arange(classes)).astype(np.float64)
    votes = votes.reshape(runs, -1)

    def vote(members: Floats) -> npt.NDArray[np.int64]:
        counts, sums = total(members, votes), total(members, chances)
        first = counts == counts.max(axis=2, keepdims=True)
        return np.asarray(np.where(first, sums, -1.0).argmax(axis=2))

    return vote
