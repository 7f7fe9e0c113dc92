"""Bands: opda's simulation, published ranges, simulated coverage, properties."""

import math

import numpy as np
import pytest
from opda.nonparametric import EmpiricalDistribution
from opda.utils import beta_highest_density_interval
from scipy.stats import beta, norm

from analysis.best_of_n.bands import best_of_band, cdf_band
from analysis.best_of_n.boundary_crossing import stay_probability
from analysis.best_of_n.order_statistics import equal_tailed_intervals, highest_density_intervals

METHODS = ["dkw", "ks", "ld_equal_tailed", "ld_highest_density"]


@pytest.mark.parametrize("size", [1, 2, 3, 48, 2000])
@pytest.mark.parametrize("miss", [0.9, 0.05, 1e-6])
@pytest.mark.parametrize("intervals", [equal_tailed_intervals, highest_density_intervals])
def test_every_interval_has_its_coverage(size, miss, intervals):
    lower, upper = intervals(size, miss)
    law = beta(np.arange(1, size + 1), np.arange(size, 0, -1))
    # An upper end close to one is rounded to 1e-16, of which its tail keeps 1e-7.
    np.testing.assert_allclose(law.cdf(lower) + law.sf(upper), miss, rtol=1e-6)


@pytest.mark.parametrize("coverage", [0.5, 0.99])
def test_highest_density_intervals_are_opdas(coverage):
    rank = np.arange(2, 48)
    expected = beta_highest_density_interval(rank, 49 - rank, coverage)
    lower, upper = highest_density_intervals(48, 1 - coverage)
    # opda bisects to 1e-10.
    np.testing.assert_allclose(lower[1:-1], expected[0], atol=1e-9)
    np.testing.assert_allclose(upper[1:-1], expected[1], atol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_bands_agree_with_opda(method):
    scores = np.random.default_rng(3).normal(size=24)
    low, _, high = EmpiricalDistribution.confidence_bands(
        scores, 0.9, generator=np.random.default_rng(4), method=method, n_jobs=1
    )
    band = cdf_band(24, 0.9, method)
    # opda finds the LD critical value from 100,000 draws (standard error of the
    # level .00095); the two others differ by rounding and by its root finder.
    tolerance = 1e-3 if method.startswith("ld") else 1e-9
    at = np.concatenate([[-100.0], np.sort(scores)])
    np.testing.assert_allclose(band.lower, low.cdf(at), atol=tolerance)
    np.testing.assert_allclose(band.upper, high.cdf(at), atol=tolerance)


@pytest.mark.parametrize("statistic", ["median", "mean"])
def test_curves_of_a_band_are_opdas_tuning_curves(statistic):
    scores = np.random.default_rng(5).normal(size=40)
    bounds = (-5.0, 6.0)
    ns = np.array([1, 2, 3, 4, 5, 10, 40, 100])
    low, _, high = EmpiricalDistribution.confidence_bands(scores, 0.95, *bounds, method="dkw")
    band = best_of_band(scores, ns, method="dkw", bounds=bounds, statistic=statistic)
    curve = "quantile_tuning_curve" if statistic == "median" else "average_tuning_curve"
    np.testing.assert_allclose(band.lower, getattr(high, curve)(ns), atol=1e-10)
    np.testing.assert_allclose(band.upper, getattr(low, curve)(ns), atol=1e-10)


@pytest.mark.parametrize(
    ("size", "method", "expected"),
    [
        (48, "ld_highest_density", 5),
        (100, "ld_highest_density", 11),
        (625, "ld_highest_density", 65),
        (48, "dkw", 3),
        (100, "dkw", 4),
        (2, "ld_highest_density", 0),
    ],
)
def test_informative_range(size, method, expected):
    assert cdf_band(size, 0.95, method).informative == expected


@pytest.mark.parametrize("method", METHODS)
def test_the_band_stops_being_bounded_right_after_the_informative_range(method):
    scores = np.random.default_rng(6).normal(size=60)
    band = best_of_band(scores, np.arange(1, 61), method=method)
    bounded = np.isfinite(band.upper)
    np.testing.assert_array_equal(bounded, band.ns <= band.informative)
    assert np.isfinite(band.lower).all()
    assert np.all(band.lower <= band.point)
    assert np.all(band.point <= band.upper)


@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
@pytest.mark.parametrize("method", ["ks", "ld_equal_tailed", "ld_highest_density"])
def test_exact_methods_have_exactly_their_level(method, level):
    band = cdf_band(31, level, method)
    coverage = stay_probability(band.lower[1:], band.upper[:-1])
    assert coverage == pytest.approx(level, abs=1e-9)


def test_dkw_is_conservative():
    band = cdf_band(31, 0.95, "dkw")
    assert stay_probability(band.lower[1:], band.upper[:-1]) >= 0.95


@pytest.mark.stat
@pytest.mark.parametrize("method", ["ks", "ld_equal_tailed", "ld_highest_density"])
def test_simulated_coverage_of_the_distribution_band(method):
    """Two-sided at 5.5 standard errors: false-alarm rate 4e-8 over seeds (fixed here)."""
    draws = np.sort(np.random.default_rng(7).random((20_000, 30)), axis=1)
    band = cdf_band(30, 0.9, method)
    held = np.all((band.lower[1:] <= draws) & (draws <= band.upper[:-1]), axis=1)
    assert abs(held.mean() - 0.9) < 5.5 * math.sqrt(0.9 * 0.1 / len(held))


@pytest.mark.stat
@pytest.mark.parametrize("rounded", [False, True])
def test_simulated_coverage_of_the_best_of_n_median(rounded):
    """One-sided at 5.3 standard errors: false-alarm rate 6e-8 over seeds (fixed here).

    Only n up to the informative range is checked, so that the coverage may
    exceed the level; ties (scores rounded to halves) may only raise it.
    """
    rng = np.random.default_rng(8)
    ns = np.arange(1, cdf_band(40, 0.9).informative + 1)
    truth = norm.ppf(0.5 ** (1 / ns))
    held = []
    for _ in range(1500):
        scores = rng.normal(size=40)
        if rounded:
            scores = np.ceil(2 * scores) / 2
        band = best_of_band(scores, ns, level=0.9)
        goal = np.ceil(2 * truth) / 2 if rounded else truth
        held.append(np.all((band.lower <= goal) & (goal <= band.upper)))
    assert np.mean(held) > 0.9 - 5.3 * math.sqrt(0.09 / len(held))


def test_lower_is_better_turns_the_band_round():
    scores = np.random.default_rng(9).normal(size=30)
    up = best_of_band(scores, bounds=(-4.0, 5.0))
    down = best_of_band(-scores, bounds=(-5.0, 4.0), lower_is_better=True)
    np.testing.assert_array_equal(down.lower, -up.upper)
    np.testing.assert_array_equal(down.upper, -up.lower)
    np.testing.assert_array_equal(down.point, -up.point)


def test_band_shifts_and_scales_with_the_scores():
    scores = np.random.default_rng(10).normal(size=30)
    band, moved = best_of_band(scores), best_of_band(2 * scores + 1)
    np.testing.assert_allclose(moved.lower, 2 * band.lower + 1, atol=1e-12)


def test_no_point_and_no_upper_bound_beyond_the_pool():
    band = best_of_band([0.1, 0.2, 0.3], [1, 3, 4])
    assert np.isnan(band.point[2])
    assert band.upper[2] == np.inf


def test_the_cached_band_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        cdf_band(5).lower[0] = 1.0


def test_large_pools_have_bands():
    assert cdf_band(10_000, 0.95, "dkw").informative > 0
    lower, upper = highest_density_intervals(10_000, 1e-5)
    assert np.all(np.diff(lower) > 0)
    assert np.all(np.diff(upper) > 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 0}, "size is 0; allowed: whole numbers from 1 on"),
        ({"size": 5, "level": 1.0}, r"level is 1\.0; allowed: between 0 and 1"),
        ({"size": 5, "method": "bootstrap"}, "method is 'bootstrap'; allowed: 'dkw', 'ks'"),
    ],
)
def test_refusals_of_the_distribution_band(arguments, message):
    with pytest.raises(ValueError, match=message):
        cdf_band(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bounds": (0.2, 1.0)}, r"bounds are \(0\.2, 1\.0\), but the scores run from 0\.1"),
        ({"statistic": "mode"}, "statistic is 'mode'; allowed"),
        ({"ns": [0]}, "allowed: a list of positive integers"),
        ({"ns": [1.5]}, "allowed: a list of positive integers"),
    ],
)
def test_refusals_of_the_curve_band(arguments, message):
    with pytest.raises(ValueError, match=message):
        best_of_band([0.1, 0.5], **arguments)
