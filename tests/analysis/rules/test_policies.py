"""Decision rules: hand-made cases, stability, agreement with the exact value."""

import itertools

import numpy as np
import pytest

from analysis.rules.policies import (
    Bracket,
    Rung,
    best_so_far,
    halving_bracket,
    hyperband_brackets,
    keep_best,
    median_rule,
    patience_rule,
    rank_runs,
    start_many,
    tie_keys,
)
from analysis.stopping.expectation import stopping_surface

NAN = float("nan")


def test_failed_and_unscored_runs_come_last():
    order = rank_runs([0.9, 0.5, NAN, 0.7, NAN], failed=[True, False, False, False, True])
    assert order.tolist() == [3, 1, 2, 0, 4]


def test_minus_infinity_is_a_score():
    assert rank_runs([NAN, -np.inf]).tolist() == [1, 0]


def test_ties_are_broken_by_seed_and_name_alone():
    names = ["a", "b", "c", "d"]
    scores = np.array([0.5, 0.5, 0.5, 0.4])
    first = [names[i] for i in rank_runs(scores, names=names, seed=1)]
    turned = names[::-1]
    second = [turned[i] for i in rank_runs(scores[::-1], names=turned, seed=1)]
    assert first == second
    # Leaving one out does not change the order of the others.
    fewer = [names[i] for i in rank_runs(scores[:2], names=names[:2], seed=1)]
    assert fewer == [name for name in first if name in {"a", "b"}]
    assert len({tuple(rank_runs(scores, seed=seed)) for seed in range(50)}) == 6


def test_tie_keys_are_pinned():
    # A change here would change which runs a study continues.
    assert tie_keys(["run"], 0).tolist() == [16323298139903634466]


def test_tie_keys_do_not_favour_a_name():
    wins = sum(tie_keys(["a", "b"], seed).argmin() for seed in range(2000))
    assert abs(wins - 1000) < 5.5 * np.sqrt(500)


@pytest.mark.parametrize("keep", range(6))
def test_keep_best_keeps_exactly_that_many(keep):
    mask = keep_best([0.1, NAN, 0.1, 0.1, NAN], keep)
    assert mask.sum() == min(keep, 5)
    assert mask[[0, 2, 3]].sum() == min(keep, 3)


def test_start_many_ranks_by_the_best_so_far():
    curves = [[0.9, 0.1], [0.5, 0.6], [NAN, 0.7], [NAN, NAN]]
    assert start_many(curves, 2).tolist() == [True, False, True, False]
    assert start_many(curves, 2, failed=[True, False, False, False]).tolist() == [
        False,
        True,
        True,
        False,
    ]


def test_best_so_far_ignores_gaps():
    np.testing.assert_array_equal(best_so_far([NAN, 0.2, NAN, 0.1, 0.3]), [NAN, 0.2, 0.2, 0.2, 0.3])


def test_the_live_rule_has_the_value_that_the_estimator_predicts():
    scores = np.random.default_rng(0).normal(size=(7, 3))
    best = np.maximum.accumulate(scores, axis=1)
    outcomes = []
    for drawn in itertools.combinations(range(7), 5):
        pool = np.array(drawn)
        kept = start_many(scores[pool, :2], 2)
        seen = np.where(kept, best[pool, 2], best[pool, 1])
        outcomes.append(seen.max())
    exact = stopping_surface(best, [5], [2])[1, 0, 0]
    assert np.mean(outcomes) == pytest.approx(exact, abs=1e-12)


def test_halving_bracket_counts_down_to_one():
    assert halving_bracket(27, 1 / 27) == Bracket(
        27, (Rung(1 / 27, 9), Rung(3 / 27, 3), Rung(9 / 27, 1))
    )
    assert halving_bracket(4, 0.1, 2).rungs == (Rung(0.1, 2), Rung(0.2, 1))
    assert halving_bracket(5, 1.0).rungs == ()


def test_cost_of_a_bracket():
    bracket = Bracket(8, (Rung(0.25, 4), Rung(0.5, 1)))
    assert bracket.cost == pytest.approx(8 * 0.25 + 4 * 0.25 + 0.5)
    assert Bracket(3, ()).cost == 3.0


def test_hyperband_brackets_follow_the_papers_formula():
    # R = 81, reduction 3, by hand: ceil(5/5 81), ceil(5/4 27), ceil(5/3 9), ceil(5/2 3), 5.
    brackets = hyperband_brackets(1 / 81)
    assert [b.started for b in brackets] == [81, 34, 15, 8, 5]
    assert [len(b.rungs) for b in brackets] == [4, 3, 2, 1, 0]
    assert [b.rungs[0].fraction for b in brackets[:-1]] == pytest.approx(
        [1 / 81, 1 / 27, 1 / 9, 1 / 3]
    )
    assert [r.keep for r in brackets[0].rungs] == [27, 9, 3, 1]
    # All brackets cost about the same.
    costs = [b.cost for b in brackets]
    assert max(costs) / min(costs) < 2


def test_median_rule():
    finished = [0.1, 0.2, 0.3, 0.4, 0.5]
    assert median_rule([0.29, 0.3, 0.31, NAN], finished).tolist() == [False, True, True, False]
    assert median_rule([0.0, NAN], finished[:4]).tolist() == [True, True]
    assert median_rule([0.0, NAN], [NAN] * 5).tolist() == [True, False]


def test_patience_rule():
    curves = [
        [0.1, 0.2, 0.3, 0.4],
        [0.4, 0.3, 0.2, 0.1],
        [0.1, 0.4, 0.3, 0.4],
        [NAN, NAN, NAN, NAN],
        [0.1, 0.2, NAN, 0.3],
    ]
    assert patience_rule(curves, 2).tolist() == [True, False, False, False, True]
    assert patience_rule(curves, 3).tolist() == [True, False, True, False, True]
    assert patience_rule(curves, 2, improvement=0.15).tolist() == [
        True,
        False,
        False,
        False,
        True,
    ]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rank_runs([0.1, 0.2], failed=[True]), r"failed \(1,\).*one of each per run"),
        (lambda: rank_runs([0.1, 0.2], names=["a", "a"]), "the same name twice"),
        (lambda: keep_best([0.1], -1), "keep is -1; allowed"),
        (lambda: start_many([0.1], 1), r"shape \(1,\); allowed: one row per run"),
        (lambda: halving_bracket(0, 0.1), "started is 0"),
        (lambda: hyperband_brackets(0.0), r"first is 0\.0"),
        (lambda: hyperband_brackets(0.1, 1), "reduction 1"),
        (lambda: median_rule(0.1, [0.2]), "one dimension each"),
        (lambda: patience_rule([[0.1]], 0), "patience is 0"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()
