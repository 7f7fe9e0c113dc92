"""Numbers as text."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.formatting import (
    count,
    difference,
    digits_apart,
    digits_for,
    number,
    p_value,
    percent,
    permutation_text,
    round_step,
)
from analysis.rounding import spread, varies

FINITE = st.floats(allow_nan=False, allow_infinity=False)


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


def test_numbers_are_short_and_zero_has_no_sign():
    assert number(-1e-9, 6) == "0.000000"
    assert number(-0.5, 0) == "0"
    assert number(1e308, 3) == "1e+308"
    assert number(123456.7, 1) == "123456.7"


@settings(max_examples=50, deadline=None)
@given(FINITE, st.integers(0, 12))
def test_no_number_is_longer_than_its_digits(value, digits):
    text = number(value, digits)
    assert len(text) <= 12 + digits
    assert float(text) != 0 or not text.startswith("-")


@settings(max_examples=50, deadline=None)
@given(st.floats(0.01, 100), st.floats(0.01, 100), st.integers(0, 6))
def test_numbers_that_differ_are_printed_apart(one, other, digits):
    d = digits_apart(one, other, digits)
    assert d >= digits
    differ = abs(one - other) > 1e-12 * max(one, other)
    assert (number(one, d) != number(other, d)) == differ or d == digits


def test_as_many_digits_as_a_difference_needs():
    assert digits_apart(0.8312, 0.8318, 2) == 4
    assert digits_apart(0.83, 0.91, 2) == 2
    assert digits_apart(0.83, 0.83, 2) == 2
    assert digits_apart(math.nan, 0.83, 2) == 2


@settings(max_examples=50, deadline=None)
@given(st.floats(-1e6, 1e6), st.integers(2, 60))
def test_equal_scores_do_not_vary_however_their_mean_is_rounded(score, n):
    assert not varies(np.full(n, score))
    assert spread(np.full(n, score)) == 0.0


def test_what_varies():
    assert varies([0.5, 0.5 + 1e-9])
    assert not varies([0.5, 0.5 + 1e-13])
    assert not varies([0.3, 0.1 + 0.2])
    assert not varies([0.5])
    assert math.isnan(spread([0.5]))
    assert spread([0.0, 1.0]) == 0.5**0.5


def test_differences_have_the_digits_that_show_them():
    assert difference(0.0123, -0.001, 0.03) == "+0.0123 [-0.0010, 0.0300]"
    assert difference(-0.00002, -0.00004, 0.0) == "-0.00002 [-0.00004, 0.00000]"
    assert difference(0.0, -1e-9, 1e-9) == "0.0000 [0.0000, 0.0000]"
    assert difference(0.05, math.nan, math.nan) == "+0.0500"
    assert difference(math.nan, math.nan, math.nan) == "unknown"


def test_a_test_that_can_say_nothing_says_so():
    assert permutation_text(0.5, 0.5) == (
        "too few seeds for a permutation test, which can't give less than p = 0.5"
    )
    assert permutation_text(1 / 36, 1 / 36) == "permutation test p = 0.028"
    assert permutation_text(1e-4, 1e-4) == "permutation test p ≤ 0.0001"
