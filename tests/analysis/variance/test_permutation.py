import itertools
import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, f_oneway
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from analysis.data.score_table import read_table
from analysis.errors import DesignError
from analysis.variance.arrangements import extreme_share
from analysis.variance.permutation import factor_tests, restricted_test, two_way_f_test
from analysis.variance.published_tests import dodge2020_tests
from tests.suites.made_grids import crossed


def p_of(tests, name):
    return next(test["p_value"] for test in tests if test["test"].startswith(name))


def brute_force(frame, factor):
    """p-value and floor over all n_j! orders of every level j of the other factor."""
    other = "order_seed" if factor == "init_seed" else "init_seed"
    rows, columns = frame[factor].to_numpy(), frame[other].to_numpy()
    scores = frame["score"].to_numpy(dtype="float64")
    for level in set(columns):
        scores = np.where(columns == level, scores - scores[columns == level].mean(), scores)
    places = [np.flatnonzero(columns == level) for level in np.unique(columns)]
    orders = itertools.product(*(itertools.permutations(scores[at]) for at in places))
    every = np.zeros((math.prod(math.factorial(len(at)) for at in places), len(scores)))
    for shuffled, order in zip(every, orders, strict=True):
        shuffled[np.concatenate(places)] = np.concatenate(order)
    means = np.stack([every[:, rows == row].mean(axis=1) for row in np.unique(rows)])
    observed = np.var([scores[rows == row].mean() for row in np.unique(rows)])
    found = means.var(axis=0)
    return (found >= observed - 1e-12).mean(), (found >= found.max() - 1e-12).mean()


CELLS = {
    "2x2": ((2, 2, 1), []),
    "3x2": ((3, 2, 1), []),
    "3x3": ((3, 3, 1), []),
    "a missing cell": ((3, 3, 1), [4]),
    "repeats": ((2, 2, 2), []),
    "repeats of some cells": ((2, 2, 2), [0, 5]),
}


@pytest.mark.parametrize("cells", CELLS)
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("factor", ["init_seed", "order_seed"])
def test_small_grids_are_exact_against_all_permutations(cells, tied, factor):
    (a, b, repeats), dropped = CELLS[cells]
    frame = crossed(np.random.default_rng(3), a, b, repeats=repeats).drop(index=dropped)
    frame = frame.reset_index(drop=True)
    if tied:
        frame["score"] = (frame["score"] > frame["score"].median()).astype("float64")
    p, floor = brute_force(frame, factor)
    found = restricted_test(frame, factor, np.random.default_rng(0), permutations=99)
    assert found["p_value"] == pytest.approx(p, abs=1e-12)
    assert found["p_floor"] == pytest.approx(floor, abs=1e-12)


@pytest.mark.parametrize(
    ("a", "b", "floor"),
    # Orders of the columns, up to the names of the rows: a!^(b - 1).
    [(2, 2, 1 / 2), (3, 3, 1 / 36), (2, 5, 1 / 16), (4, 4, 1 / 13_824), (9, 2, 1e-4)],
)
def test_the_floor_of_a_grid_without_equal_scores(a, b, floor):
    frame = crossed(np.random.default_rng(3), a, b)
    found = restricted_test(frame, "init_seed", np.random.default_rng(0))
    assert found["p_floor"] == pytest.approx(floor)
    assert found["p_value"] >= found["p_floor"] * (1 - 1e-12)


def test_floors_of_grids_that_are_not_listed():
    """The extreme arrangements of a large grid are counted, not drawn: 3 failures in 40 x 4."""
    frame = crossed(np.random.default_rng(3), 40, 4).assign(score=1.0)
    frame.loc[[0, 1, 2], "score"] = 0.0
    found = restricted_test(frame, "init_seed", np.random.default_rng(0), permutations=9_999)
    # All three in one row: 40 of 40^3 places.
    assert found["p_floor"] == pytest.approx(1 / 1600)
    tall = crossed(np.random.default_rng(3), 40, 3).drop(index=119)
    tall["score"] = np.where(tall.index < 3, 0.0, 1.0)
    found = restricted_test(tall, "init_seed", np.random.default_rng(0), permutations=9_999)
    # One cell is missing, so this is a lower bound: one of 40 x 40 x 39 places.
    assert 1e-4 <= found["p_floor"] <= 1 / 1560
    two = crossed(np.random.default_rng(3), 9, 2).drop(index=17)
    found = restricted_test(two, "init_seed", np.random.default_rng(0), permutations=9_999)
    # The names of the eight rows with two cells may be exchanged: 8! of 9! x 8! orders.
    assert found["p_floor"] == 1e-4


def test_extreme_share_against_all_permutations():
    for seed, levels in enumerate((2, 3, 3, 100)):
        table = np.random.default_rng(seed).integers(levels, size=(3, 3)).astype("float64")
        every = np.array(
            [
                np.var(np.sum(columns, axis=0))
                for columns in itertools.product(*(itertools.permutations(c) for c in table.T))
            ]
        )
        assert extreme_share(list(table.T)) == pytest.approx(
            (every >= every.max() * (1 - 1e-9)).mean(), rel=1e-9
        )


@pytest.mark.parametrize(("a", "b"), [(2, 2), (3, 2)])
def test_published_tests_of_small_grids_are_exact(a, b):
    frame = crossed(np.random.default_rng(8), a, b)
    scores = frame["score"].to_numpy()

    def statistics(values):
        groups = values.reshape(a, b)
        means = groups.mean(axis=1)
        best, worst = groups[means.argmax()], groups[means.argmin()]
        # One-way F of two samples of b runs.
        within = (np.var(best, ddof=1) + np.var(worst, ddof=1)) / 2
        return np.ptp(means), b * np.ptp(means) ** 2 / 2 / within

    every = np.array([statistics(np.array(s)) for s in itertools.permutations(scores)])
    observed = np.array(statistics(scores))
    found = dodge2020_tests(frame, "init_seed", np.random.default_rng(0), permutations=99)
    for k, name in enumerate(("range", "best against worst, selection-aware")):
        test = next(t for t in found if t["test"].startswith(name))
        assert test["p_value"] == pytest.approx((every[:, k] >= observed[k] - 1e-9).mean())
        assert test["p_floor"] == pytest.approx(
            (every[:, k] >= every[:, k].max() * (1 - 1e-9)).mean()
        )


def test_the_floor_of_the_published_range_where_shuffles_are_drawn():
    """7 rows of 2: the two largest scores in one row, the two smallest in another."""
    frame = crossed(np.random.default_rng(8), 7, 2)
    found = dodge2020_tests(frame, "init_seed", np.random.default_rng(0), permutations=9_999)
    assert found[0]["p_floor"] == pytest.approx(7 * 6 * 2 * 2 / (14 * 13 * 12 * 11))


@pytest.mark.stat
@pytest.mark.parametrize(("repeats", "drop"), [(1, 0), (1, 8), (2, 10)])
def test_restricted_p_values_are_uniform_under_the_null(repeats, drop):
    """Order matters, init does not: of 300 p-values the counts below .05, .2 and .5 lie within
    the central 1 - 1e-6 of their binomial laws (false alarms 3e-6 per case)."""
    generator = np.random.default_rng(31)
    p = np.array(
        [
            restricted_test(
                crossed(generator, 5, 5, repeats=repeats, drop=drop, sds=(0.0, 2.0, 1.0, 0.0)),
                "init_seed",
                generator,
                permutations=199,
            )["p_value"]
            for _ in range(300)
        ]
    )
    for level in (0.05, 0.2, 0.5):
        low, high = binom.ppf([5e-7, 1 - 5e-7], 300, level)
        assert low <= (p <= level).sum() <= high


@pytest.mark.stat
def test_best_against_worst_is_not_uniform_but_its_selection_aware_form_is():
    """Seeds do not matter at all. Naive p below .05 in over half of 200 grids (uniform p-values
    would do that with a probability below 1e-60); selection-aware within the central 1 - 1e-6."""
    generator = np.random.default_rng(32)
    naive, aware, wide = [], [], []
    for _ in range(200):
        frame = crossed(generator, 10, 10, sds=(0.0, 0.0, 1.0, 0.0))
        tests = dodge2020_tests(frame, "init_seed", generator, permutations=199)
        naive.append(p_of(tests, "best against worst, naive"))
        aware.append(p_of(tests, "best against worst, selection-aware"))
        wide.append(p_of(tests, "range"))
    assert (np.array(naive) < 0.05).mean() > 0.5
    low, high = binom.ppf([5e-7, 1 - 5e-7], 200, 0.05)
    assert low <= (np.array(aware) <= 0.05).sum() <= high
    assert low <= (np.array(wide) <= 0.05).sum() <= high


@pytest.mark.stat
def test_shuffling_all_cells_loses_power_when_the_other_factor_matters():
    """Restricted finds more of 60 planted effects than the paper's range test."""
    generator = np.random.default_rng(33)
    found = np.zeros(2)
    for _ in range(60):
        frame = crossed(generator, 6, 6, sds=(0.6, 3.0, 1.0, 0.0))
        restricted = restricted_test(frame, "init_seed", generator, permutations=199)
        all_cells = dodge2020_tests(frame, "init_seed", generator, permutations=199)
        found += restricted["p_value"] <= 0.05, p_of(all_cells, "range") <= 0.05
    assert found[0] > 30
    assert found[1] < 10


@pytest.mark.parametrize("drop", [0, 4])
def test_f_tests_against_statsmodels_and_scipy(drop):
    frame = crossed(np.random.default_rng(6), 4, 5, drop=drop)
    table = anova_lm(ols("score ~ C(init_seed) + C(order_seed)", frame).fit(), typ=2)
    for factor in ("init_seed", "order_seed"):
        found = two_way_f_test(frame, factor)
        assert found["statistic"] == pytest.approx(table.loc[f"C({factor})", "F"], rel=1e-9)
        assert found["p_value"] == pytest.approx(table.loc[f"C({factor})", "PR(>F)"], rel=1e-8)
        groups = [part.to_numpy() for _, part in frame.groupby(factor)["score"]]
        best, worst = max(groups, key=np.mean), min(groups, key=np.mean)
        expected = f_oneway(best, worst)
        tests = dodge2020_tests(frame, factor, np.random.default_rng(0), permutations=99)
        naive = next(t for t in tests if t["test"].endswith("naive"))
        assert naive["statistic"] == pytest.approx(expected.statistic, rel=1e-9)
        assert naive["p_value"] == pytest.approx(expected.pvalue, rel=1e-8)
        spread = max(map(np.mean, groups)) - min(map(np.mean, groups))
        assert tests[0]["statistic"] == pytest.approx(spread)


def test_ties_count_as_large():
    """A failure indicator makes equal statistics common: constant scores give p = 1."""
    for score in (0.3, 0.1 + 0.2):
        frame = crossed(np.random.default_rng(0), 4, 4).assign(score=score)
        found = restricted_test(frame, "init_seed", np.random.default_rng(0), permutations=99)
        assert found["p_value"] == found["p_floor"] == 1.0
        assert found["statistic"] == 0.0


def test_table_of_tests_and_what_is_impossible():
    frame = crossed(np.random.default_rng(7), 4, 4).assign(task="t")
    table = factor_tests(read_table(frame), np.random.default_rng(0), permutations=99)
    assert table["test"].tolist() == ["restricted permutation", "two-way F"] * 2
    assert table["factor"].tolist() == ["init_seed"] * 2 + ["order_seed"] * 2
    again = factor_tests(read_table(frame), np.random.default_rng(0), permutations=99)
    pd.testing.assert_frame_equal(table, again)
    one = read_table(frame[frame["init_seed"] == 0])
    table = factor_tests(one, np.random.default_rng(0), permutations=99, method="dodge2020")
    assert table["p_value"].isna().all()
    assert table["note"].str.contains("one init_seed only|has a single run").all()


def test_refusals():
    frame = crossed(np.random.default_rng(7), 3, 3)
    generator = np.random.default_rng(0)
    with pytest.raises(ValueError, match="factor is 'seed'; allowed: 'init_seed', 'order_seed'"):
        restricted_test(frame, "seed", generator)
    with pytest.raises(ValueError, match="permutations is 10; allowed: whole numbers from 99 on"):
        restricted_test(frame, "init_seed", generator, permutations=10)
    diagonal = frame[frame["init_seed"] == frame["order_seed"]]
    with pytest.raises(DesignError, match="nothing can be shuffled within it"):
        restricted_test(diagonal, "init_seed", generator)
    with pytest.raises(ValueError, match="method is 'anova'; allowed: 'restricted', 'dodge2020'"):
        factor_tests(read_table(frame.assign(task="t")), generator, method="anova")
