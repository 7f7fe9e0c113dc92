"""Objectives of a search, by hand and against brute force over subsets."""

import itertools

import numpy as np
import pytest

from analysis.rules.objectives import parse_objective

SCORES = [0.8, 0.5, 0.7, 0.9, 0.6]


def value(text, scores=SCORES, failed=None, **options):
    return parse_objective(text).value(scores, failed, **options)


def test_mean_and_median():
    assert value("mean", [0.5, 0.5, 0.8]) == pytest.approx(0.6)
    assert value("median", [0.5, 0.6, 0.9]) == 0.6


@pytest.mark.parametrize("n", range(1, 6))
def test_expected_best_is_the_mean_over_all_subsets(n):
    subsets = list(itertools.combinations(SCORES, n))
    assert value(f"expected_best({n})") == pytest.approx(np.mean([max(s) for s in subsets]))
    least = np.mean([min(s) for s in subsets])
    assert value(f"expected_best({n})", lower_is_better=True) == pytest.approx(least)


def test_the_lower_quantile_is_that_of_the_worst_runs_in_either_direction():
    assert value("quantile(0.25)") == 0.6
    errors = [1 - score for score in SCORES]
    assert value("quantile(0.25)", errors, lower_is_better=True) == pytest.approx(1 - 0.6)


def test_failure_rate():
    assert value("failure_rate", failed=[True, False, False, False, True]) == 0.4
    with pytest.raises(ValueError, match="needs to know which runs failed"):
        value("failure_rate")


def test_directions():
    for name in ("mean", "median", "expected_best(2)", "quantile(0.1)"):
        assert not parse_objective(name).minimised(False)
        assert parse_objective(name).minimised(True)
    assert parse_objective("failure_rate").minimised(False)


def test_only_means_of_a_number_per_run_can_be_decided_by_pairs():
    means = [
        n for n in ("mean", "median", "quantile(0.1)", "failure_rate") if parse_objective(n).is_mean
    ]
    assert means == ["mean", "failure_rate"]
    for name in means:
        failed = [False, True, False, True, False]
        runs = parse_objective(name).per_run(SCORES, failed)
        assert np.mean(runs) == pytest.approx(value(name, failed=failed))


def test_names_survive_reading_and_writing():
    for name in ("mean", "median", "expected_best(5)", "quantile(0.1)", "failure_rate"):
        assert str(parse_objective(name)) == name
    assert parse_objective(" quantile( 0.10 ) ") == parse_objective("quantile(0.1)")


@pytest.mark.parametrize(
    "text",
    ["", "best", "mean(2)", "expected_best", "expected_best(0)", "expected_best(1.5)",
     "quantile(0)", "quantile(1)", "quantile(.)", "quantile", "mean,median"],
)  # fmt: skip
def test_unknown_objectives_are_refused_with_the_list(text):
    with pytest.raises(
        ValueError, match=r"is not known; allowed: mean, median, expected_best\(N\)"
    ):
        parse_objective(text)


def test_too_few_runs_are_refused():
    with pytest.raises(ValueError, match=r"expected_best\(6\) needs 6 runs and there are 5"):
        value("expected_best(6)")
