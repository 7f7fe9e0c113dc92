"""Chance: a score against those of the same predictions, shuffled among the examples."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from seedlab.tasks.chance import LEVEL, is_chance, shuffled_probability
from seedlab.tasks.metrics import METRICS, matthews

# A test with 2,000 draws takes a rate of .05 for another one if it is further away than 4 standard
# errors (.0195), which a true rate of .05 reaches with a probability of 6e-5 per case. The seeds are
# fixed, so that no test fails by chance.
DRAWS, SLACK = 2000, 4 * math.sqrt(0.05 * 0.95 / 2000)


def labels_of(*counts: int) -> np.ndarray:
    return np.repeat(np.arange(len(counts)), counts)


def logits_of(predicted: np.ndarray, classes: int = 2) -> np.ndarray:
    return np.eye(classes)[predicted]


def shuffled(values: np.ndarray, seed: int) -> np.ndarray:
    """DRAWS permutations, one per row."""
    many = np.broadcast_to(values, (DRAWS, len(values)))
    return np.random.default_rng(seed).permuted(many, axis=1)


def false_alarms(true: np.ndarray, called: np.ndarray, seed: int) -> float:
    """The share of shuffled predictions that are judged better than chance."""
    found: dict[bytes, bool] = {}
    hits = []
    for row in shuffled(called, seed):
        key = np.bincount(3 * true + row, minlength=9).tobytes()
        if key not in found:
            found[key] = shuffled_probability(row, true) <= LEVEL
        hits.append(found[key])
    return float(np.mean(hits))


def test_a_collapsed_run_of_cola_is_chance() -> None:
    """Accuracies of .37 to .62 with a majority of .69: accuracy says nothing about them. A
    coefficient of .1 has a probability of .0007 among shuffled predictions of 1,043 sentences.
    """
    true = labels_of(322, 721)
    for ones in (100, 500, 900, 1040):
        called = np.random.default_rng(ones).permutation(labels_of(1043 - ones, ones))
        assert abs(matthews(called, true)) < 0.05
        assert is_chance("matthews", matthews(called, true), logits_of(called), true)
    called = np.where(np.random.default_rng(0).random(1043) < 0.2, true, labels_of(500, 543))
    score = matthews(called, true)
    assert score > 0.05
    assert not is_chance("matthews", score, logits_of(called), true)


@pytest.mark.parametrize("metric", ["matthews", "f1", "accuracy_f1_mean"])
def test_constant_predictions_are_chance_by_every_metric(metric: str) -> None:
    true = labels_of(30, 70)
    for one in (0, 1):
        called = np.full(100, one)
        score = METRICS[metric].compare(called, true)
        assert is_chance(metric, score, logits_of(called), true)
    assert not is_chance(metric, 1.0, logits_of(true), true)


@pytest.mark.parametrize("metric", ["pearson", "spearman", "pearson_spearman_mean", "rmse"])
def test_numbers_are_judged_by_their_correlation(metric: str) -> None:
    rng = np.random.default_rng(7)
    targets = rng.normal(size=200)
    good = 0.5 * targets + rng.normal(size=200) * 0.2
    compare = METRICS[metric].compare
    assert not is_chance(metric, compare(good, targets), good[:, None], targets)
    bad = rng.permutation(good)
    assert is_chance(metric, compare(bad, targets), bad[:, None], targets)
    same = np.full(200, targets.mean())
    assert is_chance(metric, compare(same, targets), same[:, None], targets)
    # A hair better than the best constant, as half of all collapsed runs are.
    hair = np.full(200, targets.mean()) + 1e-3 * rng.normal(size=200)
    hair = hair if compare(hair, targets) < compare(same, targets) else 2 * targets.mean() - hair
    assert is_chance(metric, compare(hair, targets), hair[:, None], targets)


@pytest.mark.parametrize("counts", [(3, 5, 4, 4), (20, 31, 17, 34), (322, 721, 1040, 3)])
def test_two_classes_have_the_probability_of_fishers_exact_test(counts: tuple[int, ...]) -> None:
    true, called = labels_of(*counts[:2]), labels_of(*counts[2:])
    for seed in range(5):
        row = np.random.default_rng(seed).permutation(called)
        table = np.bincount(2 * true + row, minlength=4).reshape(2, 2)
        oracle = stats.fisher_exact(table, alternative="greater").pvalue
        assert shuffled_probability(row, true) == pytest.approx(oracle, rel=1e-9)


def test_hits_of_three_classes_have_the_moments_of_all_permutations() -> None:
    """The normal tail with the mean and the variance of all 5,040 permutations."""
    true, called = np.array([0, 0, 0, 1, 1, 2, 2]), np.array([0, 1, 1, 2, 0, 0, 2])
    hits = np.array([np.sum(called[list(p)] == true) for p in itertools.permutations(range(7))])
    given = int(np.sum(called == true))
    oracle = stats.norm.sf((given - 0.5 - hits.mean()) / hits.std())
    assert shuffled_probability(called, true) == pytest.approx(oracle, rel=1e-12)


@pytest.mark.parametrize("metric", ["pearson", "spearman", "pearson_spearman_mean", "rmse"])
def test_correlations_have_the_variance_of_all_permutations(metric: str) -> None:
    rng = np.random.default_rng(3)
    predicted, targets = np.exp(rng.normal(size=6)), np.array([1.0, 2.0, 2.0, 3.0, 7.0, 9.0])
    scores = np.array(
        [
            METRICS[metric].compare(predicted[list(p)], targets)
            for p in itertools.permutations(range(6))
        ]
    )
    # The mean squared error falls linearly with the correlation, so its variance tells that one's.
    values = -(scores**2) if metric == "rmse" else scores
    limit = values.mean() + stats.norm.isf(LEVEL) * values.std()
    for value, expected in ((limit + 1e-6, False), (limit - 1e-6, True)):
        score = math.sqrt(-value) if metric == "rmse" else value
        assert is_chance(metric, score, predicted[:, None], targets) is expected


@pytest.mark.parametrize(
    ("true", "called"),
    [
        *(((30, 70), (50, 50)), ((322, 721), (1040, 3)), ((322, 721), (3, 1040))),
        *(((90, 10), (99, 1)), ((4, 4), (3, 5)), ((139, 138), (200, 77))),
        *(((40, 30, 30), (34, 33, 33)), ((60, 30, 10), (98, 1, 1)), ((60, 30, 10), (99, 0, 1))),
        *(((60, 30, 10), (0, 90, 10)), ((10, 6, 4), (18, 1, 1))),
    ],
)
def test_shuffled_predictions_seldom_pass(true: tuple[int, ...], called: tuple[int, ...]) -> None:
    """Two classes are exact, so that the rate is .05 at most. Three are nearly so."""
    rate = false_alarms(labels_of(*true), labels_of(*called), 1)
    assert rate <= LEVEL + SLACK


@pytest.mark.parametrize("shape", ["normal", "skewed", "tied", "one outlier"])
def test_shuffled_numbers_pass_at_the_level(shape: str) -> None:
    """The normal law of the correlation is an approximation; 1 % of slack is for it. An outlier
    leaves few possible correlations, so that the rate may be lower.
    """
    n, rng = 30, np.random.default_rng(11)
    draw: dict[str, Any] = {
        "normal": lambda: rng.normal(size=n),
        "skewed": lambda: rng.exponential(size=n),
        "tied": lambda: rng.integers(0, 6, size=n).astype(np.float64),
        "one outlier": lambda: np.append(rng.normal(size=n - 1) * 1e-3, 1.0),
    }
    predicted, targets = draw[shape](), rng.normal(size=n)
    rows = shuffled(predicted, 2)
    scores = (rows - predicted.mean()) @ (targets - targets.mean())
    scores /= n * predicted.std() * targets.std()
    passed = [not is_chance("pearson", score, predicted[:, None], targets) for score in scores]
    assert np.mean(passed) <= LEVEL + SLACK + 0.01
    assert shape == "one outlier" or np.mean(passed) >= LEVEL - SLACK - 0.01


def test_too_few_examples_show_no_difference_and_are_left_to_the_majority() -> None:
    few = labels_of(2, 2)  # perfect predictions have a probability of 1 / 6 by chance
    assert not is_chance("matthews", 1.0, logits_of(few), few)
    six = labels_of(3, 3)  # 1 / 20, which is just enough
    assert not is_chance("matthews", 1.0, logits_of(six), six)
    wrong = np.array([0, 0, 1, 0, 1, 1])
    assert is_chance("matthews", matthews(wrong, six), logits_of(wrong), six)
    assert not is_chance("pearson", 0.1, np.arange(3.0)[:, None], np.array([1.0, 3.0, 2.0]))
