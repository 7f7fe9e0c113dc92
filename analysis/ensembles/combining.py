"""One prediction from those of several runs: average of probabilities, vote, average of ranks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from analysis.data.predictions import Predictions
from analysis.ensembles.metrics import PredictionMetric

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Method = Literal["average", "vote", "ranks"]
Combine = Callable[[Floats], dict[Method, npt.NDArray[Any]]]
# Sums of probabilities of a block of ensembles: 16 MB of doubles.
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


class Combiner:
    """Scores of the predictions that subsets of R runs make together.

    Parameters
    ----------
    predictions : Predictions
        Of R runs.
    metric : PredictionMetric
    """

    def __init__(self, predictions: Predictions, metric: PredictionMetric) -> None:
        self._metric, self._labels = metric, _labels(predictions, metric)
        self._values_per_run = max(int(np.prod(predictions.logits.shape[1:])), 1)
        self._combine = (
            _classes(predictions) if metric.of_classes else _numbers(predictions, metric)
        )

    def scores(self, members: Flags) -> dict[Method, Floats]:
        """Score of every subset of the runs, by the way to combine their predictions.

        Parameters
        ----------
        members : array of bool, shape (S, R)
            At least one run in every row.

        Returns
        -------
        dict of arrays of float64, shape (S,)
            In the metric's units. "average": the class with the largest mean probability; for
            numbers their mean. "vote": the class that most runs predict; of equally frequent
            classes the one with the larger mean probability. "ranks": the mean of each run's ranks
            of the examples (Borda's count), with mean ranks for ties. Where classes tie in every
            respect, the first one counts.
        """
        found: dict[Method, list[Floats]] = {name: [] for name in methods_of(self._metric)}
        block = max(1, BLOCK_VALUES // self._values_per_run)
        for start in range(0, len(members), block):
            part = members[start : start + block].astype(np.float64)
            for name, combined in self._combine(part).items():
                found[name].append(self._metric.compare(combined, self._labels))
        return {name: np.concatenate(parts) for name, parts in found.items()}


def _labels(predictions: Predictions, metric: PredictionMetric) -> npt.NDArray[Any]:
    return predictions.labels.astype(np.int64) if metric.of_classes else predictions.labels


def _classes(predictions: Predictions) -> Combine:
    """The function from members, shape (S, R), to classes by method, shape (S, N)."""
    chances = np.ascontiguousarray(np.moveaxis(predictions.probabilities, 2, 0))
    kinds = np.arange(len(chances))[:, None, None]
    votes = (predictions.classes == kinds).astype(np.float64)

    def combine(members: Floats) -> dict[Method, npt.NDArray[Any]]:
        average = vote = np.zeros((len(members), chances.shape[2]), dtype=np.int64)
        largest, most = members @ chances[0], members @ votes[0]
        of_most = largest
        for k in range(1, len(chances)):
            chance, counted = members @ chances[k], members @ votes[k]
            average = np.where(chance > largest, k, average)
            largest = np.maximum(chance, largest)
            wins = (counted > most) | ((counted == most) & (chance > of_most))
            vote = np.where(wins, k, vote)
            most, of_most = np.maximum(counted, most), np.where(wins, chance, of_most)
        return {"average": average, "vote": vote}

    return combine


def _numbers(predictions: Predictions, metric: PredictionMetric) -> Combine:
    """The function from members, shape (S, R), to numbers by method, shape (S, N)."""
    values = {"average": predictions.logits[:, :, 0]}
    if metric.of_order:
        values["ranks"] = rankdata(values["average"], axis=1)

    def combine(members: Floats) -> dict[Method, npt.NDArray[Any]]:
        sizes = members.sum(axis=1, keepdims=True)
        return {name: (members @ values[name]) / sizes for name in methods_of(metric)}

    return combine
