"""Planning: statsmodels and scipy as oracles, published numbers, definitions."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.power import TTestIndPower, TTestPower
from statsmodels.stats.proportion import proportion_confint

from analysis.best_of_n.target_chance import chance_of_target, runs_for_target
from analysis.planning.sample_size import (
    budget_table,
    interval_width,
    power_of_runs,
    runs_for_power,
    runs_for_width,
)


@pytest.mark.parametrize("alternative", ["two-sided", "larger"])
@pytest.mark.parametrize("runs", [2, 5, 30, 200])
@pytest.mark.parametrize("effect", [0.1, 0.5, 1.2])
def test_power_is_statsmodels(runs, effect, alternative):
    options = {"effect_size": effect, "alpha": 0.05, "alternative": alternative}
    two = TTestIndPower().power(nobs1=runs, **options)
    one = TTestPower().power(nobs=runs, **options)
    mine = {"effect": 3 * effect, "sd": 3.0, "alternative": alternative}
    assert power_of_runs(runs, **mine) == pytest.approx(two, abs=1e-8)
    assert power_of_runs(runs, **mine, paired=True) == pytest.approx(one, abs=1e-8)


@pytest.mark.parametrize("effect", [0.05, 0.5, 1.0, 3.0, 40.0])
def test_runs_for_power_are_the_fewest(effect):
    runs = runs_for_power(effect, 1.0)
    assert power_of_runs(runs, effect, 1.0) >= 0.8
    assert runs == 2 or power_of_runs(runs - 1, effect, 1.0) < 0.8


def test_textbook_sample_size():
    assert runs_for_power(0.5, 1.0) == 64


@pytest.mark.parametrize("width", [0.01, 0.1, 1.0, 100.0])
def test_runs_for_width_are_the_fewest(width):
    runs = runs_for_width(width, 0.5)
    assert interval_width(runs, 0.5) <= width
    assert runs == 2 or interval_width(runs - 1, 0.5) > width


def test_width_is_that_of_scipys_interval():
    low, high = stats.t.interval(0.9, 11, scale=0.2 / np.sqrt(12))
    assert interval_width(12, 0.2, level=0.9) == pytest.approx(high - low)
    assert interval_width(1, 0.2) == np.inf


@pytest.mark.parametrize("lower_is_better", [False, True])
def test_chance_of_target_is_the_share_of_subsets(lower_is_better):
    scores = np.array([0.1, 0.2, 0.2, 0.3, 0.5, 0.6, 0.6])
    sign = -1 if lower_is_better else 1
    for n in (1, 2, 5, 7):
        chance = chance_of_target(sign * scores, sign * 0.6, n, lower_is_better=lower_is_better)
        hit = np.mean([max(s) >= 0.6 for s in itertools.combinations(scores, n)])
        assert chance.unbiased == pytest.approx(hit, abs=1e-12)
        assert chance.plugin == pytest.approx(1 - (5 / 7) ** n, abs=1e-12)
        assert chance.lower < chance.plugin < chance.upper


def test_chance_beyond_the_pool_has_no_unbiased_estimate():
    chance = chance_of_target([0.1, 0.9], 0.5, 3)
    assert np.isnan(chance.unbiased)
    assert chance.plugin == pytest.approx(1 - 0.5**3)


def test_share_limits_are_clopper_pearson():
    scores = np.arange(20.0)
    chance = chance_of_target(scores, 17.0, 1)
    low, high = proportion_confint(3, 20, method="beta")
    assert (chance.lower, chance.upper) == pytest.approx((low, high))
    none = chance_of_target(scores, 99.0, 5)
    assert (none.unbiased, none.plugin, none.lower) == (0.0, 0.0, 0.0)
    assert none.upper > 0


def test_runs_for_target():
    scores = np.arange(20.0)
    needed = runs_for_target(scores, 18.0, chance=0.9)
    assert 1 - 0.9**needed.expected >= 0.9 > 1 - 0.9 ** (needed.expected - 1)
    assert needed.at_best < needed.expected < needed.at_worst
    assert runs_for_target(scores, 99.0).expected is None
    assert runs_for_target(scores, -1.0).expected == 1
    # Half the runs succeed: two runs reach it with probability exactly 3/4.
    assert runs_for_target([0.0, 1.0], 1.0, chance=0.75).expected == 2


def test_budget_table_may_spend_less_than_the_budget():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "task": "rte",
            "recipe": "plain",
            "run": np.repeat(np.arange(30).astype(str), 2),
            "step": np.tile([12, 115], 30),
            "score": rng.normal(0.7, 0.05, 60),
        }
    )
    table = budget_table(frame, 5, generator=np.random.default_rng(1), target=0.8)
    row = table.iloc[0]
    assert row["started"] * 12 + row["continued"] * 103 <= 5 * 115
    assert row["started"] > row["continued"]
    assert row["expected_best"] > row["baseline"]
    assert 0 <= row["reach"] <= 1
    assert budget_table(frame, 31, generator=np.random.default_rng(1)).empty


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: runs_for_width(0.0, 1.0), r"width is 0\.0; allowed: positive"),
        (lambda: runs_for_width(0.1, -1.0), r"sd is -1\.0"),
        (lambda: interval_width(5, 1.0, level=95), "level is 95; allowed: between 0 and 1"),
        (lambda: power_of_runs(1, 0.5, 1.0), "runs is 1"),
        (lambda: power_of_runs(5, 0.5, 1.0, alternative="smaller"), "alternative is 'smaller'"),
        (lambda: runs_for_power(0.0, 1.0), r"effect is 0\.0"),
        (lambda: runs_for_power(1e-9, 1.0), "more than 1000000000 runs"),
        (lambda: chance_of_target([0.1], 0.1, 0), "n is 0"),
        (lambda: runs_for_target([0.1], 0.1, chance=1.0), r"chance is 1\.0"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()
