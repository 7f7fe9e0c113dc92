"""The price of choosing: against enumeration, and where it is known."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.best_of_n.choosing import chosen_scores
from analysis.best_of_n.expected_max import expected_max


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
    dev = np.arange(5_000.0)
    found = chosen_scores(dev, -dev, [1, 2_500, 5_000])
    assert found.dev[[0, 2]] == pytest.approx([2_499.5, 4_999.0])
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
