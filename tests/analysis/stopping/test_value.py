"""Plans, their tables, and the correlation of fractions."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from analysis.best_of_n.expected_max import expected_max
from analysis.data.curves import curve_pools, fraction_steps
from analysis.errors import TableError
from analysis.stopping.plans import affordable_plans
from analysis.stopping.rank_correlation import fraction_correlations, rank_correlations
from analysis.stopping.value import COLUMNS, early_stopping_table, plan_values
from tests.suites.brute_force import mean_of, stopping_outcomes


def frame_of(scores, *, task="rte", recipe="plain", fractions=None):
    runs, count = scores.shape
    times = np.arange(1, count + 1) / count if fractions is None else fractions
    return pd.DataFrame(
        {
            "task": task,
            "recipe": recipe,
            "run": np.repeat([f"r{i}" for i in range(runs)], count),
            "fraction": np.tile(times, runs),
            "score": scores.ravel(),
        }
    )


def learning_curves(generator, runs, count=10):
    """Noisy curves of which a fifth stay at chance, as fine-tuning has them."""
    level = np.where(generator.random(runs) < 0.2, 0.53, generator.normal(0.7, 0.03, runs))
    grown = 0.5 + (level[:, None] - 0.5) * (1 - np.exp(-4 * np.linspace(0.1, 1, count)))
    return np.round((grown + generator.normal(0, 0.02, (runs, count))) * 277) / 277


def test_the_papers_sweep_has_4408_assignments():
    plans = affordable_plans(np.arange(1, 31), range(1, 31), 200, none_continued=True)
    assert len(plans) + 30 == 4408  # with one baseline per budget


def test_plans_cost_their_budget_in_whole_steps():
    steps = np.array([7, 20, 41, 60])
    plans = affordable_plans(steps, [3, 5], 50)
    cost = plans.started * steps[plans.evaluation] + plans.continued * (
        60 - steps[plans.evaluation]
    )
    np.testing.assert_array_equal(cost, plans.budget * 60)
    assert np.all((plans.continued > 0) & (plans.continued < plans.started))
    found = set(zip(plans.budget, plans.started, plans.evaluation, plans.continued, strict=True))
    expected = {
        (x, t, k, p)
        for x, k, p, t in itertools.product([3, 5], range(3), range(1, 50), range(2, 51))
        if p < t and t * steps[k] + p * (60 - steps[k]) == 60 * x
    }
    assert found == expected


def test_slack_allows_cheaper_plans():
    steps = np.array([7, 60])
    exact = affordable_plans(steps, [3], 50)
    loose = affordable_plans(steps, [3], 50, slack=0.5)
    assert len(loose) > len(exact)
    cost = (loose.started * 7 + loose.continued * 53) / 60
    assert np.all((cost <= 3) & (cost >= 2.5 - 1e-9))
    with pytest.raises(ValueError, match="slack -1"):
        affordable_plans(steps, [3], 50, slack=-1)


@pytest.mark.parametrize(
    ("fractions", "steps"),
    [
        (np.arange(1, 31) / 30, np.arange(1, 31)),
        (np.round(np.arange(1, 31) / 30, 3), np.arange(1, 31)),
        (np.arange(0, 11) / 10, np.arange(0, 11)),
        ([12 / 115, 1.0], [12, 115]),
        ([0.1, 0.25, 1.0], [2, 5, 20]),
        ([1.0], [1]),
    ],
)
def test_fractions_become_whole_steps(fractions, steps):
    np.testing.assert_array_equal(fraction_steps(fractions), steps)


@pytest.mark.parametrize("fractions", [[0.5, 0.4, 1.0], [0.5, 0.9], [-0.1, 1.0], []])
def test_fractions_must_rise_to_the_end(fractions):
    with pytest.raises(ValueError, match="increasing numbers from 0 on that end at 1"):
        fraction_steps(fractions)


def test_every_plan_of_a_small_pool_has_its_enumerated_value():
    scores = learning_curves(np.random.default_rng(0), 6, 4)
    best = np.maximum.accumulate(scores, axis=1)
    table = plan_values(frame_of(scores), budgets=[1, 2, 3], target=0.65)
    assert (table["fraction"] == 1).sum() == 3
    for row in table.itertuples():
        column = round(row.fraction * 4) - 1
        law = stopping_outcomes(best[:, column], best[:, -1], row.started, row.continued)
        assert row.expected_best == pytest.approx(mean_of(law), abs=1e-12)
        assert row.reach == pytest.approx(sum(c for v, c in law.items() if v >= 0.65), abs=1e-12)


@pytest.fixture(scope="module")
def forty_runs():
    return frame_of(learning_curves(np.random.default_rng(1), 40))


def test_table_takes_the_best_plan_of_each_budget(forty_runs):
    table = early_stopping_table(
        forty_runs, generator=np.random.default_rng(2), budgets=[1, 2, 5, 10, 41], target=0.75
    )
    assert list(table.columns) == [*COLUMNS, "reach", "baseline_reach"]
    assert table["budget"].tolist() == [1, 2, 5, 10]  # 41 exceeds the pool
    plans = plan_values(forty_runs, budgets=[1, 2, 5, 10])
    for row in table.itertuples():
        mine = plans.loc[plans["budget"] == row.budget, "expected_best"]
        assert row.expected_best == pytest.approx(mine.max(), abs=1e-12)
        cost = row.started * row.fraction + row.continued * (1 - row.fraction)
        assert cost == pytest.approx(row.budget, abs=1e-9)
        gain = (row.expected_best - row.baseline) / (1 - row.baseline)
        assert row.relative_error_reduction == pytest.approx(gain, abs=1e-12)
    scores = forty_runs["score"].to_numpy().reshape(40, 10).max(axis=1)
    np.testing.assert_allclose(table["baseline"], expected_max(scores, [1, 2, 5, 10]), atol=1e-12)
    assert (table["reach"].between(0, 1)).all()
    # No plan can cost one training: nothing is stopped.
    first = table.iloc[0]
    assert (first["started"], first["fraction"], first["continued"]) == (1, 1.0, 1)


def test_split_half_is_reproducible_and_below_the_optimistic_value(forty_runs):
    tables = [
        early_stopping_table(forty_runs, generator=np.random.default_rng(3), budgets=[5, 10, 30])
        for _ in range(2)
    ]
    pd.testing.assert_frame_equal(*tables)
    split = tables[0]["split_half"].to_numpy()
    assert np.isnan(split[2])  # half of the pool is smaller than the budget
    assert np.all(split[:2] < tables[0]["expected_best"][:2])


def test_split_half_of_the_baseline_is_the_baseline():
    # One evaluation: nothing can be stopped, so every choice is the baseline, whose
    # average over both halves is the mean of the pool at budget 1.
    scores = np.random.default_rng(4).normal(0.7, 0.05, (20, 1))
    table = early_stopping_table(frame_of(scores), generator=np.random.default_rng(5), budgets=[1])
    assert table["split_half"][0] == pytest.approx(scores.mean(), abs=1e-12)


def test_losses_mirror_scores(forty_runs):
    losses = forty_runs.assign(score=1 - forty_runs["score"])
    up, down = (
        early_stopping_table(
            frame, generator=np.random.default_rng(6), budgets=[2, 8], lower_is_better=lower
        )
        for frame, lower in ((forty_runs, False), (losses, True))
    )
    for column in ("expected_best", "baseline", "split_half"):
        np.testing.assert_allclose(down[column], 1 - up[column], atol=1e-12)
    for column in ("started", "fraction", "continued", "relative_error_reduction"):
        np.testing.assert_allclose(down[column], up[column], atol=1e-12)


def test_tasks_and_recipes_are_separate_pools(forty_runs):
    both = pd.concat(
        [forty_runs, forty_runs.assign(recipe="debiased", run="x" + forty_runs["run"])]
    )
    table = early_stopping_table(both, generator=np.random.default_rng(7), budgets=[3], splits=1)
    assert table["recipe"].tolist() == ["plain", "debiased"]
    assert table["expected_best"].nunique() == 1


def test_steps_are_used_where_they_are_known():
    frame = frame_of(np.array([[0.1, 0.2], [0.3, 0.1]]), fractions=[0.1043, 1.0])
    frame["step"] = [12, 115] * 2
    pool = next(curve_pools(frame))
    assert pool.steps.tolist() == [12, 115]
    np.testing.assert_array_equal(pool.best_so_far, [[0.1, 0.2], [0.3, 0.3]])


def test_the_untrained_model_is_no_best_score_so_far():
    start = frame_of(np.array([[0.9, 0.2, 0.1], [0.1, 0.3, 0.4]]), fractions=[0.0, 0.5, 1.0])
    pool = next(curve_pools(start))
    assert pool.fractions.tolist() == [0.5, 1.0]
    np.testing.assert_array_equal(pool.best_so_far, [[0.2, 0.2], [0.3, 0.4]])
    whole = next(curve_pools(start, from_start=True))
    assert whole.fractions.tolist() == [0.0, 0.5, 1.0]
    with pytest.raises(TableError, match="the run 'r0' has no evaluation at fraction"):
        next(curve_pools(start.drop(index=[1, 2])))


TWO_RUNS = frame_of(np.array([[0.1, 0.2], [0.3, 0.4]]))


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (TWO_RUNS.drop(index=2), "the run 'r1' has no evaluation at fraction 0.5"),
        (pd.concat([TWO_RUNS, TWO_RUNS.tail(1)]), "row 5, a second evaluation of the run 'r1'"),
        (TWO_RUNS.drop(columns="run"), "the column 'run' is missing"),
        (TWO_RUNS.assign(score=np.nan), "row 1, column 'score'"),
        (TWO_RUNS.assign(fraction=[0.2, 0.5] * 2), "that end at 1, the end of training"),
    ],
)
def test_incomplete_curves_are_refused(frame, message):
    with pytest.raises(ValueError, match=message):
        early_stopping_table(frame, generator=np.random.default_rng(0))


def test_correlations_are_spearmans():
    scores = np.random.default_rng(8).integers(0, 9, (30, 4)).astype(float)
    np.testing.assert_allclose(rank_correlations(scores), spearmanr(scores).statistic, atol=1e-12)


def test_correlations_of_constant_scores_are_unknown():
    result = rank_correlations(np.array([[0.5, 1.0], [0.5, 2.0], [0.5, 3.0]]))
    assert np.isnan(result[0]).all()
    assert result[1, 1] == 1.0
    assert np.isnan(rank_correlations(np.ones((1, 2)))).all()
    with pytest.raises(ValueError, match="one row per run"):
        rank_correlations([1.0, 2.0])


def test_correlation_table_holds_every_pair(forty_runs):
    table = fraction_correlations(forty_runs)
    assert len(table) == 100
    wide = table.pivot(index="fraction", columns="other_fraction", values="spearman").to_numpy()
    np.testing.assert_allclose(wide, wide.T)
    scores = forty_runs["score"].to_numpy().reshape(40, 10)
    assert wide[0, -1] == pytest.approx(spearmanr(scores[:, 0], scores[:, -1]).statistic)
