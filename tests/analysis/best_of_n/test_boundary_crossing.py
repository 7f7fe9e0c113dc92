"""Boundary crossing: the exact Kolmogorov-Smirnov law and closed forms."""

import math

import numpy as np
import pytest
from scipy.stats import binom

from analysis.best_of_n.boundary_crossing import stay_probability


def kolmogorov_law(n, d):
    """P(D_n < d) by the matrix of Durbin, as in Marsaglia, Tsang and Wang 2003."""
    k = math.ceil(n * d)
    h = k - n * d
    m = 2 * k - 1
    powers = h ** np.arange(1, m + 1)
    matrix = np.array([[float(i - j + 1 >= 0) for j in range(m)] for i in range(m)])
    matrix[:, 0] -= powers
    matrix[-1, :] -= powers[::-1]
    matrix[-1, 0] += max(2 * h - 1, 0) ** m
    for i in range(m):
        for j in range(m):
            if i - j + 1 > 0:
                matrix[i, j] /= math.factorial(i - j + 1)
    # Multiplying the factor n! / n^n in step by step keeps everything near one.
    row = np.zeros(m)
    row[k - 1] = 1.0
    for i in range(1, n + 1):
        row = row @ matrix * (i / n)
    return row[k - 1]


def ks_bounds(n, d):
    rank = np.arange(1, n + 1)
    return np.clip(rank / n - d, 0, 1), np.clip((rank - 1) / n + d, 0, 1)


@pytest.mark.parametrize("n", [3, 48, 250])
@pytest.mark.parametrize("d", [0.05, 0.1, 0.21])
def test_kolmogorov_smirnov_law(n, d):
    # Both sides sum about n terms of rounding error 1e-16 that grow by the conditioning.
    assert stay_probability(*ks_bounds(n, d)) == pytest.approx(kolmogorov_law(n, d), abs=1e-12)


def test_two_order_statistics_by_hand():
    # P(.1 <= U1 <= .4, .5 <= U2 <= .9) = 2 * .3 * .4, as the boxes are disjoint.
    assert stay_probability([0.1, 0.5], [0.4, 0.9]) == pytest.approx(0.24, abs=1e-14)


def test_one_constrained_order_statistic_is_binomial():
    n, i, x = 30, 7, 0.3
    lower = np.zeros(n)
    lower[i - 1 :] = x  # U_(i) >= x says at most i - 1 below x
    expected = binom.cdf(i - 1, n, x)
    assert stay_probability(lower, np.ones(n)) == pytest.approx(expected, abs=1e-13)


def test_unsorted_bounds_imply_sorted_ones():
    assert stay_probability([0.3, 0.1], [0.9, 0.8]) == pytest.approx(
        stay_probability([0.3, 0.3], [0.8, 0.8]), abs=1e-15
    )


def test_limits():
    assert stay_probability(np.zeros(500), np.ones(500)) == pytest.approx(1.0, abs=1e-12)
    assert stay_probability([0.5, 0.5], [0.2, 1.0]) == 0.0
    assert stay_probability([0.2, 1.0], [1.0, 1.0]) == 0.0
    assert stay_probability([0.0, 0.0], [0.0, 1.0]) == 0.0


@pytest.mark.parametrize(
    ("lower", "upper", "message"),
    [
        ([0.1], [0.2, 0.3], r"shapes \(1,\) and \(2,\)"),
        ([], [], "at least one bound"),
        ([-0.1], [0.5], r"outside \[0, 1\]"),
        ([0.1], [float("nan")], r"outside \[0, 1\]"),
    ],
)
def test_refusals(lower, upper, message):
    with pytest.raises(ValueError, match=message):
        stay_probability(lower, upper)
