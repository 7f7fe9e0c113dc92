"""Sizes of grids: limits that are known, and simulated power."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t

from analysis.errors import OptionError
from analysis.planning.grid_size import (
    SeedVariances,
    grid_for_power,
    grid_for_width,
    grid_interval_width,
    power_of_grid,
)
from analysis.planning.sample_size import power_of_runs
from analysis.variance.grid_mean import grid_mean


def test_init_alone_is_a_sample_of_init_seeds() -> None:
    """Where the rest is nothing, only the init seeds count: Student's interval of their means."""
    found = grid_interval_width(7, 4, SeedVariances(0.09, 0.0, 0.0))
    assert found == pytest.approx(2 * t.ppf(0.975, 6) * 0.3 / 7**0.5)
    power = power_of_grid(7, 4, 0.2, SeedVariances(0.09, 0.0, 0.0))
    assert power == pytest.approx(power_of_runs(7, 0.2, 0.3, paired=True))


@pytest.mark.stat
@pytest.mark.parametrize("spread", [SeedVariances(0.0, 0.5, 1.5), SeedVariances(0.12, 0.02, 1.86)])
def test_the_planned_power_is_reached(spread: SeedVariances) -> None:
    """Simulated on 2,000 grids of the planned size.

    Four standard errors of a share of .8 are .036. The plan is up to .02 above the test that
    estimates its degrees of freedom.
    """
    size = grid_for_power(0.5, spread)
    generator = np.random.default_rng(6)
    scores = (
        0.5
        + spread.init**0.5 * generator.normal(size=(2_000, size, 1))
        + spread.order**0.5 * generator.normal(size=(2_000, 1, size))
        + spread.rest**0.5 * generator.normal(size=(2_000, size, size))
    )
    assert (grid_mean(scores).p_value < 0.05).mean() >= 0.8 - 0.036 - 0.02


def test_the_size_is_the_smallest() -> None:
    spread = SeedVariances(0.1, 0.25, 0.65)
    size = grid_for_width(0.6, spread)
    assert grid_interval_width(size, size, spread) <= 0.6
    assert grid_interval_width(size - 1, size - 1, spread) > 0.6


def test_refusals() -> None:
    with pytest.raises(OptionError, match="the number of init seeds is 1"):
        grid_interval_width(1, 5, SeedVariances(0.1, 0.1, 0.1))
    with pytest.raises(OptionError, match="width is 0"):
        grid_for_width(0.0, SeedVariances(0.1, 0.1, 0.1))
    with pytest.raises(OptionError, match="more than 1000000000 runs would be needed"):
        grid_for_width(1e-9, SeedVariances(0.1, 0.1, 0.1))
