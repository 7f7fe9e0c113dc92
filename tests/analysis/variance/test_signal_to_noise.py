"""Signal to noise against analysis of variance and plain pandas."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import f_oneway

from analysis.data.study import Study
from analysis.variance.late_noise import late_noise
from analysis.variance.signal_to_noise import COLUMNS, signal_to_noise
from tests.suites.made_studies import unread_curves

FRACTIONS = np.arange(1, 10) / 9


def study(means, runs=12, seed=0):
    rng = np.random.default_rng(seed)
    level = np.repeat(means, runs) + 0.05 * rng.standard_normal(len(means) * runs)
    scores = level[:, None] + 0.02 * rng.standard_normal((len(level), len(FRACTIONS)))
    recipes = np.repeat([f"recipe {k}" for k in range(len(means))], runs)
    return unread_curves(scores, FRACTIONS, recipe=recipes)


def analysed(found):
    return signal_to_noise(found, late_noise(found)).iloc[0]


def test_the_signal_is_the_component_between_recipes():
    """With equally many independent runs it is (MSB - MSE) / n of the analysis of variance."""
    found = study([0.6, 0.7, 0.75])
    row = analysed(found)
    assert list(row.index) == COLUMNS
    samples = [part["final_score"].to_numpy() for _, part in found.runs.groupby("recipe")]
    within = float(np.mean([x.var(ddof=1) for x in samples]))
    between = within * float(f_oneway(*samples).statistic)
    assert row["signal"] == pytest.approx(math.sqrt((between - within) / 12))
    assert row["noise_seeds"] == pytest.approx(math.sqrt(within))
    means = found.runs.groupby("recipe")["final_score"].mean()
    assert row["dispersion"] == pytest.approx(means.max() - means.min())
    assert (row["recipes"], row["runs"]) == (3, 36)
    assert row["ratio"] == pytest.approx(row["signal"] / row["noise_steps"])
    assert row["ratio_seeds"] == pytest.approx(row["signal"] / row["noise_seeds"])
    assert row["steps_to_seeds"] == pytest.approx(row["noise_steps"] / row["noise_seeds"])


def test_noises_of_recipes_are_quadratic_means():
    found = study([0.6, 0.7])
    noise = late_noise(found)
    assert noise["noise_steps"].nunique() == 2
    row = signal_to_noise(found, noise).iloc[0]
    assert row["noise_steps"] == pytest.approx(math.sqrt(np.mean(noise["noise_steps"] ** 2)))


def test_recipes_that_differ_less_than_their_errors_have_no_signal():
    runs = study([0.7]).runs
    other = runs.assign(recipe="the same", final_score=runs["final_score"] + 1e-4)
    row = analysed(Study(pd.concat([runs, other], ignore_index=True)))
    assert row["signal"] == 0
    assert row["dispersion"] == pytest.approx(1e-4)
    assert math.isnan(row["noise_steps"])


def test_one_recipe_has_noise_alone_and_one_run_nothing():
    row = analysed(study([0.7]))
    assert np.isnan(row[["signal", "dispersion", "ratio", "ratio_seeds"]].astype(float)).all()
    assert row["noise_steps"] > 0
    single = analysed(study([0.7, 0.8], runs=1))
    assert math.isnan(single["signal"])
    assert math.isnan(single["noise_seeds"])
    assert single["dispersion"] > 0


def test_failed_runs_are_left_out_beside():
    found = study([0.8, 0.9])
    fallen = found.runs["run"].isin(["r0", "r1", "r2"])
    low = {"score": 0.5, "final_score": 0.5, "failed": True}
    runs = found.runs.assign(**{c: found.runs[c].where(~fallen, v) for c, v in low.items()})
    row = analysed(Study(runs, found.curves))
    good = analysed(found.of_runs(~fallen))
    assert (row["runs"], row["runs_good"]) == (24, 21)
    for name in ("signal", "dispersion", "noise_steps", "noise_seeds", "ratio", "steps_to_seeds"):
        assert row[f"{name}_good"] == pytest.approx(good[name])
    assert row["signal"] > row["signal_good"]
