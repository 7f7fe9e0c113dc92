"""The price of choosing among evaluations: against plain loops over runs and evaluations."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.best_of_n.choosing_evaluations import (
    choosing_both_table,
    choosing_evaluations_table,
    evaluated_runs,
)
from analysis.errors import TableError

Curve = list[tuple[float, float]]
"""(validation score, test score) of every evaluation"""


def frames(
    curves: list[Curve], diverged: tuple[int, ...] = ()
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Runs and curves; a diverged run ends at (0.5, 0.25)."""
    ends = [(0.5, 0.25) if i in diverged else curve[-1] for i, curve in enumerate(curves)]
    names = [f"run{i}" for i in range(len(curves))]
    runs = pd.DataFrame(ends, columns=["final_score", "test_score"]).assign(
        **{"run": names, "task": "t", "recipe": "r", "score": 9.0},
        init_seed=np.arange(len(curves)),
        order_seed=np.arange(len(curves)),
        diverged=[i in diverged for i in range(len(curves))],
    )
    rows = [
        (name, at / 8, dev, test)
        for name, curve in zip(names, curves, strict=True)
        # The untrained model is never chosen, however good.
        for at, (dev, test) in enumerate([(99.0, 99.0), *curve])
    ]
    return runs, pd.DataFrame(rows, columns=["run", "fraction", "score", "test_score"])


def best(curve: Curve, sign: float) -> tuple[float, float]:
    """The first strictly best evaluation."""
    kept = curve[0]
    for one in curve[1:]:
        if sign * one[0] > sign * kept[0]:
            kept = one
    return kept


def no_interval(runs: pd.DataFrame) -> tuple[float, float]:
    return float(runs["test_score"].min()), float(runs["test_score"].max())


SCORES = st.tuples(st.integers(0, 3).map(float), st.integers(0, 9).map(float))


@settings(max_examples=10, deadline=None)
@given(
    curves=st.lists(st.lists(SCORES, min_size=2, max_size=5), min_size=1, max_size=5),
    lower=st.booleans(),
)
def test_every_choice(curves: list[Curve], lower: bool) -> None:
    """Runs of several lengths, with ties: the first of equal evaluations, all of equal runs."""
    sign = -1.0 if lower else 1.0
    found = evaluated_runs(*frames(curves), lower_is_better=lower)
    table = choosing_evaluations_table(found, no_interval)
    last = np.mean([curve[-1][1] for curve in curves])
    assert list(table["n"]) == list(range(1, max(map(len, curves)) + 1))
    for row in table.itertuples():
        chosen = np.array([best(curve[-row.n :], sign) for curve in curves])
        assert (row.expected_dev, row.expected_test) == pytest.approx(chosen.mean(axis=0))
        assert row.gap == pytest.approx(sign * (row.expected_dev - row.expected_test))
        assert (row.mean_test, row.test_lower) == pytest.approx((last, chosen[:, 1].min()))
    both = choosing_both_table(found, np.random.default_rng(0))
    each = [best(curve, sign) for curve in curves]
    for row in both.itertuples():
        values = []
        for subset in itertools.combinations(each, row.n):
            top = max(sign * dev for dev, _ in subset)
            values.append((sign * top, np.mean([t for d, t in subset if sign * d == top])))
        assert (row.expected_dev, row.expected_test) == pytest.approx(np.mean(values, axis=0))
        assert row.mean_test == pytest.approx(last)
        assert row.gap == pytest.approx(sign * (row.expected_dev - row.expected_test))


def test_a_diverged_run_is_at_chance_from_its_end_on() -> None:
    whole: Curve = [(0.6, 0.5), (0.7, 0.6), (0.8, 0.5)]
    found = evaluated_runs(*frames([whole, [(0.9, 0.7)]], diverged=(1,)))
    assert found.dev[1].tolist() == [0.9, 0.5, 0.5]
    assert found.test[1].tolist() == [0.7, 0.25, 0.25]
    table = choosing_evaluations_table(found, no_interval).set_index("n")
    assert table["expected_dev"].tolist() == pytest.approx([0.65, 0.65, 0.85])
    assert table["expected_test"].tolist() == pytest.approx([0.375, 0.375, 0.6])


def test_a_run_without_all_its_test_scores_is_left_out() -> None:
    runs, curves = frames([[(0.6, 0.5), (0.7, 0.6)], [(0.6, 0.5), (0.9, 0.6)]])
    curves.loc[1, "test_score"] = np.nan
    assert list(evaluated_runs(runs, curves).runs["run"]) == ["run1"]


@pytest.mark.parametrize(
    ("curves", "message"),
    [
        (
            None,
            "no run has a test score at every evaluation. Train with diagnostics.test_curve=true",
        ),
        (frames([[(0.6, np.nan), (0.7, 0.5)]])[1], "no run has a test score at every evaluation"),
        (frames([[(0.6, 0.5)]])[1], "the runs have one evaluation each. Evaluate more often"),
    ],
)
def test_a_gap_says_what_to_record(curves: pd.DataFrame | None, message: str) -> None:
    with pytest.raises(TableError, match=message):
        evaluated_runs(frames([[(0.6, 0.5)]])[0], curves)
