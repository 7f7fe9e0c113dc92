"""Votes of the runs on every example, against loops and scipy."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy.stats import entropy

from analysis.comparison.consistency import ALL, GOOD, consistency, example_table, flip_table
from analysis.data.predictions import Predictions
from tests.suites.made_studies import with_predictions


def predicted(logits, labels, failed=False):
    runs = pd.DataFrame({"run": [f"r{r}" for r in range(len(logits))], "failed": failed})
    return Predictions(runs, np.arange(len(labels)).astype(object), labels.astype(float), logits)


def made(runs=9, examples=40, kinds=3, seed=0):
    generator = np.random.default_rng(seed)
    labels = generator.integers(kinds, size=examples)
    logits = generator.standard_normal((runs, examples, kinds))
    logits[:, np.arange(examples), labels] += 3 * generator.random(examples)
    return logits, labels


def test_votes_by_brute_force():
    logits, labels = made()
    table = consistency(with_predictions(logits, labels))
    classes = logits.argmax(axis=2)
    assert table["example"].tolist() == list(range(40))
    for n, row in table.iterrows():
        votes = [int(classes[r, n]) for r in range(9)]
        right = sum(vote == labels[n] for vote in votes)
        assert row["share_correct"] == pytest.approx(right / 9)
        counts = [votes.count(k) for k in range(3)]
        assert row["vote_entropy"] == pytest.approx(entropy(np.array(counts) / 9, base=2))
        assert (row["majority_class"], row["majority_share"]) == (
            counts.index(max(counts)),
            pytest.approx(max(counts) / 9),
        )
        pairs = [a == b for a, b in itertools.combinations(votes, 2)]
        assert row["agreement"] == pytest.approx(sum(pairs) / len(pairs))
        assert row["flips"] == (right >= 9 / 4 and 9 - right >= 9 / 4)
    assert 0 < table["flips"].sum() < 40


def test_a_quarter_is_counted_exactly():
    """Of 8 runs 2 are a quarter: right 1, 2, 6, 7 times."""
    logits = np.zeros((8, 4, 2))
    for n, right in enumerate((1, 2, 6, 7)):
        logits[:right, n, 1] = 1.0
        logits[right:, n, 0] = 1.0
    table = example_table(predicted(logits, np.ones(4)))
    assert table["flips"].tolist() == [False, True, True, False]


def test_without_the_examples_that_flip():
    logits, labels = made()
    found = predicted(logits, labels)
    table = example_table(found)
    row = flip_table(found).iloc[0]
    kept = [n for n in range(40) if not table["flips"][n]]
    classes = logits.argmax(axis=2)
    apart = [np.mean(a != b) for a, b in itertools.combinations(classes[:, kept], 2)]
    assert row["disagreement_without"] == pytest.approx(np.mean(apart))
    accuracy = (classes[:, kept] == labels[kept]).mean(axis=1)
    assert row["sd_accuracy_without"] == pytest.approx(accuracy.std(ddof=1))
    assert row["n_flips"] == 40 - len(kept)
    right = (classes == labels).sum(axis=0)
    assert (row["all_right"], row["all_wrong"]) == ((right == 9).mean(), (right == 0).mean())
    assert row["disagreement"] > row["disagreement_without"]


def test_runs_that_failed_are_told_apart():
    logits, labels = made(runs=8, kinds=2)
    logits[:4, :, 0], logits[:4, :, 1] = 1.0, 0.0
    found = predicted(logits, labels, failed=[True] * 4 + [False] * 4)
    table = example_table(found)
    right = (logits.argmax(axis=2) == labels)[4:].mean(axis=0)
    assert table["share_correct_good"].to_numpy() == pytest.approx(right)
    flipping = flip_table(found).set_index("of")
    assert flipping["n_runs"].to_dict() == {ALL: 8, GOOD: 4}
    assert flipping.loc[GOOD, "share"] == np.mean((right >= 0.25) & (right <= 0.75))
    pairs = itertools.combinations(logits.argmax(axis=2)[4:], 2)
    assert flipping.loc[GOOD, "disagreement"] == pytest.approx(
        np.mean([np.mean(a != b) for a, b in pairs])
    )
    assert flipping.loc[ALL, "share"] > flipping.loc[GOOD, "share"]


def test_regression_has_the_spread_of_its_predictions():
    logits = np.random.default_rng(6).standard_normal((3, 8, 1))
    table = example_table(predicted(logits, np.full(8, 0.5)))
    values = logits[:, :, 0]
    assert table["sd_prediction"].to_numpy() == pytest.approx(values.std(axis=0, ddof=1))
    assert table["mean_error"].to_numpy() == pytest.approx(values.mean(axis=0) - 0.5)
    assert table["share_correct"].isna().all()


def test_one_run_is_no_vote():
    table = consistency(with_predictions(*made(runs=1)))
    assert table.empty
    assert {"task", "recipe", "example", "flips"} <= set(table.columns)
