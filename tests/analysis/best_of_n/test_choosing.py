"""The price of choosing: against enumeration, and where it is known."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.best_of_n.choosing import chosen_scores
from analysis.best_of_n.choosing_table import choosing_table
from analysis.best_of_n.expected_max import expected_max
from analysis.best_of_n.resampling import resampled_counts
from analysis.errors import TableError


def enumerated(dev: list[float], test: list[float], n: int, sign: float) -> tuple[float, float]:
    """Averages over all subsets; equal runs share their place."""
    devs, tests = [], []
    for subset in itertools.combinations(range(len(dev)), n):
        best = max(sign * dev[i] for i in subset)
        tied = [i for i in subset if sign * dev[i] == best]
        devs.append(sign * best)
        tests.append(np.mean([test[i] for i in tied]))
    return float(np.mean(devs)), float(np.mean(tests))


@given(
    runs=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9)), min_size=1, max_size=8),
    lower_is_better=st.booleans(),
)
def test_all_subsets(runs: list[tuple[int, int]], lower_is_better: bool) -> None:
    dev, test = [float(d) for d, _ in runs], [float(t) for _, t in runs]
    found = chosen_scores(dev, test, lower_is_better=lower_is_better)
    for n in range(1, len(runs) + 1):
        expected = enumerated(dev, test, n, -1.0 if lower_is_better else 1.0)
        assert (found.dev[n - 1], found.test[n - 1]) == pytest.approx(expected, abs=1e-9)


def test_the_validation_score_is_the_expected_maximum() -> None:
    dev = np.random.default_rng(1).normal(size=60).round(1)
    found = chosen_scores(dev, dev, [1, 7, 60])
    assert found.dev == pytest.approx(expected_max(dev, [1, 7, 60]), abs=1e-12)
    assert found.test == pytest.approx(found.dev, abs=1e-12)


def test_many_runs_do_not_overflow() -> None:
    dev = np.arange(2_000.0)
    found = chosen_scores(dev, -dev, [1, 1_000, 2_000])
    assert found.dev[[0, 2]] == pytest.approx([999.5, 1_999.0])
    assert found.test == pytest.approx(-found.dev)


@pytest.mark.parametrize(
    ("dev", "test", "ns", "message"),
    [
        ([1.0], [1.0, 2.0], None, "dev has 1 scores and test has 2"),
        ([1.0, 2.0], [1.0, 2.0], [3], "ns holds numbers outside 1 to 2"),
        ([1.0, np.nan], [1.0, 2.0], None, r"scores\[1\] is nan"),
    ],
)
def test_refusals(dev: list[float], test: list[float], ns: list[int] | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        chosen_scores(dev, test, ns)


def made_runs(a: int, b: int, seed: int = 0, noise: float = 0.5) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    init, order = np.divmod(np.arange(a * b), b)
    score = generator.normal(size=a * b)
    test = score + noise * generator.normal(size=a * b)
    columns = {"init_seed": init, "order_seed": order, "score": score, "test_score": test}
    return pd.DataFrame({"task": "t", "recipe": "r", **columns})


class TestResampledCounts:
    """Whole seeds are drawn."""

    def test_a_grid_draws_rows_and_columns(self) -> None:
        runs = made_runs(4, 5)
        counts = resampled_counts(runs, np.random.default_rng(1), 200).reshape(-1, 4, 5)
        rows, columns = counts.sum(axis=2) / 5, counts.sum(axis=1) / 4
        assert (counts == rows[:, :, None] * columns[:, None, :]).all()
        assert (rows.sum(axis=1) == 4).all()
        assert (columns.sum(axis=1) == 5).all()

    def test_runs_with_seeds_of_their_own_are_drawn_by_themselves(self) -> None:
        runs = pd.DataFrame({"init_seed": [5, 6, 7], "order_seed": [5, 6, 7]})
        counts = resampled_counts(runs, np.random.default_rng(1), 500)
        assert (counts.sum(axis=1) == 3).all()
        assert len(np.unique(counts, axis=0)) == 10  # all multisets of 3 of 3 runs

    def test_samples_without_a_run_are_left_out(self) -> None:
        runs = pd.DataFrame({"init_seed": [0, 0, 1], "order_seed": [0, 1, 1]})
        counts = resampled_counts(runs, np.random.default_rng(1), 500)
        assert len(counts) < 500
        assert (counts.sum(axis=1) > 0).all()


def test_counts_are_repeats_of_runs() -> None:
    dev, test, counts = [3.0, 1.0, 2.0], [0.5, 0.1, 0.9], [2, 0, 3]
    repeated = [np.repeat(scores, counts) for scores in (dev, test)]
    expected = chosen_scores(*repeated, [1, 2, 5])
    found = chosen_scores(dev, test, [1, 2, 5], counts=[counts, [1, 2, 2]])
    assert found.test.shape == (2, 3)
    assert found.dev[0] == pytest.approx(expected.dev)
    assert found.test[0] == pytest.approx(expected.test)


class TestTable:
    """One row per n, in the metric's units."""

    def test_columns(self) -> None:
        runs = made_runs(5, 4)
        table = choosing_table(runs, np.random.default_rng(0), samples=50)
        assert list(table["n"]) == list(range(1, 21))
        assert (table["mean_test"] == runs["test_score"].mean()).all()
        assert table["expected_test"][0] == pytest.approx(runs["test_score"].mean())
        gap = (table["expected_dev"] - table["expected_test"]).to_numpy()
        assert table["gap"].to_numpy() == pytest.approx(gap)
        assert list(table["test_lower"].notna()) == [True, True] + [False] * 18

    def test_lower_is_better_turns_scores_and_gap_round(self) -> None:
        runs = made_runs(3, 4)
        turned = runs.assign(score=-runs["score"], test_score=-runs["test_score"])
        up = choosing_table(runs, np.random.default_rng(0), samples=50)
        down = choosing_table(turned, np.random.default_rng(0), samples=50, lower_is_better=True)
        assert down["gap"].to_numpy() == pytest.approx(up["gap"].to_numpy())
        assert down["expected_test"].to_numpy() == pytest.approx(-up["expected_test"].to_numpy())
        assert down["test_lower"][0] == pytest.approx(-up["test_upper"][0])

    def test_runs_without_a_test_score_are_left_out(self) -> None:
        runs = made_runs(3, 3)
        runs.loc[4, "test_score"] = np.nan
        assert len(choosing_table(runs, np.random.default_rng(0), samples=50)) == 8
        with pytest.raises(TableError, match="no run has a score and a test score"):
            choosing_table(runs.assign(test_score=np.nan), np.random.default_rng(0))

    def test_6_000_runs_with_scores_of_their_own(self) -> None:
        runs = made_runs(6_000, 1).assign(order_seed=range(6_000))
        table = choosing_table(runs, np.random.default_rng(0), samples=20)
        assert len(table) <= 80
        assert table["n"].iloc[-1] == 6_000
        assert table["expected_dev"].iloc[-1] == runs["score"].max()
        assert table["expected_test"].iloc[0] == pytest.approx(runs["test_score"].mean())
        assert table.loc[table["test_lower"].notna(), "n"].max() in range(90, 101)

    @pytest.mark.stat
    def test_the_interval_covers(self) -> None:
        """Coverage at n = 5 of 50 runs, 100 times: at least .79.

        Its expectation is .9 (experiments/inference); .11 is more than three standard errors.
        """
        generator, hits = np.random.default_rng(4), 0
        # Noise of its own on the test set changes no expectation.
        truth = 1.16296  # of the largest of five standard normal numbers
        for seed in range(100):
            runs = made_runs(50, 1, seed, noise=0.5).assign(order_seed=range(50))
            row = choosing_table(runs, generator, samples=200).iloc[4]
            hits += row["test_lower"] <= truth <= row["test_upper"]
        assert hits / 100 >= 0.79


def test_450_runs_of_bert_large() -> None:
    """Zhang et al.'s recipes, chosen by the last validation score: numbers computed elsewhere."""
    folder = os.environ.get("SEEDLAB_DATA")
    path = Path(folder or ".") / "data" / "zhang2021_replication" / "runs.csv"
    if folder is None or not path.exists():
        pytest.skip("SEEDLAB_DATA is not set: 450 runs of BERT-large")
    runs = pd.read_csv(path).set_index(["task", "recipe"])
    for group, dev, test in (
        (
            ("RTE", "reinit_debiased"),
            [0.7270, 0.7471, 0.7533, 0.7589],
            [0.7214, 0.7188, 0.7165, 0.7130],
        ),
        (
            ("CoLA", "standard_debiased"),
            [0.5706, 0.5968, 0.6046, 0.6122],
            [0.6376, 0.6363, 0.6418, 0.6535],
        ),
    ):
        part = runs.loc[[group]]
        found = chosen_scores(part["final_val"], part["test_at_last"], [1, 5, 10, 25])
        assert found.dev == pytest.approx(dev, abs=5e-5)
        assert found.test == pytest.approx(test, abs=5e-5)
