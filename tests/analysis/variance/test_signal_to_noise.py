"""Signal to noise against analysis of variance and plain pandas."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import f_oneway

from analysis.data.score_table import read_table
from analysis.variance.late_noise import late_noise
from analysis.variance.signal_to_noise import COLUMNS, signal_to_noise

FRACTIONS = np.arange(1, 10) / 9


def table(means, runs=12, noise=0.02, seed=0):
    rng = np.random.default_rng(seed)
    frames = []
    for k, mean in enumerate(means):
        level = mean + 0.05 * rng.standard_normal(runs)
        scores = level[:, None] + noise * rng.standard_normal((runs, len(FRACTIONS)))
        frames.append(
            pd.DataFrame(
                {
                    "task": "rte",
                    "recipe": f"recipe {k}",
                    "seed": np.repeat(np.arange(runs), len(FRACTIONS)),
                    "fraction": np.tile(FRACTIONS, runs),
                    "score": scores.ravel(),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def analysed(frame, majority=None):
    study = read_table(frame, majority=majority)
    return signal_to_noise(study, late_noise(study)).iloc[0]


def test_the_signal_is_the_component_between_recipes():
    """With equally many independent runs it is (MSB - MSE) / n of the analysis of variance."""
    frame = table([0.6, 0.7, 0.75])
    row = analysed(frame)
    assert list(row.index) == COLUMNS
    last = frame.loc[frame["fraction"] == 1]
    samples = [part["score"].to_numpy() for _, part in last.groupby("recipe")]
    within = float(np.mean([x.var(ddof=1) for x in samples]))
    between = within * float(f_oneway(*samples).statistic)
    assert row["signal"] == pytest.approx(math.sqrt((between - within) / 12))
    assert row["noise_seeds"] == pytest.approx(math.sqrt(within))
    means = last.groupby("recipe")["score"].mean()
    assert row["dispersion"] == pytest.approx(means.max() - means.min())
    assert (row["recipes"], row["runs"]) == (3, 36)
    assert row["ratio"] == pytest.approx(row["signal"] / row["noise_steps"])
    assert row["ratio_seeds"] == pytest.approx(row["signal"] / row["noise_seeds"])
    assert row["steps_to_seeds"] == pytest.approx(row["noise_steps"] / row["noise_seeds"])


def test_noises_of_recipes_are_quadratic_means():
    frame = table([0.6, 0.7])
    apart = [analysed(part)["noise_steps"] for _, part in frame.groupby("recipe")]
    assert analysed(frame)["noise_steps"] == pytest.approx(math.sqrt(np.mean(np.square(apart))))


def test_recipes_that_differ_less_than_their_errors_have_no_signal():
    frame = table([0.7])
    other = frame.assign(recipe="the same", score=frame["score"] + 1e-4)
    row = analysed(pd.concat([frame, other]))
    assert (row["signal"], row["ratio"]) == (0, 0)
    assert row["dispersion"] == pytest.approx(1e-4)


def test_one_recipe_has_noise_alone_and_one_run_nothing():
    row = analysed(table([0.7]))
    assert np.isnan(row[["signal", "dispersion", "ratio", "ratio_seeds"]].astype(float)).all()
    assert row["noise_steps"] > 0
    single = analysed(table([0.7, 0.8], runs=1))
    assert math.isnan(single["signal"])
    assert math.isnan(single["noise_seeds"])
    assert single["dispersion"] > 0


def test_failed_runs_are_left_out_beside():
    frame = table([0.8, 0.9])
    fallen = frame["recipe"].eq("recipe 0") & (frame["seed"] < 4)
    frame.loc[fallen, "score"] = 0.5
    row = analysed(frame, majority=0.5)
    good = analysed(frame.loc[~fallen], majority=0.5)
    assert (row["runs"], row["runs_good"]) == (24, 20)
    for name in ("signal", "dispersion", "noise_steps", "noise_seeds", "ratio", "steps_to_seeds"):
        assert row[f"{name}_good"] == pytest.approx(good[name])
    assert row["signal"] > row["signal_good"]
