import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, spearmanr, ttest_1samp

from analysis.data.score_table import read_table
from analysis.data.study import concat_studies
from analysis.variance.seed_effects import best_and_worst_seeds, seed_means, seeds_across_tasks
from tests.suites.made_grids import grid_frame

MATRIX = np.array([[0.1, 0.3, 0.2], [0.6, 0.8, 0.7], [0.5, 0.5, 0.2]])


def tasks(*matrices, **reading):
    return concat_studies(
        [read_table(grid_frame(m, task=f"t{i}"), **reading) for i, m in enumerate(matrices)]
    )


def test_means_and_intervals_are_students():
    table = seed_means(tasks(MATRIX))
    rows = table[table["factor"] == "init_seed"].set_index("seed")
    for seed in range(3):
        interval = ttest_1samp(MATRIX[seed], 0).confidence_interval(0.95)
        found = rows.loc[seed]
        assert found["mean"] == pytest.approx(MATRIX[seed].mean())
        assert (found["lower"], found["upper"]) == pytest.approx((interval.low, interval.high))
    assert rows["rank"].tolist() == [3, 1, 2]
    assert rows["best"].tolist() == [0.3, 0.8, 0.5]
    assert table[table["factor"] == "order_seed"]["mean"].tolist() == pytest.approx(
        MATRIX.mean(axis=0)
    )


def test_direction_turns_ranks_and_best():
    table = seed_means(tasks(MATRIX, higher_is_better=False))
    rows = table[table["factor"] == "init_seed"]
    assert rows["rank"].tolist() == [1, 3, 2]
    assert rows["best"].tolist() == [0.1, 0.6, 0.2]


def test_one_run_has_a_mean_but_no_interval():
    table = seed_means(tasks(MATRIX[:1]))
    rows = table[table["factor"] == "order_seed"]
    assert rows["mean"].tolist() == MATRIX[0].tolist()
    assert rows[["lower", "upper"]].isna().all(axis=None)
    with pytest.raises(ValueError, match="level is 2; allowed"):
        seed_means(tasks(MATRIX), level=2)


def test_best_and_worst_samples():
    samples = best_and_worst_seeds(tasks(MATRIX))
    init = samples[samples["factor"] == "init_seed"]
    assert init.groupby("place")["seed"].first().to_dict() == {"best": 1, "worst": 0}
    assert init.loc[init["place"] == "best", "score"].tolist() == [0.6, 0.8, 0.7]
    assert best_and_worst_seeds(tasks(MATRIX[:1, :1])).empty


def test_rank_correlation_against_scipy():
    generator = np.random.default_rng(3)
    matrices = [generator.random((6, 4)) for _ in range(3)]
    table = seeds_across_tasks(tasks(*matrices), generator, permutations=199)
    init = table[table["factor"] == "init_seed"].set_index(["task_a", "task_b"])["spearman"]
    for i, j in ((0, 1), (0, 2), (1, 2)):
        expected = spearmanr(matrices[i].mean(axis=1), matrices[j].mean(axis=1)).statistic
        assert init[f"t{i}", f"t{j}"] == pytest.approx(expected)
    assert init["all tasks", "all tasks"] == pytest.approx(init.iloc[:3].mean())
    assert (table["n_seeds"] == [6] * 4 + [4] * 4).all()


def test_the_same_winners_are_found():
    effect = np.linspace(0, 1, 8)[:, None]
    noise = np.random.default_rng(1).random((3, 8, 5)) / 10
    table = seeds_across_tasks(
        tasks(*(effect + part for part in noise)), np.random.default_rng(0), permutations=999
    )
    init = table[table["factor"] == "init_seed"]
    assert (init["spearman"] > 0.9).all()
    assert (init["p_value"] <= 0.005).all()


def test_few_seeds_give_exact_p_values_with_their_floor():
    """Three seeds and two tasks: 3! orders, of which one is the same and none is better."""
    matrix = np.array([[0.1, 0.2], [0.3, 0.5], [0.6, 0.9]])
    for other, p in ((matrix, 1 / 6), (matrix[::-1], 1.0), (matrix[[0, 2, 1]], 0.5)):
        table = seeds_across_tasks(tasks(matrix, other), np.random.default_rng(0))
        init = table[table["factor"] == "init_seed"].iloc[0]
        assert init["p_value"] == pytest.approx(p)
        assert init["p_floor"] == pytest.approx(1 / 6)
    three = seeds_across_tasks(tasks(matrix, matrix, matrix), np.random.default_rng(0))
    every = three[(three["factor"] == "init_seed") & (three["task_a"] == "all tasks")].iloc[0]
    assert every["p_value"] == every["p_floor"] == pytest.approx(1 / 36)


@pytest.mark.stat
def test_p_values_are_uniform_without_common_winners():
    """The count below .1 of 100 lies within the central 1 - 1e-6 of its binomial law.

    Row and column means of normal scores are independent, so both factors count.
    """
    generator = np.random.default_rng(5)
    frames = [
        grid_frame(generator.standard_normal((7, 7)), task=task, recipe=f"r{i}")
        for i in range(50)
        for task in ("t0", "t1")
    ]
    table = seeds_across_tasks(read_table(pd.concat(frames)), generator, permutations=99)
    assert len(table) == 100
    low = (table["p_value"] <= 0.1).sum()
    assert binom.ppf(5e-7, 100, 0.1) <= low <= binom.ppf(1 - 5e-7, 100, 0.1)


def test_too_few_common_seeds_and_constants_have_no_correlation():
    table = seeds_across_tasks(
        tasks(MATRIX[:2], np.full((3, 3), 0.5)), np.random.default_rng(0), permutations=99
    )
    assert table["spearman"].isna().all()
    assert table["p_value"].isna().all()
    with pytest.raises(ValueError, match="permutations is 5; allowed: whole numbers from 99 on"):
        seeds_across_tasks(tasks(MATRIX), np.random.default_rng(0), permutations=5)


def test_incomplete_runs_do_not_enter():
    frame = grid_frame(MATRIX, task="t", status="finished")
    frame.loc[0, "status"] = "stopped"
    table = seed_means(read_table(frame))
    assert table["n_runs"].tolist() == [2, 3, 3, 2, 3, 3]
    pd.testing.assert_series_equal(
        table["mean"].iloc[:1], pd.Series([0.25], name="mean"), check_names=False
    )
