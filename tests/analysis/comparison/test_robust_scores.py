import numpy as np
import pytest
from scipy.stats import trim_mean

from analysis.comparison.robust_scores import (
    interquartile_mean,
    performance_profile,
    profile_table,
    robust_means,
)
from analysis.data.score_table import read_table
from analysis.data.study import concat_studies
from tests.suites.made_grids import grid_frame


def scores(seed=0):
    generator = np.random.default_rng(seed)
    return {"one": generator.random(10), "two": generator.random(14) + 0.2}


def test_iqm_is_the_trimmed_mean_of_all_runs():
    found = interquartile_mean(scores(), np.random.default_rng(0))
    assert found.point == trim_mean(np.concatenate(list(scores().values())), 0.25)
    assert found.lower < found.point < found.upper
    assert (found.n_runs, found.n_tasks) == (24, 2)
    assert found == interquartile_mean(scores(), np.random.default_rng(0))


def test_constant_scores_have_a_point_for_an_interval():
    found = interquartile_mean({"one": [0.5] * 5}, np.random.default_rng(0))
    assert (found.point, found.lower, found.upper) == (0.5, 0.5, 0.5)


def test_strata_keep_their_sizes():
    """Two constant tasks: resampling within tasks leaves nothing to vary."""
    constant = {"one": [0.0] * 6, "two": [1.0] * 6}
    found = interquartile_mean(constant, np.random.default_rng(0))
    assert (found.lower, found.upper) == (0.5, 0.5)


@pytest.mark.stat
def test_iqm_interval_covers():
    """At least 165 of 200 at a nominal 95%: false alarms below 1e-6 if .93 or more."""
    generator = np.random.default_rng(1)
    hits = 0
    for _ in range(200):
        sample = {"a": generator.normal(0, 1, 25), "b": generator.normal(0, 1, 25)}
        found = interquartile_mean(sample, generator, resamples=300)
        hits += found.lower <= 0.0 <= found.upper
    assert hits >= 165


def test_profile_by_hand():
    data = {"one": [0.1, 0.4, 0.9], "two": [0.2, 0.6]}
    table = performance_profile(data, [0.0, 0.3, 0.9], np.random.default_rng(0))
    assert table["share"].tolist() == pytest.approx([1.0, (2 / 3 + 1 / 2) / 2, 0.0])
    assert (table["lower"] <= table["share"]).all()
    assert (table["share"] <= table["upper"]).all()


def study(**reading):
    generator = np.random.default_rng(2)
    return concat_studies(
        [
            read_table(
                grid_frame(generator.random((3, 4)), task=task, recipe=recipe, metric=metric),
                **reading,
            )
            for recipe in ("short", "long")
            for task, metric in (("t1", "acc"), ("t2", "acc"), ("t3", "mcc"))
        ]
    )


def test_tables_keep_metrics_apart():
    table = robust_means(study(), np.random.default_rng(0))
    assert table[["recipe", "metric", "n_tasks", "n_runs"]].to_numpy().tolist() == [
        ["short", "acc", 2, 24],
        ["short", "mcc", 1, 12],
        ["long", "acc", 2, 24],
        ["long", "mcc", 1, 12],
    ]
    profiles = profile_table(study(), np.random.default_rng(0), points=11)
    assert len(profiles) == 4 * 11
    for _, part in profiles.groupby(["recipe", "metric"]):
        assert (part["share"].diff().dropna() <= 0).all()


def test_profile_of_errors_counts_runs_below():
    profiles = profile_table(study(higher_is_better=False), np.random.default_rng(0), points=5)
    first = profiles[(profiles["recipe"] == "short") & (profiles["metric"] == "mcc")]
    runs = study().subset(task="t3", recipe="short").runs["score"].to_numpy()
    for threshold, share in zip(first["threshold"], first["share"], strict=True):
        assert share == pytest.approx((runs < threshold).mean())


def test_refusals():
    generator = np.random.default_rng(0)
    with pytest.raises(ValueError, match="there are no scores; allowed: one task or more"):
        interquartile_mean({}, generator)
    with pytest.raises(ValueError, match="resamples is 5"):
        interquartile_mean(scores(), generator, resamples=5)
    with pytest.raises(ValueError, match="level is 0; allowed"):
        performance_profile(scores(), [0.5], generator, level=0)
    with pytest.raises(ValueError, match=r"thresholds has the shape \(0,\)"):
        performance_profile(scores(), [], generator)
    with pytest.raises(ValueError, match="points is 1; allowed: whole numbers from 2 on"):
        profile_table(study(), generator, points=1)
