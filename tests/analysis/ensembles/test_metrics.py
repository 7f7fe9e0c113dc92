"""Metrics of many predictions at once: scikit-learn, scipy and the training side's own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sklearn

from analysis.ensembles.metrics import METRICS, metric_named
from analysis.errors import TableError
from seedlab.tasks.metrics import METRICS as TRAINING

ORACLES = {
    "accuracy": sklearn.accuracy_score,
    "f1": sklearn.f1_score,
    "accuracy_f1_mean": lambda y, p: (sklearn.accuracy_score(y, p) + sklearn.f1_score(y, p)) / 2,
    "matthews": sklearn.matthews_corrcoef,
    "pearson": lambda y, p: stats.pearsonr(y, p)[0],
    "spearman": lambda y, p: stats.spearmanr(y, p)[0],
    "pearson_spearman_mean": lambda y, p: (stats.pearsonr(y, p)[0] + stats.spearmanr(y, p)[0]) / 2,
    "rmse": sklearn.root_mean_squared_error,
}


@pytest.mark.parametrize("name", METRICS)
def test_other_libraries_agree(name: str) -> None:
    generator = np.random.default_rng(0)
    if METRICS[name].of_classes:
        labels = generator.integers(0, 2, 40)
        predicted = np.where(generator.random((5, 40)) < 0.7, labels, 1 - labels)
    else:
        labels = generator.integers(0, 6, 40).astype(float)
        predicted = (labels + generator.normal(size=(5, 40))).round(1)
    expected = [ORACLES[name](labels, row) for row in predicted]
    assert METRICS[name].compare(predicted, labels) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(
    classes=st.lists(st.tuples(*[st.integers(0, 2)] * 3), min_size=1, max_size=9),
    two=st.booleans(),
)
def test_runs_are_scored_as_in_training(classes: list[tuple[int, int, int]], two: bool) -> None:
    """Constant predictions and labels too, where a ratio is 0/0."""
    table = np.array(classes).T
    table = np.minimum(table, 1) if two else table
    labels, predicted = table[0], table[1:]
    assert METRICS.keys() == TRAINING.keys()
    for name, metric in METRICS.items():
        assert metric.lower_is_better == (not TRAINING[name].higher_is_better)
        if TRAINING[name].kind == "two classes" and not two:
            continue
        numbers = table.astype(float) if not metric.of_classes else table
        expected = [TRAINING[name].compare(row, numbers[0]) for row in numbers[1:]]
        assert metric.compare(numbers[1:], numbers[0]) == pytest.approx(expected, abs=1e-12)
    assert METRICS["matthews"].compare(predicted, labels).shape == (2,)


@pytest.mark.parametrize(
    ("name", "n_classes", "message"),
    [
        ("bleu", 2, "the metric 'bleu' can't be computed from predictions; known: accuracy, f1"),
        ("pearson", 2, "the metric 'pearson' scores numbers, but the predictions are classes"),
        ("accuracy", 1, "the metric 'accuracy' scores classes, but the predictions are numbers"),
    ],
)
def test_refusals(name: str, n_classes: int, message: str) -> None:
    with pytest.raises(TableError, match=message):
        metric_named(name, n_classes)
