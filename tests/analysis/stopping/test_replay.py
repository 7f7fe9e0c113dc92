"""Replays of Optuna's pruners: costs, prefixes, and our own median rule as oracle."""

import itertools

import numpy as np
import optuna
import pandas as pd
import pytest

from analysis.best_of_n.expected_max import expected_max
from analysis.rules.policies import median_rule
from analysis.stopping.replay import replay_pruner, replay_table, standard_pruners

COUNT = 10


@pytest.fixture(scope="module")
def scores():
    rng = np.random.default_rng(0)
    return np.round(rng.normal(0.6, 0.1, (25, 1)) + rng.normal(0, 0.03, (25, COUNT)), 3)


def test_without_pruning_the_budget_is_that_many_runs(scores):
    order = np.random.default_rng(1).permutation(25)
    replay = replay_pruner(scores, optuna.pruners.NopPruner(), order)
    for budget in (1, 2, 10, 25):
        best, started, completed, cost = replay.at_budget(budget)
        assert best == scores[order[:budget]].max()
        assert (started, completed) == (budget, budget)
        assert cost == pytest.approx(budget)
    assert np.isnan(replay.at_budget(0.05)[0])


def test_all_orders_together_are_the_expected_maximum():
    scores = np.random.default_rng(2).normal(size=(4, 2))
    best = [
        replay_pruner(scores, optuna.pruners.NopPruner(), list(order)).at_budget(2)[0]
        for order in itertools.permutations(range(4))
    ]
    assert np.mean(best) == pytest.approx(expected_max(scores.max(axis=1), 2), abs=1e-12)


def test_optunas_median_pruner_decides_as_our_median_rule(scores):
    order = np.random.default_rng(3).permutation(25)
    replay = replay_pruner(scores, optuna.pruners.MedianPruner(), order)
    spent, completed, lengths = 0, [], []
    for run in order:
        best = np.maximum.accumulate(scores[run])
        for seen in range(COUNT):
            spent += 1
            finished = scores[completed, seen] if completed else np.empty(0)
            if seen < COUNT - 1 and not median_rule(best[seen : seen + 1], finished)[0]:
                break
        else:
            completed.append(run)
        lengths.append(seen + 1)
    assert len(replay.cost) == spent == sum(lengths)
    assert replay.completed[-1] == len(completed)
    assert replay.started[-1] == 25
    assert 0 < len(completed) < 25


@pytest.mark.parametrize("name", ["median", "successive_halving", "hyperband"])
@pytest.mark.parametrize("workers", [1, 4])
def test_a_smaller_budget_is_a_prefix_of_a_larger_one(scores, name, workers):
    order = np.random.default_rng(4).permutation(25)
    factory = standard_pruners()[name]
    whole = replay_pruner(scores, factory(COUNT), order, workers=workers)
    part = replay_pruner(scores, factory(COUNT), order, workers=workers, budget=3)
    assert part.cost[-1] <= 3
    assert part.at_budget(3) == whole.at_budget(3)
    assert np.all(np.diff(whole.best) >= 0)
    assert whole.cost[-1] <= 25


def test_the_order_of_arrival_matters(scores):
    factory = standard_pruners()["successive_halving"]
    ends = {
        len(replay_pruner(scores, factory(COUNT), np.random.default_rng(s).permutation(25)).cost)
        for s in range(5)
    }
    assert len(ends) > 1


def test_costs_follow_the_steps():
    scores = np.array([[0.1, 0.2], [0.3, 0.2]])
    replay = replay_pruner(scores, optuna.pruners.NopPruner(), [1, 0], steps=[12, 120])
    np.testing.assert_allclose(replay.cost, [0.1, 1.0, 1.1, 2.0])
    np.testing.assert_allclose(replay.best, 0.3)


def test_optunas_verbosity_is_left_alone(scores):
    before = optuna.logging.get_verbosity()
    replay_pruner(scores, optuna.pruners.NopPruner(), [0])
    assert optuna.logging.get_verbosity() == before


def test_table_of_policies(scores):
    frame = pd.DataFrame(
        {
            "task": "rte",
            "recipe": "plain",
            "run": np.repeat([f"r{i}" for i in range(25)], COUNT),
            "fraction": np.tile(np.arange(1, COUNT + 1) / COUNT, 25),
            "score": scores.ravel(),
        }
    )
    table = replay_table(
        frame, generator=np.random.default_rng(5), budgets=[2, 6, 20, 30], orders=4
    )
    assert table["policy"].unique().tolist() == ["median", "successive_halving", "hyperband"]
    assert sorted(table["budget"].unique()) == [2, 6, 20]
    np.testing.assert_allclose(
        table["baseline"][:3], expected_max(scores.max(axis=1), [2, 6, 20]), atol=1e-12
    )
    assert (table["cost"] <= table["budget"] + 1e-9).all()
    # Halving prunes so much that 25 runs do not use up 20 trainings, and says so.
    halving = table[table["policy"] == "successive_halving"]
    assert halving["cost"].iloc[-1] < 19
    losses = replay_table(
        frame.assign(score=-frame["score"]),
        generator=np.random.default_rng(5),
        budgets=[2, 6, 20],
        orders=4,
        lower_is_better=True,
    )
    np.testing.assert_allclose(losses["expected_best"], -table["expected_best"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scores": [0.1]}, r"shape \(1,\)"),
        ({"order": [0, 0]}, "allowed: different positions from 0 to 1"),
        ({"order": [2]}, "allowed: different positions from 0 to 1"),
        ({"steps": [2, 1]}, "steps is"),
        ({"workers": 0}, "workers is 0"),
    ],
)
def test_refusals(changes, message):
    arguments = {"scores": [[0.1, 0.2], [0.3, 0.4]], "order": [0, 1], **changes}
    with pytest.raises(ValueError, match=message):
        replay_pruner(pruner=optuna.pruners.NopPruner(), **arguments)


def test_one_order_is_not_enough_for_an_error():
    with pytest.raises(ValueError, match="orders is 1; allowed"):
        replay_table(pd.DataFrame(), generator=np.random.default_rng(0), orders=1)
