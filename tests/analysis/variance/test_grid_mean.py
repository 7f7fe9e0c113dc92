"""Means over seeds that runs share: against statsmodels, by hand and by simulation."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy.stats import ttest_1samp
from statsmodels.stats.anova import anova_lm

from analysis.errors import DesignError
from analysis.variance.grid_mean import grid_mean
from analysis.variance.mean_interval import mean_interval


def drawn(
    generator: np.random.Generator, shape: tuple[int, int, int], init: float, order: float
) -> np.ndarray:
    """Grids with these shares of init and order in a variance of 1 around 0."""
    n, a, b = shape
    return np.asarray(
        init**0.5 * generator.normal(size=(n, a, 1))
        + order**0.5 * generator.normal(size=(n, 1, b))
        + (1 - init - order) ** 0.5 * generator.normal(size=(n, a, b))
    )


def frame(grid: np.ndarray) -> pd.DataFrame:
    cells = itertools.product(range(grid.shape[0]), range(grid.shape[1]))
    rows = [(i, j, grid[i, j]) for i, j in cells]
    return pd.DataFrame(rows, columns=["init_seed", "order_seed", "score"])


@pytest.mark.parametrize("shares", [(0.0, 0.0), (0.4, 0.0), (0.1, 0.5), (0.4, 0.4)])
def test_the_error_is_that_of_the_mean_squares(shares: tuple[float, float]) -> None:
    """The mean squares are statsmodels'; the rest is the formula, written out."""
    (grid,) = drawn(np.random.default_rng(3), (1, 4, 6), *shares)
    fit = smf.ols("score ~ C(init_seed) + C(order_seed)", data=frame(grid)).fit()
    init, order, rest = anova_lm(fit)["mean_sq"]
    kept = [square for square in (init, order) if square > rest]
    bracket = sum(kept) + (1 - len(kept)) * rest
    df = bracket**2 / (
        (init**2 / 3 if init > rest else 0.0)
        + (order**2 / 5 if order > rest else 0.0)
        + (1 - len(kept)) ** 2 * rest**2 / 15
    )
    found = grid_mean(grid)
    assert found.mean == pytest.approx(grid.mean())
    assert found.error == pytest.approx((bracket / 24) ** 0.5)
    assert found.df == pytest.approx(df)


def test_one_failure_in_a_grid_has_the_degrees_of_freedom_of_the_rest() -> None:
    """Its mean squares are equal, and rounding does not decide which of them count."""
    for i, j in itertools.product(range(5), range(5)):
        grid = np.zeros((5, 5))
        grid[i, j] = 1.0
        found = grid_mean(grid)
        assert found.df == pytest.approx(16.0)
        assert found.error == pytest.approx(0.04)


def test_scores_that_do_not_vary_have_no_error() -> None:
    found = grid_mean(np.full((3, 3), 0.1) + 0.2)
    assert found.mean == pytest.approx(0.3)
    assert np.isnan([found.error, found.df, found.lower, found.upper, found.p_value]).all()


@pytest.mark.parametrize("grid", [np.ones((1, 5)), np.ones(4), [[1.0, np.nan], [1.0, 2.0]]])
def test_grids_that_have_no_error_are_refused(grid: np.ndarray) -> None:
    with pytest.raises(DesignError, match=r"2 x 2 seeds|a cell of the grid is missing"):
        grid_mean(grid)


@pytest.mark.stat
@pytest.mark.parametrize("shares", [(0.0, 0.0), (0.06, 0.01), (0.1, 0.25), (0.0, 0.5)])
def test_the_interval_covers(shares: tuple[float, float]) -> None:
    """Coverage of 95 % intervals over 2,000 grids of 10 x 10 is at least .93.

    Four standard errors of the share are .02, so a coverage of .95 fails once in 30,000 times.
    """
    found = grid_mean(drawn(np.random.default_rng(8), (2_000, 10, 10), *shares))
    assert ((found.lower <= 0) & (found.upper >= 0)).mean() >= 0.93


class TestMeanInterval:
    """The design decides the error."""

    def test_a_grid(self) -> None:
        (grid,) = drawn(np.random.default_rng(1), (1, 5, 4), 0.3, 0.3)
        expected, found = grid_mean(grid), mean_interval(frame(grid))
        assert found.design == "grid"
        assert (found.error, found.df) == (float(expected.error), float(expected.df))

    def test_independent_runs_have_students_interval(self) -> None:
        scores = np.random.default_rng(1).normal(size=9)
        runs = pd.DataFrame({"init_seed": range(9), "order_seed": range(9), "score": scores})
        found = mean_interval(runs)
        expected = ttest_1samp(scores, 0.0).confidence_interval()
        assert found.design == "independent"
        assert (found.lower, found.upper) == pytest.approx((expected.low, expected.high))

    def test_all_runs_with_one_init_seed(self) -> None:
        runs = frame(np.random.default_rng(1).normal(size=(1, 6)))
        assert mean_interval(runs).design == "one shared seed"

    @pytest.mark.stat
    def test_a_grid_with_missing_cells_covers(self) -> None:
        """95 % intervals over 100 grids of 8 x 8, a quarter of the cells missing.

        The coverage is at least .86: four standard errors of a share of .95 are .09.
        """
        generator, hits = np.random.default_rng(5), 0
        for grid in drawn(generator, (100, 8, 8), 0.1, 0.4):
            runs = frame(grid)
            found = mean_interval(runs[generator.random(len(runs)) > 0.25])
            assert found.design == "incomplete grid"
            hits += found.lower <= 0 <= found.upper
        assert hits / 100 >= 0.86

    def test_an_almost_complete_grid_has_almost_the_same_error(self) -> None:
        (grid,) = drawn(np.random.default_rng(2), (1, 20, 20), 0.3, 0.3)
        whole, part = mean_interval(frame(grid)), mean_interval(frame(grid).iloc[1:])
        assert part.design == "incomplete grid"
        assert part.error == pytest.approx(whole.error, rel=0.02)

    def test_equal_scores_have_no_error(self) -> None:
        found = mean_interval(frame(np.full((2, 3), 0.1)))
        assert (found.error, found.lower, found.upper) == (0.0, found.mean, found.mean)

    def test_seeds_that_nothing_links_determine_no_error(self) -> None:
        blocks = [(0, 0, 1.0), (0, 1, 2.0), (1, 2, 1.5), (1, 3, 2.5), (2, 4, 0.5), (2, 5, 1.0)]
        runs = pd.DataFrame(blocks, columns=["init_seed", "order_seed", "score"])
        found = mean_interval(runs)
        assert found.design == "unknown"
        assert np.isnan(found.error)
