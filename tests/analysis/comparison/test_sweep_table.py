"""Sweeps against pandas, against the comparison, and on hand-made tables."""

import numpy as np
import pandas as pd
import pytest

from analysis.comparison.compare import compare
from analysis.comparison.sweeps import COLUMNS, find_sweeps, neighbours, wider_sweeps
from analysis.report.panels.settings.sweeps import best_text
from tests.suites.made_sweeps import rising, swept

RATES = [{"learning_rate": rate} for rate in (1e-5, 1e-4, 1e-3)]


def test_the_table_is_that_of_pandas():
    scores = rising(3)
    scores[0][0, :] = 0.4  # three failed runs: the majority is .5
    study = swept(RATES, scores)
    (sweep,) = find_sweeps(study)
    assert (sweep.settings, sweep.recipe, sweep.held) == (("learning_rate",), "devlin", "")
    assert tuple(sweep.table.columns) == COLUMNS
    table = sweep.table.set_index("value")
    oracle = study.runs.groupby("learning_rate").agg(
        n=("run", "size"),
        mean=("score", "mean"),
        failed_share=("failed", "mean"),
        best=("score", "max"),
    )
    pd.testing.assert_frame_equal(
        table[list(oracle.columns)], oracle, check_names=False, check_dtype=False
    )
    assert list(table["is_best"]) == [False, False, True]
    np.testing.assert_allclose(
        table["difference"], oracle["mean"] - oracle["mean"].max(), atol=1e-15
    )
    assert (table["lower"] < table["mean"]).all()
    assert (table["mean"] < table["upper"]).all()


def test_p_values_are_those_of_the_comparison():
    """The comparison holds the same three pairs, so that Holm's correction is the same."""
    study = swept(RATES, rising(3, step=0.02, seed=1))
    (sweep,) = find_sweeps(study)
    table = sweep.table.set_index("value")
    pairs = compare(study, np.random.default_rng(0)).set_index(["a", "b"])
    for low in (1e-5, 1e-4):
        row = pairs.loc[(f"devlin, learning_rate={low}", "devlin, learning_rate=0.001")]
        assert table.loc[low, "p_holm"] == pytest.approx(row["crossed_holm"], rel=1e-12)
        assert table.loc[low, "difference"] == pytest.approx(-row["crossed_difference"], rel=1e-9)
    assert table.loc[1e-5, "test"] == "crossed test for recipes on one grid of seeds"
    assert np.isnan(table.loc[1e-3, "p_holm"])


@pytest.mark.slow
def test_equal_values_are_rarely_told_apart():
    """At most 5 % of sweeps over nothing may name a neighbour: of 200, 24 or more by chance of 1e-4."""
    told = 0
    for seed in range(200):
        study = swept(RATES, rising(3, 4, 4, step=0.0, seed=seed), a=4, b=4)
        told += bool((find_sweeps(study)[0].table["p_holm"] < 0.05).any())
    assert told < 24


def test_two_numbers_make_a_grid_whose_neighbours_differ_in_one():
    levels = [{"reinit.layers": n, "learning_rate": r} for n in (0, 1, 2) for r in (1e-5, 1e-4)]
    (sweep,) = find_sweeps(swept(levels, rising(6)))
    assert sweep.settings == ("reinit.layers", "learning_rate")
    places = sweep.table[["value", "value_2"]].to_numpy().tolist()
    assert places == [[n, r] for n in (0, 1, 2) for r in (1e-5, 1e-4)]
    assert sweep.table["is_best"].to_numpy().argmax() == 5
    assert [places[k] for k in neighbours(sweep.table)] == [[1, 1e-4], [2, 1e-5]]


def test_null_is_a_value_and_comes_first():
    levels = [{"freeze.layers": n} for n in (0.0, 2.0, np.nan)]
    study = swept(levels, rising(3))
    study.runs["recipe"] = "devlin, " + study.runs["freeze.layers"].astype("str")
    (sweep,) = find_sweeps(study)
    assert np.isnan(sweep.table["value"].iloc[0])
    assert list(sweep.table["value"].iloc[1:]) == [0, 2]
    assert "freeze.layers=null has the best mean" in best_text(sweep, "")


def test_texts_divide_a_sweep_and_settings_that_move_together_are_one():
    levels = [
        {"learning_rate": r, "epochs": e, "schedule": s}
        for s in ("linear", "cosine")
        for r, e in ((1e-5, 10), (1e-4, 3))
    ]
    sweeps = find_sweeps(swept(levels, rising(4)))
    assert [(s.held, s.settings, s.along) for s in sweeps] == [
        ("schedule=linear", ("learning_rate",), {"epochs": "learning_rate"}),
        ("schedule=cosine", ("learning_rate",), {"epochs": "learning_rate"}),
    ]
    assert "These settings change together: epochs with learning_rate." in best_text(sweeps[0], "")


def test_three_numbers_are_named_and_not_drawn():
    levels = [{"x": i, "y": j, "z": k} for i in (0, 1) for j in (0, 1) for k in (0, 1)]
    study = swept(levels, rising(8))
    assert find_sweeps(study) == []
    assert wider_sweeps(study) == [("rte", "devlin", ("x", "y", "z"))]


def test_a_study_without_a_sweep_has_none():
    assert find_sweeps(swept([{"learning_rate": 1e-5}], rising(1))) == []


def test_the_sentence_claims_what_the_data_tell():
    (clear,) = find_sweeps(swept(RATES, rising(3, step=0.1)))
    text = best_text(clear, "")
    assert text.startswith("learning_rate=0.001 has the best mean, 0.8")
    assert "The data tell it from its neighbour learning_rate=0.0001 (p = " in text
    assert (
        "(Crossed test for recipes on one grid of seeds, Holm's correction over all 3 pairs" in text
    )
    assert text.endswith("It is an end of the values of learning_rate: better ones may lie beyond.")
    peak = [
        np.full((3, 3), m) + noise
        for m, noise in zip((0.6, 0.61, 0.6), rising(3, step=0), strict=False)
    ]
    (unclear,) = find_sweeps(swept(RATES, peak))
    text = best_text(unclear, "")
    assert "The data do not tell it from its neighbours" in text or "neighbour " in text
    assert "The data tell it" not in text
    (single,) = find_sweeps(swept(RATES, [s[:1, :1] for s in rising(3)], a=1, b=1))
    assert "No test tells it from learning_rate=0.0001" in best_text(single, "")


def test_lower_is_better_where_it_is():
    study = swept(RATES, rising(3), higher_is_better=False)
    (sweep,) = find_sweeps(study)
    assert list(sweep.table["is_best"]) == [True, False, False]
    assert list(sweep.table["best"]) == list(study.runs.groupby("learning_rate")["score"].min())
    assert best_text(sweep, "").startswith("learning_rate=1e-05 has the best mean")
