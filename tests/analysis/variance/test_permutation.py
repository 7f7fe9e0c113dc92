import itertools

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, f_oneway
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from analysis.data.score_table import read_table
from analysis.errors import DesignError
from analysis.variance.permutation import (
    dodge2020_tests,
    factor_tests,
    restricted_test,
    two_way_f_test,
)
from tests.suites.made_grids import crossed


def p_of(tests, name):
    return next(test["p_value"] for test in tests if test["test"].startswith(name))


def test_restricted_p_value_against_all_permutations():
    """2 x 3 x 3! orders in each of 2 columns; 5 standard errors: false alarms below 1e-6."""
    matrix = np.array([[0.1, 0.9], [0.4, 0.2], [0.8, 0.3]])
    frame = pd.DataFrame(
        {
            "init_seed": [0, 0, 1, 1, 2, 2],
            "order_seed": [0, 1] * 3,
            "score": matrix.ravel(),
        }
    )
    statistics = np.array(
        [
            np.var((np.array(first) + np.array(second)) / 2)
            for first in itertools.permutations(matrix[:, 0])
            for second in itertools.permutations(matrix[:, 1])
        ]
    )
    observed = np.var(matrix.mean(axis=1))
    exact = (statistics >= observed - 1e-12).mean()
    found = restricted_test(frame, "init_seed", np.random.default_rng(0), permutations=9999)
    assert found["statistic"] == pytest.approx(observed)
    assert abs(found["p_value"] - exact) < 5 * (exact * (1 - exact) / 9999) ** 0.5 + 1e-4
    assert found["p_floor"] == 1e-4


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
    frame = crossed(np.random.default_rng(0), 4, 4).assign(score=0.3)
    found = restricted_test(frame, "init_seed", np.random.default_rng(0), permutations=99)
    assert found["p_value"] == 1.0


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
