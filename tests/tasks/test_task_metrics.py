"""The metrics against scikit-learn and scipy, and by hand."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from seedlab.tasks.metrics import METRICS, accuracy_f1_mean, f1, matthews, pearson, rmse, spearman

CLASSES = st.integers(2, 5).flatmap(
    lambda c: st.integers(2, 60).flatmap(
        lambda n: st.tuples(
            arrays(np.int64, n, elements=st.integers(0, c - 1)),
            arrays(np.int64, n, elements=st.integers(0, c - 1)),
        )
    )
)
NUMBERS = st.integers(2, 40).flatmap(
    lambda n: st.tuples(
        # Rounded, so that ties happen and no spread is near rounding.
        arrays(np.float64, n, elements=st.integers(-50, 50).map(lambda v: v / 8)),
        arrays(np.float64, n, elements=st.integers(-50, 50).map(lambda v: v / 8)),
    )
)


def test_classification_metrics_by_hand() -> None:
    # TP 2, FP 1, FN 2, TN 1
    predicted = np.array([1, 1, 1, 0, 0, 0])
    labels = np.array([1, 1, 0, 1, 1, 0])
    logits = np.stack([-predicted, predicted], axis=1).astype(float)
    assert METRICS["accuracy"].score(logits, labels) == 0.5
    assert f1(predicted, labels) == pytest.approx(4 / 7)
    assert accuracy_f1_mean(predicted, labels) == pytest.approx((0.5 + 4 / 7) / 2)
    assert matthews(predicted, labels) == pytest.approx((2 * 1 - 1 * 2) / math.sqrt(3 * 4 * 2 * 3))


def test_regression_metrics_by_hand() -> None:
    predicted, labels = np.array([1.0, 2.0, 4.0]), np.array([1.0, 3.0, 2.0])
    assert rmse(predicted, labels) == pytest.approx(math.sqrt(5 / 3))
    assert spearman(predicted, labels) == pytest.approx(0.5)
    # Deviations (-4/3, -1/3, 5/3) and (-1, 1, 0): covariance 1, squares 42/9 and 2.
    assert pearson(predicted, labels) == pytest.approx(1 / math.sqrt(42 / 9 * 2))
    column = METRICS["rmse"].score(predicted[:, None], labels)
    assert column == pytest.approx(math.sqrt(5 / 3))


@settings(max_examples=40, deadline=None)
@given(CLASSES)
def test_class_metrics_equal_scikit_learn(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

    predicted, labels = drawn
    logits = np.eye(5)[predicted]
    assert METRICS["accuracy"].score(logits, labels) == pytest.approx(
        accuracy_score(labels, predicted)
    )
    with warnings.catch_warnings():
        # scikit-learn warns where a class is absent; ours says 0 as well.
        warnings.simplefilter("ignore")
        assert METRICS["matthews"].score(logits, labels) == pytest.approx(
            matthews_corrcoef(labels, predicted), abs=1e-12
        )
        two = predicted.clip(max=1), labels.clip(max=1)
        assert f1(*two) == pytest.approx(f1_score(two[1], two[0], zero_division=0.0))


@settings(max_examples=40, deadline=None)
@given(NUMBERS)
def test_number_metrics_equal_scipy(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    from scipy.stats import pearsonr, spearmanr

    predicted, labels = drawn
    if np.ptp(predicted) == 0 or np.ptp(labels) == 0:
        assert pearson(predicted, labels) == spearman(predicted, labels) == 0.0
    else:
        assert pearson(predicted, labels) == pytest.approx(
            pearsonr(predicted, labels).statistic, abs=1e-12
        )
        assert spearman(predicted, labels) == pytest.approx(
            spearmanr(predicted, labels).statistic, abs=1e-12
        )
    both = METRICS["pearson_spearman_mean"].score(predicted[:, None], labels)
    assert both == pytest.approx((pearson(predicted, labels) + spearman(predicted, labels)) / 2)


@settings(max_examples=40, deadline=None)
@given(CLASSES)
def test_no_constant_prediction_beats_the_majority_value(
    drawn: tuple[np.ndarray, np.ndarray],
) -> None:
    _, labels = drawn
    for name, metric in METRICS.items():
        n_classes = 2 if metric.kind == "two classes" else 5
        if metric.kind == "numbers":
            continue
        y = labels.clip(max=n_classes - 1)
        scores = [
            metric.score(np.tile(np.eye(n_classes)[c], (len(y), 1)), y) for c in range(n_classes)
        ]
        assert metric.majority(y, n_classes) == max(scores), name


def test_majority_values_of_known_label_counts() -> None:
    rte = np.repeat([0, 1], [146, 131])
    assert METRICS["accuracy"].majority(rte, 2) == pytest.approx(0.5271, abs=5e-5)
    mrpc = np.repeat([0, 1], [129, 279])
    assert METRICS["accuracy"].majority(mrpc, 2) == pytest.approx(0.6838, abs=5e-5)
    assert METRICS["f1"].majority(mrpc, 2) == pytest.approx(0.8122, abs=5e-5)
    assert METRICS["accuracy_f1_mean"].majority(mrpc, 2) == pytest.approx(0.7480, abs=5e-5)
    assert METRICS["matthews"].majority(mrpc, 2) == 0.0
    # Where most are negative, the best constant for F1 is still the positive class.
    assert METRICS["f1"].majority(1 - mrpc, 2) == pytest.approx(2 * 129 / (408 + 129))


def test_majority_of_regression_is_the_mean_and_correlations_are_zero() -> None:
    targets = np.array([0.0, 1.0, 2.0, 5.0])
    assert METRICS["rmse"].majority(targets, 1) == pytest.approx(np.std(targets))
    for name in ("pearson", "spearman", "pearson_spearman_mean"):
        assert METRICS[name].majority(targets, 1) == 0.0


def test_constant_predictions_within_rounding_correlate_with_nothing() -> None:
    rng = np.random.default_rng(0)
    nearly = (3.0 + 1e-7 * rng.standard_normal((50, 1))).astype(np.float32)
    assert METRICS["pearson"].score(nearly, rng.standard_normal(50)) == 0.0


@pytest.mark.parametrize("name", sorted(METRICS))
def test_what_is_not_finite_has_no_score(name: str) -> None:
    logits = np.zeros((4, 1 if METRICS[name].kind == "numbers" else 2))
    logits[2, 0] = np.nan
    assert math.isnan(METRICS[name].score(logits, np.array([0, 1, 0, 1])))


def test_only_rmse_is_better_when_lower() -> None:
    assert [name for name, metric in METRICS.items() if not metric.higher_is_better] == ["rmse"]
