"""Noise of late evaluations against numpy's polynomials, simulation, and real curves."""

import math
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.data.score_table import read_table
from analysis.data.study import Group
from analysis.variance.late_noise import late_noise, late_noise_warnings
from analysis.variance.mean_interval import mean_interval
from tests.suites.made_studies import unread, unread_curves


def one(found):
    (row,) = found.to_dict("records")
    return row


def test_the_noise_is_that_around_the_line_of_every_run():
    rng = np.random.default_rng(0)
    fractions = np.arange(1, 13) / 12
    scores = 0.7 + 0.05 * rng.standard_normal((6, 12)) + 0.2 * fractions
    row = one(late_noise(unread_curves(scores, fractions)))
    late = fractions >= 2 / 3 - 1e-9
    assert late.sum() == 5
    line = [np.polyfit(fractions[late], y[late], 1, full=True)[1][0] for y in scores]
    around_mean = [((y[late] - y[late].mean()) ** 2).sum() for y in scores]
    assert row["n_late"] == 30
    assert row["noise_steps"] == pytest.approx(math.sqrt(sum(line) / (6 * 3)))
    assert row["noise_steps_with_trend"] == pytest.approx(math.sqrt(sum(around_mean) / (6 * 4)))
    assert row["noise_seeds"] == pytest.approx(scores[:, -1].std(ddof=1))
    assert row["noise_steps_good"] == row["noise_steps"]


def test_a_known_noise_is_found_and_progress_is_none():
    """100 runs leave 200 degrees of freedom: four standard errors of the variance are .4."""
    rng = np.random.default_rng(1)
    fractions = np.arange(1, 11) / 10
    slope = rng.standard_normal((100, 1))
    scores = 5 + slope * fractions + 0.03 * rng.standard_normal((100, 10))
    row = one(late_noise(unread_curves(scores, fractions)))
    assert row["noise_steps"] ** 2 == pytest.approx(0.03**2, rel=0.4)
    assert row["noise_steps_with_trend"] > 3 * row["noise_steps"]
    straight = one(late_noise(unread_curves(5 + slope * fractions, fractions)))
    assert straight["noise_steps"] == 0
    assert (
        one(late_noise(unread_curves(np.full((3, 10), 0.6), fractions)))["noise_steps_with_trend"]
        == 0
    )


@pytest.mark.parametrize(
    ("fractions", "kept"),
    [
        ([0.2, 0.4, 0.6, 0.8, 1.0], [2, 3, 4]),  # Two in the last third, three in the second half.
        ([0.25, 0.5, 0.75, 1.0], [1, 2, 3]),
        ([1 / 3, 2 / 3, 1.0], []),
        ([0, 0.1, 0.2, 0.3, 1.0], []),
        ([0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.99, 1.0], [3, 4, 5, 7]),  # .99 is next to the end.
    ],
)
def test_late_evaluations_are_those_of_the_last_third_or_the_last_three(fractions, kept):
    rng = np.random.default_rng(2)
    scores = 1 + rng.random((4, len(fractions)))
    row = one(late_noise(unread_curves(scores, fractions)))
    assert row["n_late"] == 4 * len(kept)
    if not kept:
        assert math.isnan(row["noise_steps"])
        return
    x = np.array(fractions)[kept]
    line = sum(np.polyfit(x, y[kept], 1, full=True)[1][0] for y in scores)
    assert row["noise_steps"] == pytest.approx(math.sqrt(line / (4 * (len(kept) - 2))))


def test_failed_runs_are_left_out_beside_and_stopped_ones_altogether():
    rng = np.random.default_rng(3)
    fractions = np.arange(1, 10) / 9
    scores = 0.8 + 0.01 * rng.standard_normal((7, 9))
    scores[0] = 0.5  # No better than the majority class, without any noise.
    status = ["finished"] * 6 + ["stopped"]
    row = one(late_noise(unread_curves(scores, fractions, status=status)))
    good = one(late_noise(unread_curves(scores[1:6], fractions)))
    assert (row["n_runs"], row["n_failed"]) == (6, 1)
    for name in ("n_late", "noise_steps", "noise_steps_with_trend", "noise_seeds"):
        assert row[f"{name}_good"] == pytest.approx(good[name])
    assert row["noise_steps"] == pytest.approx(good["noise_steps"] * math.sqrt(5 / 6))
    assert row["noise_seeds"] > 5 * row["noise_seeds_good"]


def test_the_last_step_is_warned_about_where_it_makes_half_of_the_variance():
    made = pd.DataFrame(
        {
            "task": "rte",
            "model": "bert",
            "recipe": ["rival", "seed", "few", "equal"],
            "n_runs": [10, 10, 4, 10],
            "n_failed": [1, 0, 0, 0],
            "noise_steps_good": [0.0142, 0.014, 0.02, 0.0],
            "noise_seeds_good": [0.02, 0.02, 0.02, 0.0],
        }
    )
    (found,) = late_noise_warnings(made)
    assert (found.rule, found.group) == ("late noise", Group("rte", "bert", "rival"))
    assert found.message == (
        "without failed runs, late evaluations of one run vary with a standard deviation of 0.014, "
        "last scores over seeds with 0.020: the choice of the last step matters as much as the "
        "seed. Average the late evaluations of each run, or evaluate on more examples."
    )
    assert not [*late_noise_warnings(pd.DataFrame())]


@pytest.mark.data
@pytest.mark.skipif("SEEDLAB_DATA" not in os.environ, reason="SEEDLAB_DATA is unset")
def test_the_seeds_of_a_steady_recipe_differ_no_more_than_its_last_steps_do():
    """450 BERT-large runs: re-initialised layers leave late noise alone. Lines by numpy, per run."""
    path = Path(os.environ["SEEDLAB_DATA"]) / "data" / "zhang2021_replication" / "evaluations.csv"
    table = pd.read_csv(path)
    table = table.loc[(table["task"] == "RTE") & (table["recipe"] == "reinit_debiased")]
    row = one(late_noise(read_table(table, majority=0.529)))
    squares, df = 0.0, 0
    for _, run in table.groupby("seed"):
        steps = run["step"].to_numpy(dtype=float)
        gaps = np.append(np.diff(steps), np.inf)
        late = (steps >= 2 / 3 * steps[-1]) & (gaps >= np.median(gaps[:-1]) / 2)
        line = np.polynomial.Polynomial.fit(steps[late], run["score"].to_numpy()[late], 1)
        squares += float(((run["score"].to_numpy()[late] - line(steps[late])) ** 2).sum())
        df += int(late.sum()) - 2
    assert row["noise_steps"] == pytest.approx(math.sqrt(squares / df), rel=1e-9)
    last = table.groupby("seed")["score"].last()
    assert row["noise_seeds"] == pytest.approx(last.std())
    assert row["noise_steps"] == pytest.approx(0.0157, abs=5e-5)
    assert row["noise_seeds"] == pytest.approx(0.0165, abs=5e-5)
    assert [w.rule for w in late_noise_warnings(pd.DataFrame([row]))] == ["late noise"]


def test_seeds_of_a_grid_count_as_runs_that_share_none():
    rng = np.random.default_rng(4)
    init, order = np.divmod(np.arange(9), 3)
    score = 0.7 + 0.1 * rng.standard_normal(3)[init] + 0.01 * rng.standard_normal(9)
    grid = unread(pd.DataFrame({"seed": init, "score": score}))
    grid.runs["order_seed"] = order
    row = one(late_noise(grid))
    assert row["noise_seeds"] == mean_interval(grid.runs).sd
    assert row["noise_seeds"] > score.std(ddof=1)
    assert row["n_late"] == 0
