"""Laws of early-stopping outcomes: enumeration, Monte Carlo of the paper, limits."""

import math

import numpy as np
import pytest

from analysis.best_of_n.expected_max import expected_max
from analysis.stopping.distribution import OutcomeLaw, stopping_distribution
from analysis.stopping.expectation import stopping_surface
from tests.suites.brute_force import random_pool, stopping_outcomes


@pytest.mark.parametrize("replacement", [False, True])
@pytest.mark.parametrize("ties", [False, True])
def test_law_equals_enumeration(ties, replacement):
    for size in (1, 2, 3, 4):
        curves = random_pool(np.random.default_rng([size, ties]), size, 2, ties=ties)
        a, b = curves.T
        for t in range(1, (4 if replacement else size) + 1):
            for p in range(t + 1):
                law = stopping_distribution(a, b, t, p, replacement=replacement)
                expected = stopping_outcomes(a, b, t, p, replacement=replacement)
                for value, cdf in zip(law.values, law.cdf, strict=True):
                    below = sum(c for v, c in expected.items() if v <= value)
                    assert cdf == pytest.approx(below, abs=1e-12)
                assert law.mean == pytest.approx(sum(v * c for v, c in expected.items()), abs=1e-12)


@pytest.mark.parametrize("ties", [False, True])
def test_mean_and_reach_are_the_surface(ties):
    rng = np.random.default_rng(5)
    raw = rng.normal(0.7, 0.05, (60, 4))
    curves = np.maximum.accumulate(np.round(raw * 50) / 50 if ties else raw, axis=1)
    target = float(np.median(curves[:, -1]))
    surface = stopping_surface(curves, [10, 30], [3, 8])
    reach = stopping_surface(curves, [10, 30], [3, 8], target=target)
    for k, t in enumerate([10, 30]):
        for j, p in enumerate([3, 8]):
            law = stopping_distribution(curves[:, 1], curves[:, -1], t, p)
            assert law.mean == pytest.approx(surface[1, k, j], abs=1e-12)
            assert law.reach(target) == pytest.approx(reach[1, k, j], abs=1e-12)


@pytest.mark.parametrize("replacement", [False, True])
def test_nothing_stopped_is_the_expected_best(replacement):
    b = np.random.default_rng(6).normal(size=20)
    law = stopping_distribution(b - 1, b, 7, 7, replacement=replacement)
    expected = expected_max(b, 7, estimator="plugin" if replacement else "unbiased")
    assert law.mean == pytest.approx(expected, abs=1e-12)


def test_more_draws_than_the_pool_only_with_replacement():
    a = np.arange(5.0)
    law = stopping_distribution(a, a + 1, 40, 3, replacement=True)
    assert law.cdf[-1] == 1.0
    assert law.mean == pytest.approx(5.0, abs=1e-3)
    with pytest.raises(ValueError, match="started is 6; allowed: whole numbers from 1 to 5"):
        stopping_distribution(a, a + 1, 6, 3)


@pytest.mark.stat
@pytest.mark.parametrize("ties", [False, True])
def test_the_papers_monte_carlo_agrees_within_its_own_error(ties):
    """Two-sided at 5.5 standard errors: false-alarm rate 4e-8 over seeds (fixed here)."""
    rng = np.random.default_rng(11)
    raw = rng.normal(0.7, 0.05, (40, 2))
    a, b = np.maximum.accumulate(np.round(raw * 40) / 40 if ties else raw, axis=1).T
    drawn = rng.integers(0, 40, (20_000, 12))
    rank = np.lexsort((rng.random(drawn.shape), -a[drawn]), axis=1)
    ordered = np.take_along_axis(drawn, rank, axis=1)
    best = np.maximum(b[ordered[:, :4]].max(axis=1), a[ordered[:, 4:]].max(axis=1))
    law = stopping_distribution(a, b, 12, 4, replacement=True)
    assert abs(best.mean() - law.mean) < 5.5 * best.std() / math.sqrt(len(best))


def test_quantiles_and_reach_of_a_law():
    law = OutcomeLaw(np.array([1.0, 2.0, 4.0]), np.array([0.25, 0.5, 1.0]))
    assert law.mean == 1 * 0.25 + 2 * 0.25 + 4 * 0.5
    assert [law.quantile(q) for q in (0.0, 0.25, 0.3, 0.5, 1.0)] == [1.0, 1.0, 2.0, 2.0, 4.0]
    assert [law.reach(x) for x in (0.0, 1.0, 1.5, 4.0, 5.0)] == [1.0, 1.0, 0.75, 0.5, 0.0]
    with pytest.raises(ValueError, match=r"level is 1\.5; allowed: a probability"):
        law.quantile(1.5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.2], [0.1], 1, 0), "at the end at least as large"),
        (([0.2], [0.3, 0.4], 1, 0), "have 1 and 2 scores"),
        (([0.2], [0.3], 0, 0), "started is 0"),
        (([0.2], [0.3], 1, 2), "continued is 2; allowed: whole numbers from 0 to the number"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(ValueError, match=message):
        stopping_distribution(*arguments)
