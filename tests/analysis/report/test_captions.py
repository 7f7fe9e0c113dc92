"""Numbers in words, and the planner's sentences."""

import math

import numpy as np
import pandas as pd
import pytest

from analysis.errors import OptionError
from analysis.planning.sample_size import runs_for_power, runs_for_width
from analysis.report import Questions, plan_answers
from analysis.report.results.numbers import (
    count,
    digits_for,
    mean_difference,
    number,
    p_value,
    percent,
    round_step,
)
from tests.suites.made_studies import curved, plain


def test_digits_follow_the_spread():
    assert [digits_for(sd) for sd in (0.069, 0.0028, 6.9, 69.0, 0.0, math.nan)] == [
        3,
        4,
        1,
        0,
        3,
        3,
    ]
    assert number(0.62604, digits_for(0.069)) == "0.626"
    assert number(math.nan, 3) == "unknown"


def test_percents_and_counts():
    assert [percent(v) for v in (0.0, 0.004, 0.0994, 0.0996, 0.5, 1.0)] == [
        "0%", "0.4%", "9.9%", "10%", "50%", "100%",
    ]  # fmt: skip
    # A chance that rounds to 100% is none of 100%.
    assert percent(0.9999) == ">99%"
    assert count(1, "run") == "1 run"
    assert count(2100, "run") == "2,100 runs"


def test_p_values_are_never_below_their_floor():
    assert p_value(1e-4, 1e-4) == "p ≤ 0.0001"
    assert p_value(0.0316, 1e-4) == "p = 0.032"
    assert p_value(0.55) == "p = 0.55"
    assert p_value(0.0) == "p ≤ 1e-06"
    assert p_value(math.nan) == "p unknown"


def test_round_steps():
    assert [round_step(v) for v in (0.0138, 0.02, 0.0999, 7.0, 1.0)] == [0.01, 0.02, 0.05, 5.0, 1.0]
    assert math.isnan(round_step(0.0))


def test_mean_difference_is_that_of_all_pairs():
    values = np.random.default_rng(0).normal(size=9)
    every = np.abs(np.subtract.outer(values, values)).sum() / (9 * 8)
    assert mean_difference(pd.Series(values)) == pytest.approx(every)
    assert math.isnan(mean_difference(pd.Series([1.0])))


def test_plan_without_a_pilot():
    words = plan_answers(Questions(width=0.02, effect=0.02, sd=0.069))
    assert f"takes {runs_for_width(0.02, 0.069)} runs" in words[0]
    assert f"takes {runs_for_power(0.02, 0.069)} runs of each" in words[1]


def test_plan_from_a_pilot():
    study = curved(a=5, b=5)
    words = plan_answers(Questions(target=0.7, budget=4), study)
    assert words[0].startswith("pilot of 25 runs, accuracy")
    assert "the best of n runs reaches 0.7 with a chance of" in words[1]
    assert words[2].startswith("a budget of 4 full trainings is best spent")
    assert words == plan_answers(Questions(target=0.7, budget=4), study)


def test_plan_says_what_the_pilot_cannot_tell():
    assert "needs evaluations" in plan_answers(Questions(budget=4), plain())[1]
    assert "more than the pilot's runs" in plan_answers(Questions(budget=400), curved())[1]
    assert "no number of runs can be promised" in plan_answers(Questions(target=2.0), plain())[1]
    assert "fewer than two runs" in plan_answers(Questions(width=0.1), plain(1, 1))[0]


def test_groups_are_named_where_there_are_several():
    words = plan_answers(Questions(width=0.05), curved(recipes=("a", "b")))
    assert [w.split(":")[0] for w in words] == ["rte, a", "rte, a", "rte, b", "rte, b"]


def test_refusals():
    with pytest.raises(OptionError, match="nothing to plan; ask for a width, an effect"):
        plan_answers(Questions())
    with pytest.raises(OptionError, match="needs runs to plan from"):
        plan_answers(Questions(budget=3, sd=0.1))
    with pytest.raises(OptionError, match="standard deviation of a run's score is unknown"):
        plan_answers(Questions(width=0.1))
    with pytest.raises(OptionError, match="width is -1"):
        plan_answers(Questions(width=-1.0, sd=0.1))
