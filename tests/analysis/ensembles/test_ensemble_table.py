"""What k runs reach together: against enumeration with other libraries, and where it is known."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections import Counter
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analysis.data.predictions import Predictions
from analysis.data.study import Study
from analysis.ensembles.combining import Combiner, single_scores
from analysis.ensembles.expected_scores import expected_score
from analysis.ensembles.metrics import METRICS
from analysis.ensembles.subsets import random_orders, subsets_of
from analysis.ensembles.table import ensemble_table
from analysis.errors import OptionError, TableError
from analysis.variance.mean_interval import mean_interval
from tests.suites.made_studies import with_predictions

Oracle = Callable[[np.ndarray, np.ndarray], float]


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def made(
    runs: int = 4, classes: int = 3, metric: str = "accuracy", seed: int = 0, test: bool = True
) -> Study:
    """Runs of a column with random logits, on 12 validation and 9 test examples."""
    draws = generator(seed)
    studies = []
    for examples in (12, 9):
        labels = draws.integers(0, max(classes, 4) if classes == 1 else classes, examples)
        right = labels[:, None] if classes == 1 else np.eye(classes)[labels]
        logits = (right + draws.normal(size=(runs, examples, classes))).astype(np.float32)
        studies.append(with_predictions(logits, labels))
    study = dataclasses.replace(studies[0], runs=studies[0].runs.assign(metric=metric))
    return dataclasses.replace(study, test_predictions=studies[1].predictions) if test else study


def arrays(frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Logits, shape (runs, examples, classes), and labels."""
    parts = [part.sort_values("example") for _, part in frame.groupby("run")]
    return np.stack([np.stack(list(part["logits"])) for part in parts]).astype(float), parts[0][
        "label"
    ].to_numpy()


def averaged(logits: np.ndarray) -> np.ndarray:
    if logits.shape[2] == 1:
        return logits[:, :, 0].mean(axis=0)
    powers = np.exp(logits)
    return (powers / powers.sum(axis=2, keepdims=True)).mean(axis=0).argmax(axis=1)


def voted(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits)
    mean = (powers / powers.sum(axis=2, keepdims=True)).mean(axis=0)
    winners = []
    for n in range(logits.shape[1]):
        votes = Counter(logits[:, n].argmax(axis=1).tolist())
        tied = [kind for kind, number in votes.items() if number == max(votes.values())]
        winners.append(max(tied, key=lambda kind: mean[n, kind]))
    return np.array(winners)


def ranked(logits: np.ndarray) -> np.ndarray:
    return np.mean([stats.rankdata(run) for run in logits[:, :, 0]], axis=0)


COMBINED = {"average": averaged, "vote": voted, "ranks": ranked}


def enumerated(study: Study, method: str, split: str, k: int, score: Oracle, sign: float) -> float:
    (dev, dev_labels), (logits, labels) = (
        arrays(study.predictions),
        arrays(study.predictions if split == "dev" else study.test_predictions),
    )
    found = []
    for subset in itertools.combinations(range(len(logits)), k):
        if method == "best":
            by = [sign * score(dev_labels, averaged(dev[[r]])) for r in subset]
            tied = [r for r, value in zip(subset, by, strict=True) if value == max(by)]
            found.append(np.mean([score(labels, averaged(logits[[r]])) for r in tied]))
        else:
            found.append(score(labels, COMBINED[method](logits[list(subset)])))
    return float(np.mean(found))


@pytest.mark.parametrize(
    ("metric", "classes", "score", "methods"),
    [
        ("accuracy", 3, lambda y, p: (y == p).mean(), ["average", "best", "vote"]),
        ("spearman", 1, lambda y, p: stats.spearmanr(y, p)[0], ["average", "best", "ranks"]),
        ("rmse", 1, lambda y, p: np.sqrt(np.mean((y - p) ** 2)), ["average", "best"]),
    ],
)
def test_all_subsets(metric: str, classes: int, score: Oracle, methods: list[str]) -> None:
    study, sign = made(metric=metric, classes=classes), -1.0 if metric == "rmse" else 1.0
    table = ensemble_table(study, generator())
    assert sorted(set(table["method"])) == methods
    assert len(table) == len(methods) * 2 * 4
    assert table["exact"].all()
    assert (table["se"] == 0).all()
    for row in table.to_dict("records"):
        expected = enumerated(study, row["method"], row["split"], row["k"], score, sign)
        assert row["score"] == pytest.approx(expected, abs=1e-12)
        gain = sign * (row["score"] - row["mean_run"])
        assert row["gain"] == pytest.approx(gain, abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    runs=st.integers(1, 5),
    classes=st.integers(2, 4),
    name=st.sampled_from(["accuracy", "matthews"]),
)
def test_properties(seed: int, runs: int, classes: int, name: str) -> None:
    draws, metric = generator(seed), METRICS[name]
    labels = draws.integers(0, classes, 12).astype(float)
    logits = 2 * draws.normal(size=(runs, 12, classes))
    given_ = Predictions(pd.DataFrame(index=range(runs)), np.arange(12), labels, logits)
    alone = np.eye(runs, dtype=bool)
    members = np.concatenate([alone, draws.random((6, runs)) < 0.5, np.ones((1, runs), dtype=bool)])
    members = members[members.any(axis=1)]
    mixed = draws.permutation(runs)
    moved = dataclasses.replace(given_, logits=logits[mixed])
    found = Combiner(given_, metric).scores(members)
    for method in found:
        assert (found[method][:runs] == single_scores(given_, metric)).all()
        # The order of the runs does not matter, nor that of the subsets.
        again = Combiner(moved, metric).scores(members[::-1, mixed])[method][::-1]
        assert again == pytest.approx(found[method], abs=1e-12)
        assert found[method][-1] == pytest.approx(
            metric.compare(COMBINED[method](logits)[None], labels.astype(int))[0]
        )
    if classes == 2:
        # Two votes that differ tie, and the mean probability decides.
        pairs = members.sum(axis=1) == 2
        assert found["vote"][pairs] == pytest.approx(found["average"][pairs])


@functools.cache
def table_of_ten(subsets: int = 1_000) -> pd.DataFrame:
    """All subsets of ten runs, or random ones."""
    return ensemble_table(made(10, 2, "accuracy"), generator(1), subsets=subsets)


def test_equal_runs_gain_nothing() -> None:
    study = made(1, 3)
    logits, labels = arrays(study.predictions)
    table = ensemble_table(with_predictions(np.repeat(logits, 6, axis=0), labels), generator())
    assert table["gain"].to_numpy() == pytest.approx(0.0)


class TestRandomSubsets:
    """Where there are too many subsets, some are drawn."""

    def test_their_mean_is_unbiased_and_their_error_is_stated(self) -> None:
        """One million in 15 of such tests fails by chance: five standard errors."""
        exact = table_of_ten().set_index(["k", "method", "split"])
        drawn = table_of_ten(100)
        random = drawn.loc[~drawn["exact"]]
        assert set(random["k"]) == {3, 4, 5, 7}
        assert set(random["method"]) == {"average", "vote"}
        assert (random["subsets"] == 100).all()
        errors = [
            (row["score"] - exact.loc[(row["k"], row["method"], row["split"]), "score"]) / row["se"]
            for row in random.to_dict("records")
        ]
        assert max(np.abs(errors)) < 5
        assert 0.3 < np.std(errors) < 2

    def test_a_subset_is_a_uniform_draw_that_grows_with_k(self) -> None:
        """Each of 10 pairs of 5 runs, 4,000 times: within five standard errors."""
        order = random_orders(generator(), 4_000, 5)
        assert subsets_of(order, 2).exact
        pairs, threes = order < 2, order < 3
        _, counts = np.unique(pairs, axis=0, return_counts=True)
        assert len(counts) == 10
        assert np.abs(counts - 400).max() < 5 * np.sqrt(400 * 0.9)
        assert (pairs <= threes).all()
        few = subsets_of(order[:9], 2)
        assert (few.members == pairs[:9]).all()
        assert not few.exact


class TestIntervals:
    """The runs count with their first-order effect, as a grid."""

    def runs(self) -> pd.DataFrame:
        init, order = np.divmod(np.arange(12), 4)
        return pd.DataFrame({"init_seed": init, "order_seed": order})

    @pytest.mark.parametrize("k", [1, 3, 6])
    def test_a_mean_over_the_runs_has_the_interval_of_the_mean(self, k: int) -> None:
        """Whatever k: the expected mean of k runs is the mean run."""
        own, single = generator(1).normal(size=(2, 12))
        subsets = subsets_of(random_orders(generator(), 1_000, 12), k)
        assert subsets.exact
        values = (subsets.members @ own) / k
        found = expected_score(values, single, subsets, self.runs())
        known = mean_interval(self.runs().assign(score=own))
        assert (found.score, found.lower, found.upper) == pytest.approx(
            (known.mean, known.lower, known.upper)
        )
        apart = mean_interval(self.runs().assign(score=own - single))
        assert (found.difference_lower, found.difference_upper) == pytest.approx(
            (apart.lower, apart.upper)
        )

    def test_they_are_given_up_to_half_of_the_runs(self) -> None:
        table = table_of_ten()
        known = table.loc[table["gain_lower"].notna()]
        assert set(known["k"]) == {1, 2, 3, 4, 5}
        inside = known["gain"].between(known["gain_lower"], known["gain_upper"])
        assert inside.all()


class TestRuns:
    """Runs without usable predictions are left out, and counted."""

    def test_only_runs_with_both_splits_count(self) -> None:
        study = made(5, 2)
        first = study.runs["run"].iloc[0]
        kept = study.test_predictions.loc[study.test_predictions["run"] != first]
        table = ensemble_table(dataclasses.replace(study, test_predictions=kept), generator())
        assert (table["n_runs"] == 4).all()
        assert set(table["split"]) == {"dev", "test"}

    def test_without_a_test_set(self) -> None:
        table = ensemble_table(made(10, 2, "accuracy", test=False), generator())
        assert set(table["split"]) == {"dev"}
        both = table_of_ten()
        assert table["score"].tolist() == both.loc[both["split"] == "dev", "score"].tolist()

    @pytest.mark.parametrize("runs", [0, 1])
    def test_fewer_than_two_runs_make_no_table(self, runs: int) -> None:
        study = made(1, 2) if runs else dataclasses.replace(made(3, 2), predictions=None)
        assert ensemble_table(study, generator()).empty

    def test_refusals(self) -> None:
        with pytest.raises(TableError, match="the metric 'bleu' can't be computed"):
            ensemble_table(made(metric="bleu"), generator())
        with pytest.raises(OptionError, match="subsets is 10"):
            ensemble_table(made(), generator(), subsets=10)
