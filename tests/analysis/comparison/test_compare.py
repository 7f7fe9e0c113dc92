import numpy as np
import pandas as pd
import pytest
from scipy.stats import levene, ttest_ind, ttest_rel
from statsmodels.stats.multitest import multipletests

from analysis.best_of_n.curve_crossings import best_of_n_crossings, crossings
from analysis.best_of_n.expected_max import expected_max
from analysis.comparison.compare import (
    compare,
    holm,
    paired_difference,
    spread_test,
    welch_difference,
)
from analysis.comparison.pairing import contrasts
from analysis.data.score_table import read_table
from analysis.data.study import concat_studies
from analysis.errors import TableError
from analysis.report.panels.comparison import comparison_caption
from tests.suites.made_grids import grid_frame


def recipes(matrices, task="t", **reading):
    return concat_studies(
        [
            read_table(grid_frame(matrix, task=task, recipe=name), **reading)
            for name, matrix in matrices.items()
        ]
    )


def two(seed=0, gain=0.1):
    generator = np.random.default_rng(seed)
    return {
        "short": generator.normal(0.6, 0.1, (4, 5)),
        "long": generator.normal(0.6 + gain, 0.05, (4, 5)),
    }


def test_welch_and_paired_are_scipys():
    generator = np.random.default_rng(1)
    a, b = generator.normal(0, 1, 9), generator.normal(0.5, 2, 9)
    found, expected = welch_difference(a, b, level=0.9), ttest_ind(b, a, equal_var=False)
    interval = expected.confidence_interval(0.9)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert found.df == pytest.approx(expected.df)
    assert (found.lower, found.upper) == pytest.approx((interval.low, interval.high))
    found, expected = paired_difference(a, b, level=0.9), ttest_rel(b, a)
    interval = expected.confidence_interval(0.9)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert (found.lower, found.upper) == pytest.approx((interval.low, interval.high))


def test_differences_without_error_have_no_p_value():
    for found in (
        welch_difference([0.1], [0.2, 0.3]),
        welch_difference([0.1, 0.1], [0.3, 0.3]),
        paired_difference([0.1, 0.2], [0.3, 0.4]),
        paired_difference([0.1], [0.3]),
    ):
        assert np.isnan(found.p_value)
        assert found.difference > 0
    assert np.isnan(welch_difference([], [1.0]).difference)
    with pytest.raises(ValueError, match="equal lengths, got 1 and 2"):
        paired_difference([0.1], [0.3, 0.4])


def test_holm_is_statsmodels_and_keeps_gaps():
    p = np.array([0.01, 0.04, np.nan, 0.03, 0.005, 0.9, 0.9])
    tested = ~np.isnan(p)
    expected = multipletests(p[tested], method="holm")[1]
    assert holm(p)[tested] == pytest.approx(expected)
    assert np.isnan(holm(p)[2])
    assert holm([]).shape == (0,)


@pytest.mark.parametrize("center", ["mean", "median"])
def test_spread_is_scipys_levene(center):
    generator = np.random.default_rng(2)
    a, b = generator.normal(0, 1, 20), generator.normal(0, 3, 15)
    assert spread_test(a, b, center=center) == levene(a, b, center=center).pvalue
    assert np.isnan(spread_test(a[:1], b, center=center))
    assert np.isnan(spread_test(np.ones(4), np.ones(5), center=center))
    assert np.isnan(spread_test(np.array([0.0, 1]), np.array([0.0, 2]), center=center))


def test_a_comparison_in_full():
    matrices = two()
    table = compare(recipes(matrices), np.random.default_rng(0))
    assert len(table) == 1
    row = table.iloc[0]
    a, b = matrices["short"].ravel(), matrices["long"].ravel()
    assert (row["a"], row["b"], row["n_pairs"]) == ("short", "long", 20)
    assert row["welch_difference"] == pytest.approx(b.mean() - a.mean())
    assert row["welch_p"] == pytest.approx(ttest_ind(b, a, equal_var=False).pvalue)
    assert row["paired_p"] == pytest.approx(ttest_rel(b, a).pvalue)
    assert row["improvement"] == (b > a).mean()
    assert row["improvement_paired"]
    assert row["brown_forsythe_p"] == levene(a, b, center="median").pvalue
    # One comparison needs no correction.
    assert row["welch_holm"] == row["welch_p"]
    assert row["epsilon_min"] < row["epsilon_min_reverse"]


def test_swapping_direction_turns_the_comparison():
    up = compare(recipes(two()), np.random.default_rng(0)).iloc[0]
    down = compare(
        recipes({k: -v for k, v in two().items()}, higher_is_better=False),
        np.random.default_rng(0),
    ).iloc[0]
    assert down["welch_difference"] == pytest.approx(-up["welch_difference"])
    assert down["mean_a"] == pytest.approx(-up["mean_a"])
    for same in ("improvement", "meaningful", "epsilon_min", "welch_p", "crossings"):
        assert down[same] == up[same]


def test_pairs_are_cells_that_both_have():
    matrices = two()
    study = recipes({"short": matrices["short"], "long": matrices["long"][:, :3]})
    contrast = next(contrasts(study))
    assert len(contrast.pairs) == 12
    assert contrast.pairs["b"].to_list() == matrices["long"][:, :3].ravel().tolist()
    assert contrast.pairs["a"].to_list() == matrices["short"][:, :3].ravel().tolist()
    frame = grid_frame(matrices["short"], task="t", recipe="other")
    apart = read_table(frame.assign(init_seed=frame["init_seed"] + 100))
    row = compare(concat_studies([study, apart]), np.random.default_rng(0), baseline="other")
    assert row["n_pairs"].tolist() == [0, 0]
    assert row["paired_p"].isna().all()
    assert not row["improvement_paired"].any()
    assert row["welch_p"].notna().all()


def test_repeats_of_a_cell_are_averaged_before_pairing():
    frame = grid_frame(np.array([[0.1, 0.2], [0.3, 0.4]]), task="t", recipe="a")
    twice = pd.concat([frame.assign(dropout_seed=s, score=frame["score"] + s) for s in (0, 1)])
    other = frame.assign(recipe="b", dropout_seed=0)
    contrast = next(contrasts(read_table(pd.concat([twice, other]))))
    assert contrast.pairs["a"].to_list() == pytest.approx([0.6, 0.7, 0.8, 0.9])
    assert len(contrast.scores_a) == 8


def test_all_pairs_or_a_baseline_and_holm_over_all():
    generator = np.random.default_rng(3)
    study = recipes({name: generator.random((3, 4)) for name in "abcd"})
    table = compare(study, generator)
    assert len(table) == 6
    assert table["welch_holm"].to_numpy() == pytest.approx(holm(table["welch_p"]))
    against = compare(study, generator, baseline="c")
    assert against["a"].tolist() == ["c"] * 3
    assert against["b"].tolist() == ["a", "b", "d"]
    assert compare(recipes({"a": generator.random((2, 2))}), generator).empty


def test_models_may_be_compared():
    generator = np.random.default_rng(4)
    study = concat_studies(
        [
            read_table(grid_frame(generator.random((3, 3)), task="t", model=m, recipe="r"))
            for m in ("small", "large")
        ]
    )
    row = compare(study, generator, by="model").iloc[0]
    assert (row["recipe"], row["a"], row["b"]) == ("r", "small", "large")


def test_comparison_refusals():
    study = recipes(two())
    generator = np.random.default_rng(0)
    with pytest.raises(
        TableError, match="baseline 'x' is no recipe of the study; allowed: long, s"
    ):
        compare(study, generator, baseline="x")
    with pytest.raises(ValueError, match="by is 'task'; allowed: 'recipe', 'model'"):
        compare(study, generator, by="task")
    other = read_table(grid_frame(two()["long"], task="t", recipe="z"), metric="f1")
    with pytest.raises(TableError, match=r"are measured differently: .*f1"):
        compare(concat_studies([study, other]), generator)


def test_crossings():
    assert crossings([1, 2, 3], [2, 2, 2]) == [3]
    assert crossings([1, 2, 3], [0, 2, 4]) == [3]
    assert crossings([1, 2, 3], [1, 2, 3]) == []
    assert crossings([0, 2, 0, 2], [1, 1, 1, 1]) == [2, 3, 4]
    assert crossings([2, 1, 2], [1, 1, 1]) == []
    with pytest.raises(
        ValueError, match=r"shapes \(2,\) and \(3,\); allowed: one dimension, equal"
    ):
        crossings([1, 2], [1, 2, 3])


def test_a_steady_recipe_is_overtaken_by_a_variable_one():
    steady, variable = np.full(8, 0.7), np.linspace(0.4, 0.9, 8)
    (n,) = best_of_n_crossings(steady, variable)
    values = expected_max(variable, [n - 1, n])
    assert values[0] < 0.7 < values[1]


def test_meaningful_improvements_do_not_depend_on_the_order_of_the_rows():
    """The same two recipes under two orders: one improvement, of the better one."""
    better, worse = np.full((4, 5), 0.80), np.full((4, 5), 0.75)
    noise = np.random.default_rng(0).normal(0, 0.001, (4, 5))
    found = {}
    for names in (("new", "old"), ("old", "new")):
        matrices = {"new": better + noise, "old": worse}
        table = compare(recipes({name: matrices[name] for name in names}), np.random.default_rng(0))
        shown = table.assign(label=[f"t: {names[1]} over {names[0]}"])
        found[names] = comparison_caption(shown)
        assert table["meaningful"].tolist() == [names[1] == "new"]
        assert table["meaningful_reverse"].tolist() == [names[1] == "old"]
    assert found["new", "old"] == found["old", "new"]
    assert found["new", "old"].startswith("1 meaningful improvement among 1 comparison")
    assert "The clearest: t: new over old, in 100% of cases." in found["new", "old"]
