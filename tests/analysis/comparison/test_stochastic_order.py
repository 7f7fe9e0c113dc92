import numpy as np
import pytest
from scipy.stats import norm

from analysis.comparison.stochastic_order import almost_stochastic_order, violation_ratio


def numeric_ratio(a, b, steps=200_000):
    """The integrals of the definition by the midpoint rule on quantile functions."""
    t = (np.arange(steps) + 0.5) / steps
    x = np.sort(a)[np.minimum((t * len(a)).astype(int), len(a) - 1)]
    y = np.sort(b)[np.minimum((t * len(b)).astype(int), len(b) - 1)]
    gap = (y - x) ** 2
    return gap[y > x].sum() / gap.sum()


@pytest.mark.parametrize(("n", "m"), [(5, 5), (7, 4), (30, 50)])
def test_ratio_is_the_integral_of_the_definition(n, m):
    generator = np.random.default_rng(n)
    a, b = generator.standard_normal(n), generator.standard_normal(m)
    # The midpoint rule errs by at most a step at each of n + m jumps.
    assert violation_ratio(a, b) == pytest.approx(numeric_ratio(a, b), abs=2e-3)
    assert violation_ratio(a, b) + violation_ratio(b, a) == pytest.approx(1.0, abs=1e-12)


def test_ratio_by_hand():
    # Quantile gaps of b over a: +1 on the lower half, -2 on the upper.
    assert violation_ratio([0.0, 5.0], [1.0, 3.0]) == pytest.approx(1 / 5)


def test_a_clear_win_is_zero_and_a_clear_loss_one():
    a, b = np.linspace(0.8, 0.9, 9), np.linspace(0.5, 0.6, 7)
    generator = np.random.default_rng(0)
    assert almost_stochastic_order(a, b, generator).epsilon_min == 0.0
    assert almost_stochastic_order(b, a, generator).epsilon_min == 1.0


def test_scale_and_shift_do_not_matter():
    generator = np.random.default_rng(2)
    a, b = generator.random(12), generator.random(9)
    assert violation_ratio(3 * a - 7, 3 * b - 7) == pytest.approx(violation_ratio(a, b))


def test_equal_samples_are_undecided():
    assert violation_ratio([0.1, 0.2], [0.2, 0.1]) == 0.5
    assert violation_ratio([0.1, 0.2], [0.2, 0.1, 0.1, 0.2]) == 0.5


def test_limit_is_ratio_plus_scaled_bootstrap_deviation():
    """Against a plain loop; sd of 2000 resamples is known to 2%, so 10% is five sds."""
    generator = np.random.default_rng(4)
    a, b = generator.standard_normal(15) + 0.5, generator.standard_normal(20)
    found = almost_stochastic_order(a, b, np.random.default_rng(1), level=0.9, resamples=2000)
    c = np.sqrt(15 * 20 / 35)
    ratio = violation_ratio(a, b)
    draws = [
        c * (violation_ratio(generator.choice(a, 15), generator.choice(b, 20)) - ratio)
        for _ in range(2000)
    ]
    sigma = np.std(draws)
    assert found.violation_ratio == ratio
    assert found.epsilon_min - ratio == pytest.approx(norm.ppf(0.9) * sigma / c, rel=0.1)
    again = almost_stochastic_order(a, b, np.random.default_rng(1), level=0.9, resamples=2000)
    assert found == again


@pytest.mark.stat
def test_limit_is_above_the_true_ratio():
    """N(.5, 2) against N(0, 1): the true ratio is .112 (numerically, 2e6 quantiles). At a nominal
    95% at least 170 of 200: false alarms below 1e-6 if the coverage is .95."""
    t = (np.arange(200_000) + 0.5) / 200_000
    gap = norm.ppf(t) - (0.5 + 2 * norm.ppf(t))
    truth = (gap[gap > 0] ** 2).sum() / (gap**2).sum()
    generator = np.random.default_rng(6)
    hits = 0
    for _ in range(200):
        a, b = 0.5 + 2 * generator.standard_normal(40), generator.standard_normal(40)
        found = almost_stochastic_order(a, b, generator, resamples=200)
        hits += found.epsilon_min >= truth
    assert hits >= 170


def test_refusals():
    generator = np.random.default_rng(0)
    with pytest.raises(ValueError, match="at least one score"):
        violation_ratio([], [1.0])
    with pytest.raises(ValueError, match="level is 95; allowed"):
        almost_stochastic_order([1.0], [1.0], generator, level=95)
    with pytest.raises(ValueError, match="resamples is 10; allowed: whole numbers from 100 on"):
        almost_stochastic_order([1.0], [1.0], generator, resamples=10)
