"""Numbers as text."""

import math

from analysis.formatting import count, digits_for, number, p_value, percent, round_step


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
