import importlib
import itertools

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from statsmodels.stats.inter_rater import aggregate_raters, fleiss_kappa

from analysis.comparison.instability import (
    fleiss_instability,
    instability,
    pairwise_disagreement,
    pairwise_divergence,
    per_point_variance,
)
from analysis.data.predictions import predictions_of
from analysis.data.study import Study
from analysis.errors import TableError
from tests.suites.made_studies import with_predictions


def classes(runs=5, examples=40, kinds=3, seed=0):
    generator = np.random.default_rng(seed)
    truth = generator.integers(kinds, size=examples)
    noise = generator.integers(kinds, size=(runs, examples))
    return np.where(generator.random((runs, examples)) < 0.7, truth, noise)


def test_disagreement_by_brute_force():
    matrix = classes()
    pairs = itertools.combinations(matrix, 2)
    assert pairwise_disagreement(matrix) == pytest.approx(
        np.mean([np.mean(a != b) for a, b in pairs])
    )
    assert pairwise_disagreement(np.array(["x", "y"])[[[0, 1, 1], [0, 0, 1]]]) == pytest.approx(
        1 / 3
    )


def test_fleiss_is_statsmodels():
    matrix = classes()
    table, _ = aggregate_raters(matrix.T)
    assert fleiss_instability(matrix) == pytest.approx(1 - fleiss_kappa(table))


def test_identical_predictions_are_stable():
    matrix = np.tile(classes()[:1], (4, 1))
    assert pairwise_disagreement(matrix) == 0.0
    assert fleiss_instability(matrix) == pytest.approx(0.0)
    assert pairwise_divergence(np.full((3, 5, 4), 0.25)) == 0.0
    assert per_point_variance(matrix) == 0.0


def test_kappa_of_a_single_class_is_undefined():
    assert np.isnan(fleiss_instability(np.ones((3, 6), dtype=int)))


def test_divergence_is_scipys_over_distinct_pairs():
    generator = np.random.default_rng(1)
    p = generator.dirichlet(np.ones(3), size=(4, 6))
    expected = np.mean(
        [
            jensenshannon(a, b, base=2) ** 2
            for i, j in itertools.combinations(range(4), 2)
            for a, b in zip(p[i], p[j], strict=True)
        ]
    )
    assert pairwise_divergence(p) == pytest.approx(expected)
    sure = np.zeros((2, 3, 2))
    sure[0, :, 0] = sure[1, :, 1] = 1.0
    assert pairwise_divergence(sure) == pytest.approx(1.0)


def test_divergence_in_blocks(monkeypatch):
    p = np.random.default_rng(2).dirichlet(np.ones(2), size=(7, 5))
    whole = pairwise_divergence(p)
    # The package re-exports a function of the module's name.
    module = importlib.import_module("analysis.comparison.instability")
    monkeypatch.setattr(module, "BLOCK_VALUES", 20)
    assert pairwise_divergence(p) == pytest.approx(whole, rel=1e-12)


def test_point_variance_is_never_below_that_of_the_accuracy():
    generator = np.random.default_rng(3)
    for _ in range(20):
        correct = (generator.random((6, 30)) < generator.random((6, 1))).astype(float)
        assert per_point_variance(correct) >= correct.mean(axis=1).var(ddof=1) - 1e-15


def test_table_of_groups():
    generator = np.random.default_rng(4)
    labels = generator.integers(2, size=30)
    logits = generator.standard_normal((4, 30, 2))
    study = with_predictions(logits, labels)
    row = instability(study).iloc[0]
    assert row["disagreement"] == pairwise_disagreement(logits.argmax(axis=2))
    p = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    assert row["divergence"] == pytest.approx(pairwise_divergence(p))
    assert (row["n_runs"], row["n_examples"], row["n_without"]) == (4, 30, 0)
    assert instability(Study(study.runs)).empty


def test_a_diverged_run_predicts_nothing():
    generator = np.random.default_rng(5)
    logits = generator.standard_normal((3, 8, 2))
    logits[1, 3] = np.nan
    row = instability(with_predictions(logits, np.zeros(8, dtype=int))).iloc[0]
    assert (row["n_runs"], row["n_without"]) == (2, 1)
    logits[:] = np.nan
    assert predictions_of(with_predictions(logits, np.zeros(8, dtype=int))) is None


def test_regression_has_the_variance_of_its_predictions():
    logits = np.random.default_rng(6).standard_normal((3, 8, 1))
    row = instability(with_predictions(logits, np.zeros(8))).iloc[0]
    assert row["per_point_variance"] == pytest.approx(logits[:, :, 0].var(axis=0, ddof=1).mean())
    assert np.isnan(row["disagreement"])


def test_predictions_must_match():
    generator = np.random.default_rng(7)
    study = with_predictions(generator.standard_normal((3, 8, 2)), np.zeros(8, dtype=int))
    table = study.predictions

    def refused(frame, message):
        with pytest.raises(TableError, match=message):
            predictions_of(Study(study.runs, predictions=frame))

    refused(table.iloc[:-1], r"run row3 predicts other examples than run row1")
    refused(table.assign(example=range(24)), r"predicts other examples")
    refused(table.assign(label=range(24)), r"the label of example 0 differs between runs")
    uneven = table.assign(logits=[[0.0], *table["logits"].to_list()[1:]])
    refused(uneven, r"logits of \[1, 2\] numbers; all need one length")


def test_refusals():
    with pytest.raises(ValueError, match=r"classes has the shape \(1, 3\); allowed: .* at least 2"):
        pairwise_disagreement([[1, 2, 3]])
    with pytest.raises(ValueError, match=r"probabilities has the shape \(2, 3\); allowed"):
        pairwise_divergence(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"sum to 1 over the last axis"):
        pairwise_divergence(np.ones((2, 3, 2)))
    with pytest.raises(
        ValueError, match=r"values has the shape \(1, 4\); allowed: .*more than 1 r"
    ):
        per_point_variance(np.ones((1, 4)))
