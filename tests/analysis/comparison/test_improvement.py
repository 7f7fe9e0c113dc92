import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import mannwhitneyu
from statsmodels.stats.proportion import proportion_confint

from analysis.comparison.improvement import probability_of_improvement
from analysis.data.score_table import read_table
from analysis.variance.failure_rates import failure_rates, wilson_interval


def test_unpaired_probability_is_the_u_statistic_with_ties_half():
    generator = np.random.default_rng(0)
    a, b = generator.integers(0, 6, 9) / 10, generator.integers(0, 8, 7) / 10
    found = probability_of_improvement(a, b, paired=False)
    assert found.probability == pytest.approx(mannwhitneyu(b, a).statistic / 63)
    brute = np.mean([(y > x) + 0.5 * (y == x) for x in a for y in b])
    assert found.probability == pytest.approx(brute)
    back = probability_of_improvement(b, a, paired=False)
    assert back.probability == pytest.approx(1 - found.probability)
    assert (back.lower, back.upper) == pytest.approx((1 - found.upper, 1 - found.lower))


def test_paired_probability_counts_pairs_and_has_wilsons_interval():
    found = probability_of_improvement([1, 2, 3, 4], [2, 2, 4, 1], paired=True)
    assert found.probability == 2.5 / 4
    sure = probability_of_improvement(np.zeros(20), np.ones(20), paired=True)
    expected = proportion_confint(20, 20, method="wilson")
    assert (sure.lower, sure.upper) == pytest.approx(expected)


def test_newcombes_limits_solve_their_equation():
    a, b = np.array([1.0, 2, 3, 4, 5]), np.array([2.5, 3.5, 6, 7])
    found = probability_of_improvement(a, b, paired=False)
    extra, z = (5 + 4) / 2 - 1, 1.959963984540054
    for q in (found.lower, found.upper):
        variance = q * (1 - q) * (1 + extra * ((1 - q) / (2 - q) + q / (1 + q))) / 20
        assert (found.probability - q) ** 2 == pytest.approx(z**2 * variance, rel=1e-6)
    clear = probability_of_improvement(a, b + 10, paired=False)
    assert clear.probability == clear.upper == 1.0
    assert 0.3 < clear.lower < 0.9


@pytest.mark.stat
@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("shift", [0.0, 1.2])
def test_score_intervals_cover(paired, shift):
    """At least 440 of 500 at a nominal 95%: false alarms below 1e-6 if .93 or more."""
    generator = np.random.default_rng(7)
    truth = 0.5 * math.erfc(-shift / 2)
    hits = 0
    for _ in range(500):
        a, b = generator.standard_normal(15), shift + generator.standard_normal(15)
        found = probability_of_improvement(a, b, paired=paired)
        hits += found.lower <= truth <= found.upper
    assert hits >= 440


@pytest.mark.parametrize("paired", [True, False])
def test_bootstrap_interval_is_near_the_score_interval(paired):
    generator = np.random.default_rng(9)
    a, b = generator.standard_normal(60), 0.5 + generator.standard_normal(60)
    score = probability_of_improvement(a, b, paired=paired)
    boot = probability_of_improvement(
        a, b, paired=paired, method="bootstrap", generator=np.random.default_rng(1)
    )
    assert boot.probability == score.probability
    # Both approximate the same law at n = 60; they agree to about a fifth of their width.
    assert (boot.lower, boot.upper) == pytest.approx((score.lower, score.upper), abs=0.05)
    again = probability_of_improvement(
        a, b, paired=paired, method="bootstrap", generator=np.random.default_rng(1)
    )
    assert boot == again


def test_meaningful_needs_both_limits():
    n = 400
    small = probability_of_improvement(
        np.zeros(n), np.where(np.arange(n) < 0.57 * n, 1.0, -1.0), paired=True
    )
    assert small.significant
    assert not small.meaningful
    few = probability_of_improvement([0, 0, 0, 0], [1, 1, 1, -1], paired=True)
    assert few.upper > 0.75
    assert not few.meaningful
    large = probability_of_improvement(np.zeros(30), np.ones(30), paired=True)
    assert large.meaningful


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"a": [1.0], "b": [1.0, 2.0], "paired": True}, r"equal lengths, got 1 and 2"),
        ({"a": [], "b": [1.0], "paired": False}, r"at least one score"),
        ({"a": [np.nan], "b": [1.0], "paired": False}, r"is nan; allowed: finite"),
        ({"a": [1.0], "b": [1.0], "paired": False, "level": 1.0}, r"level is 1\.0; allowed"),
        ({"a": [1.0], "b": [1.0], "paired": False, "gamma": 0.5}, r"gamma is 0\.5; allowed"),
        ({"a": [1.0], "b": [1.0], "paired": False, "method": "t"}, r"method is 't'; allowed"),
        ({"a": [1.0], "b": [1.0], "paired": True, "method": "bootstrap"}, r"give a numpy Gen"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(ValueError, match=message):
        probability_of_improvement(**arguments)


@pytest.mark.parametrize(("count", "n"), [(0, 5), (3, 20), (20, 20), (1, 1)])
def test_wilson_is_statsmodels(count, n):
    expected = proportion_confint(count, n, method="wilson", alpha=0.1)
    # Absolute, because the ends at 0 and 1 are exact here only.
    assert wilson_interval(count, n, level=0.9) == pytest.approx(expected, abs=1e-12)


def test_wilson_refuses_impossible_counts():
    with pytest.raises(ValueError, match=r"count and n are 3 and 2; allowed: 0 <= count <= n"):
        wilson_interval(3, 2)


def test_failure_rates_of_groups():
    frame = pd.DataFrame(
        {
            "task": "t",
            "recipe": ["a"] * 4 + ["b"] * 4,
            "init_seed": [0, 1, 2, 3] * 2,
            "order_seed": 0,
            "score": [0.4, 0.5, 0.6, None, 0.7, 0.7, 0.7, 0.7],
            "failed": [None] * 3 + [True] + [None] * 4,
        }
    )
    table = failure_rates(read_table(frame, majority=0.5)).set_index("recipe")
    assert table["n_failed"].to_dict() == {"a": 3, "b": 0}
    assert table["n_diverged"].to_dict() == {"a": 1, "b": 0}
    assert table.loc["a", "rate"] == 0.75
    assert (table.loc["b", "lower"], table.loc["b", "upper"]) == wilson_interval(0, 4)
    assert table["judged"].all()
    unknown = failure_rates(read_table(frame.iloc[4:].drop(columns="failed")))
    assert not unknown["judged"].any()


def test_runs_that_share_no_seed_have_wilsons_interval():
    scores = [0.4, 0.6, 0.7, 0.8, 0.9]
    frame = pd.DataFrame({"task": "t", "seed": range(5), "score": scores})
    row = failure_rates(read_table(frame, majority=0.5)).iloc[0]
    assert (row["lower"], row["upper"]) == pytest.approx(wilson_interval(1, 5))
    assert row["n_effective"] == 5
