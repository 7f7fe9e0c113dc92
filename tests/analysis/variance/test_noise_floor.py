import numpy as np
import pytest

from analysis.data.score_table import read_table
from analysis.variance.noise_floor import (
    calibrated_floor,
    distribution_variance,
    noise_floor,
    sampling_error,
)
from tests.suites.made_grids import grid_frame
from tests.suites.made_studies import with_predictions


def test_rte_at_30_percent_error():
    assert round(100 * calibrated_floor(0.3, 277), 2) == 2.33
    assert round(100 * sampling_error(0.3, 277), 2) == 2.75


def test_estimate_is_the_mean_covariance_of_distinct_examples():
    correct = (np.random.default_rng(0).random((6, 9)) < 0.6).astype(float)
    covariance = np.cov(correct.T)
    off = covariance[~np.eye(9, dtype=bool)]
    found = distribution_variance(correct)
    assert found.distribution == pytest.approx(off.mean(), abs=1e-15)
    assert found.test_set == pytest.approx(correct.mean(axis=1).var(ddof=1))


@pytest.mark.stat
def test_independent_errors_give_zero_and_real_differences_their_variance():
    """5 standard errors of 400 replications: false alarms below 1e-6 each."""
    generator = np.random.default_rng(1)
    none, real = [], []
    for _ in range(400):
        p = generator.random(60)
        none.append(distribution_variance((generator.random((8, 60)) < p).astype(float)))
        skill = generator.uniform(0.5, 0.9, (8, 1))
        real.append(distribution_variance((generator.random((8, 60)) < skill).astype(float)))
    values = np.array([found.distribution for found in none])
    assert abs(values.mean()) < 5 * values.std() / 20
    # Runs that differ by skill ~ U(.5, .9): variance .16/12, which Bernoulli noise hides.
    values = np.array([found.distribution for found in real])
    assert abs(values.mean() - 0.16 / 12) < 5 * values.std() / 20


@pytest.mark.stat
def test_the_floor_is_the_spread_of_calibrated_runs():
    """sd of 4000 accuracies is known to 1.1%; 6% is over five standard errors."""
    generator = np.random.default_rng(2)
    p = generator.beta(4, 1, 277)
    # A calibrated run predicts 1 as often as the label is 1; the test set is fixed.
    label = generator.random(277) < p
    guess = generator.random((4000, 277)) < p
    accuracy = (guess == label).mean(axis=1)
    error = (2 * p * (1 - p)).mean()
    assert accuracy.std() == pytest.approx(calibrated_floor(error, 277), rel=0.06)


def accuracies(**columns):
    matrix = np.array([[0.7, 0.72], [0.68, 0.7]])
    return grid_frame(matrix, task="rte", **columns)


def test_table_from_scores_alone():
    row = noise_floor(read_table(accuracies(n_examples=277), metric="accuracy")).iloc[0]
    assert row["error"] == pytest.approx(0.3)
    assert row["floor_sd"] == pytest.approx(calibrated_floor(0.3, 277))
    assert row["sampling_sd"] == pytest.approx(sampling_error(0.3, 277))
    assert row["observed_sd"] == pytest.approx(np.std([0.7, 0.72, 0.68, 0.7], ddof=1))
    assert np.isnan(row["distribution_variance"])


def test_no_floor_where_it_has_no_meaning():
    assert noise_floor(read_table(accuracies(n_examples=277), metric="mcc")).empty
    assert noise_floor(read_table(accuracies(), metric="accuracy")).empty
    percent = accuracies(n_examples=277)
    percent["score"] *= 100
    assert noise_floor(read_table(percent, metric="accuracy")).empty


def test_table_from_predictions():
    generator = np.random.default_rng(3)
    logits = generator.standard_normal((5, 30, 2))
    labels = generator.integers(2, size=30)
    row = noise_floor(with_predictions(logits, labels)).iloc[0]
    expected = distribution_variance((logits.argmax(axis=2) == labels).astype(float))
    assert row["distribution_variance"] == pytest.approx(expected.distribution)
    assert row["n_examples"] == 30
    three = noise_floor(with_predictions(generator.standard_normal((5, 30, 3)), labels)).iloc[0]
    assert np.isnan(three["floor_sd"])
    assert three["sampling_sd"] > 0


def test_refusals():
    with pytest.raises(ValueError, match=r"error is 30; allowed: a rate in \[0, 1\]\. Divide"):
        calibrated_floor(30, 277)
    with pytest.raises(ValueError, match="n_examples is 0; allowed: whole numbers from 1 on"):
        sampling_error(0.3, 0)
    with pytest.raises(ValueError, match=r"correct has the shape \(1, 5\); allowed"):
        distribution_variance(np.ones((1, 5)))
