"""Schedules: which evaluations count, and what the tables refuse."""

import numpy as np
import pandas as pd
import pytest

from analysis.best_of_n.expected_max import expected_max
from analysis.best_of_n.expected_max_table import COLUMNS, expected_max_table
from analysis.data.schedules import schedule_scores
from analysis.errors import TableError

RUNS = pd.DataFrame(
    {"task": "rte", "recipe": "plain", "run": ["a", "b"], "score": [0.6, 0.7], "init_seed": [0, 1]}
)
# Two epochs of two evaluations each.
CURVES = pd.DataFrame(
    {
        "run": ["a"] * 4 + ["b"] * 4,
        "fraction": [0.25, 0.5, 0.75, 1.0] * 2,
        "score": [0.9, 0.65, 0.8, 0.6, 0.5, 0.72, 0.71, 0.7],
    }
)


def scores_of(frame, schedule):
    return frame.loc[frame["schedule"] == schedule].set_index("run")["score"].to_dict()


def test_the_three_schedules():
    frame = schedule_scores(RUNS, CURVES, epochs=2)
    assert scores_of(frame, "final") == {"a": 0.6, "b": 0.7}
    assert scores_of(frame, "epoch") == {"a": 0.65, "b": 0.72}
    assert scores_of(frame, "every") == {"a": 0.9, "b": 0.72}


def test_an_evaluation_at_the_start_is_never_chosen():
    start = pd.DataFrame({"run": ["a", "b"], "fraction": 0.0, "score": [0.99, 0.98]})
    frame = schedule_scores(RUNS, pd.concat([start, CURVES]), epochs=2)
    assert scores_of(frame, "epoch") == {"a": 0.65, "b": 0.72}
    assert scores_of(frame, "every") == {"a": 0.9, "b": 0.72}
    with pytest.raises(TableError, match=r"the run 'a' has no evaluations after the start"):
        schedule_scores(RUNS, pd.concat([start, CURVES.iloc[4:]]))


@pytest.mark.parametrize("epoch", [[0.5, 1.0, 1.5, 2.0], [1, 1, 2, 2]])
def test_epochs_may_be_progress_or_numbers(epoch):
    frame = schedule_scores(RUNS, CURVES.assign(epoch=epoch * 2))
    assert scores_of(frame, "epoch") == {"a": 0.65, "b": 0.72}


def test_schedules_without_data_are_left_out():
    assert list(schedule_scores(RUNS)["schedule"].unique()) == ["final"]
    assert list(schedule_scores(RUNS, CURVES)["schedule"].unique()) == ["final", "every"]
    assert schedule_scores(RUNS, schedules=["every"]).empty


def test_lower_is_better_keeps_the_smallest():
    frame = schedule_scores(RUNS, CURVES, epochs=2, lower_is_better=True)
    assert scores_of(frame, "every") == {"a": 0.6, "b": 0.5}


def test_the_final_score_counts_in_every_schedule():
    frame = schedule_scores(RUNS.assign(score=[0.95, 0.95]), CURVES, epochs=2)
    assert set(frame["score"]) == {0.95}


@pytest.mark.parametrize(
    ("runs", "curves", "message"),
    [
        (RUNS.drop(columns="score"), None, "runs: the column 'score' is missing"),
        (RUNS.assign(score=[0.1, np.nan]), None, "runs: row 2, column 'score'"),
        (RUNS.assign(run="a"), None, "runs: row 2, column 'run': 'a' occurs a second time"),
        (RUNS, CURVES.iloc[:4], "curves: the run 'b' has no evaluations"),
        (RUNS, CURVES.drop(columns="fraction"), "curves: the column 'fraction' is missing"),
        (RUNS.assign(model=["bert", "roberta"]), None, "the column 'model' holds several models"),
    ],
)
def test_refusals_name_row_and_column(runs, curves, message):
    with pytest.raises(ValueError, match=message):
        schedule_scores(runs, curves)


def test_an_unknown_schedule_is_refused():
    with pytest.raises(ValueError, match="schedule is 'weekly'; allowed: 'final', 'epoch'"):
        schedule_scores(RUNS, schedules=["weekly"])


def many_runs(generator, count):
    return pd.DataFrame(
        {
            "task": "rte",
            "recipe": ["plain", "debiased"] * (count // 2),
            "run": [f"r{i}" for i in range(count)],
            "score": generator.normal(0.6, 0.05, count),
        }
    )


def test_table_has_its_columns_and_stops_the_band():
    runs = many_runs(np.random.default_rng(0), 40)
    table = expected_max_table(runs)
    assert list(table.columns) == COLUMNS
    assert len(table) == 2 * 20
    plain = table[table["recipe"] == "plain"].reset_index(drop=True)
    scores = runs.loc[runs["recipe"] == "plain", "score"]
    np.testing.assert_allclose(plain["unbiased"], expected_max(scores))
    np.testing.assert_allclose(plain["plugin"], expected_max(scores, estimator="plugin"))
    told = plain["band_upper"].notna()
    # 20 / 9.5, at level .95.
    assert plain.loc[told, "n"].tolist() == [1, 2]
    for column in ("band_lower", "band_method", "band_level"):
        assert plain[column].notna().equals(told)
    assert set(plain.loc[told, "band_method"]) == {"ld_highest_density"}
    inside = (plain["band_lower"] <= plain["median"]) & (plain["median"] <= plain["band_upper"])
    assert inside[told].all()


def test_table_of_losses_mirrors_that_of_scores():
    runs = many_runs(np.random.default_rng(1), 40)
    up = expected_max_table(runs, ns=[1, 2, 50])
    down = expected_max_table(runs.assign(score=-runs["score"]), ns=[1, 2], lower_is_better=True)
    np.testing.assert_allclose(down["unbiased"], -up["unbiased"])
    np.testing.assert_allclose(down["band_lower"], -up["band_upper"])
    np.testing.assert_allclose(down["spread"], up["spread"])


def test_more_evaluations_never_make_the_curve_worse():
    rng = np.random.default_rng(2)
    runs = many_runs(rng, 10)
    curves = pd.DataFrame(
        {
            "run": np.repeat(runs["run"], 6),
            "fraction": np.tile(np.arange(1, 7) / 6, 10),
            "score": rng.normal(0.6, 0.05, 60),
        }
    )
    table = expected_max_table(runs, curves, epochs=3)
    wide = table.pivot(index=["recipe", "n"], columns="schedule", values="unbiased")
    assert (wide["final"] <= wide["epoch"] + 1e-12).all()
    assert (wide["epoch"] <= wide["every"] + 1e-12).all()
