"""Expected maximum: enumeration, opda, published numbers, properties."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opda.nonparametric import EmpiricalDistribution

from analysis.best_of_n.binomial import log_binomial
from analysis.best_of_n.expected_max import (
    best_of_median,
    best_of_spread,
    best_of_weights,
    expected_max,
)
from tests.suites.brute_force import best_of_sequences, best_of_subsets

SCORES = st.lists(st.integers(-50, 50).map(lambda k: k / 10), min_size=1, max_size=30)
quick = settings(max_examples=40, deadline=None, derandomize=True)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("size", [1, 2, 5, 7])
def test_equals_the_mean_over_all_subsets_and_sequences(size, ties):
    rng = np.random.default_rng([size, ties])
    scores = rng.integers(0, 3, size).astype(float) if ties else rng.normal(size=size)
    for n in range(1, size + 1):
        assert expected_max(scores, n) == pytest.approx(best_of_subsets(scores, n), abs=1e-12)
        if size**n > 20_000:
            continue
        drawn = best_of_sequences(scores, n)
        plugin = expected_max(scores, n, estimator="plugin")
        assert plugin == pytest.approx(drawn.mean(), abs=1e-12)
        assert best_of_spread(scores, n) == pytest.approx(drawn.std(), abs=1e-12)
        smallest_half = np.sort(drawn)[(len(drawn) + 1) // 2 - 1]
        assert best_of_median(scores, n) == smallest_half


def test_agrees_with_opda_where_that_does_not_overflow():
    scores = np.random.default_rng(0).normal(size=200)
    ns = np.arange(1, 201)
    reference = EmpiricalDistribution(scores)
    # opda's binomials lose a few digits at 200; ours do not (see the next test).
    np.testing.assert_allclose(expected_max(scores), reference.u_tuning_curve(ns), atol=1e-11)
    np.testing.assert_allclose(
        expected_max(scores, estimator="plugin"), reference.v_tuning_curve(ns), atol=1e-12
    )
    np.testing.assert_array_equal(best_of_median(scores), reference.quantile_tuning_curve(ns))


@pytest.mark.parametrize("estimator", ["unbiased", "plugin"])
def test_ten_thousand_scores_neither_overflow_nor_lose_digits(estimator):
    scores = np.arange(10_000.0)
    ns = np.array([1, 2, 100, 5_000, 9_999, 10_000])
    curve = expected_max(scores, ns, estimator=estimator)
    if estimator == "unbiased":
        # For ranks 0..B-1 the mean of the largest of n is n (B + 1) / (n + 1) - 1.
        np.testing.assert_allclose(curve, ns * 10_001 / (ns + 1) - 1, rtol=1e-11)
    assert np.all(np.isfinite(curve))
    assert np.all(np.diff(curve) > 0)
    assert np.isfinite(best_of_spread(scores, ns, estimator=estimator)).all()


def test_log_binomial_is_zero_probability_outside_its_range():
    np.testing.assert_allclose(np.exp(log_binomial(5, [0, 2, 5])), [1, 10, 1], rtol=1e-14)
    assert np.all(np.isneginf(log_binomial([5, 5, -1, 0], [-1, 6, 0, 1])))


@quick
@given(SCORES, st.sampled_from(["unbiased", "plugin"]))
def test_rises_with_n_from_the_mean_and_stays_within_the_scores(scores, estimator):
    curve = expected_max(scores, estimator=estimator)
    assert curve[0] == pytest.approx(np.mean(scores), abs=1e-12)
    assert np.all(np.diff(curve) >= -1e-12)
    assert min(scores) <= curve[0]
    assert curve[-1] <= max(scores)
    if estimator == "unbiased":
        assert curve[-1] == max(scores)


@quick
@given(SCORES, st.floats(0.1, 10), st.floats(-5, 5))
def test_follows_shift_and_scale(scores, scale, shift):
    moved = scale * np.array(scores) + shift
    np.testing.assert_allclose(
        expected_max(moved), scale * expected_max(scores) + shift, atol=1e-10
    )
    np.testing.assert_allclose(best_of_spread(moved), scale * best_of_spread(scores), atol=1e-6)


@quick
@given(SCORES)
def test_lower_is_better_is_a_change_of_sign(scores):
    losses = -np.array(scores)
    for function in (expected_max, best_of_median):
        np.testing.assert_array_equal(
            function(losses, lower_is_better=True), -function(np.array(scores))
        )
    np.testing.assert_array_equal(
        best_of_spread(losses, lower_is_better=True), best_of_spread(scores)
    )


@quick
@given(SCORES)
def test_plugin_is_never_above_unbiased(scores):
    assert np.all(expected_max(scores, estimator="plugin") <= expected_max(scores) + 1e-12)


def test_weights_of_a_row_sum_to_one():
    for estimator in ("unbiased", "plugin"):
        np.testing.assert_allclose(
            best_of_weights(37, np.arange(1, 38), estimator).sum(axis=1), 1.0, atol=1e-14
        )


@pytest.mark.data
@pytest.mark.parametrize(("task", "expected"), [("mrpc", 0.9044), ("rte", 0.7452)])
def test_expected_best_of_thirty_on_the_grids_of_dodge_2020(task, expected):
    folder = os.environ.get("SEEDLAB_DATA")
    if folder is None:
        pytest.skip("SEEDLAB_DATA is not set: the recovered grids of Dodge et al. 2020")
    grid = pd.read_csv(
        Path(folder) / "data" / "dodge2020" / f"{task}_best_found_wi_by_do.csv", index_col=0
    )
    scores = grid.to_numpy().ravel()
    assert scores.size == 625
    # Four printed digits.
    assert expected_max(scores, 30, estimator="plugin") == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize(
    ("scores", "ns", "message"),
    [
        ([], None, r"shape \(0,\); allowed: one dimension, at least one"),
        ([[1.0]], None, r"shape \(1, 1\)"),
        ([0.5, float("nan")], None, r"scores\[1\] is nan; allowed: finite.*chance value"),
        ([0.5, 0.6], [1, 3], r"ns holds 3; allowed: integers from 1 to the number of scores, 2"),
        ([0.5, 0.6], [0], r"ns holds 0"),
        ([0.5, 0.6], [1.5], r"ns holds 1\.5"),
    ],
)
def test_refusals_say_what_is_allowed(scores, ns, message):
    with pytest.raises(ValueError, match=message):
        expected_max(scores, ns)


def test_an_unknown_estimator_is_refused():
    with pytest.raises(ValueError, match=r"estimator is 'best'; allowed: 'unbiased', 'plugin'"):
        expected_max([0.1, 0.2], estimator="best")
