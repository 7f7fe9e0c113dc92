"""Claims that a smaller budget with early stopping is enough."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from analysis.stopping.expectation import stopping_surface
from analysis.stopping.resampled_values import ResampledPool
from analysis.stopping.saving import COLUMNS, saving_table
from analysis.stopping.value import early_stopping_table
from tests.suites.brute_force import mean_of, stopping_outcomes


def curves_of(final: np.ndarray, early: np.ndarray) -> pd.DataFrame:
    """Ten evaluations: early scores, which rise and stay below the final one."""
    runs, times = len(final), np.arange(1, 11) / 10
    scores = early + 6.0 * (times - 1)
    scores[:, -1] = final
    return pd.DataFrame(
        {
            "task": "t",
            "recipe": "r",
            "run": np.repeat(np.arange(runs), 10),
            "fraction": np.tile(times, runs),
            "score": scores.ravel(),
        }
    )


def pilot(rng: np.random.Generator, runs: int, correlation: float) -> pd.DataFrame:
    final = rng.normal(size=runs)
    noise = (1 - correlation**2) ** 0.5 * rng.normal(size=(runs, 10))
    return curves_of(final, correlation * final[:, None] + noise)


@pytest.mark.parametrize(("started", "continued"), [(3, 1), (4, 3), (5, 2)])
def test_a_resample_without_repeats_has_the_enumerated_value(started: int, continued: int) -> None:
    rng = np.random.default_rng(0)
    early = rng.normal(size=5)
    end = np.maximum(early, early + rng.normal(size=5))
    drawn = np.stack([rng.permutation(5) for _ in range(3)])
    found = ResampledPool(early, end, drawn).values(started, continued)
    law = stopping_outcomes(early, end, started, continued)
    np.testing.assert_allclose(found, mean_of(law), atol=1e-12)


def test_a_resample_with_repeats_counts_them() -> None:
    """Oracle: all draws of two of four, of which the first in the order of the ranks continues."""
    early, end = np.array([0.3, 0.1, 0.2]), np.array([0.4, 0.9, 0.5])
    drawn = np.array([[0, 0, 1, 2]])
    pairs = itertools.combinations([(0.3, 0.4), (0.3, 0.4), (0.2, 0.5), (0.1, 0.9)], 2)
    expected = np.mean([max(first[1], second[0]) for first, second in pairs])
    assert ResampledPool(early, end, drawn).values(2, 1) == pytest.approx(expected)


def test_levels_are_rounded_by_little() -> None:
    rng = np.random.default_rng(1)
    early = rng.normal(size=150)
    end = np.maximum(early, rng.normal(size=150))
    (rounded,) = ResampledPool(early, end, np.arange(150)[None]).values(20, 5)
    exact = stopping_surface(np.column_stack([early, end]), [20], [5])[0, 0, 0]
    assert rounded == pytest.approx(exact, abs=0.05 * end.std())


@pytest.fixture(scope="module")
def clear() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Curves whose first evaluation ranks the runs as the last one does, and their table."""
    curves = pilot(np.random.default_rng(2), 40, 0.99)
    return curves, saving_table(curves, 8, generator=np.random.default_rng(3))


def test_a_clear_saving_is_claimed_from_one_budget_on(
    clear: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    table = clear[1]
    assert list(table.columns) == COLUMNS
    assert table["budget"].tolist() == list(range(1, 9))
    saves = table["saves"].to_numpy()
    assert 1 <= saves.sum() < 8
    # A claim holds for every larger budget, with its margin.
    assert np.array_equal(saves, np.sort(saves))
    assert (table.loc[saves, "gain_lower"] > 0).all()
    np.testing.assert_allclose(
        table["gain"], table["split_half"] - table["split_half_baseline"], atol=1e-12
    )


def test_losses_mirror_scores(clear: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    curves, up = clear
    losses = curves.assign(score=-curves["score"])
    down = saving_table(losses, 8, generator=np.random.default_rng(3), lower_is_better=True)
    for column in ("gain", "gain_lower", "saves"):
        pd.testing.assert_series_equal(down[column], up[column])
    np.testing.assert_allclose(down["split_half"], -up["split_half"])


def test_pools_that_are_too_small_have_no_rows() -> None:
    curves = pilot(np.random.default_rng(2), 9, 0.9)
    assert saving_table(curves, 5, generator=np.random.default_rng(0)).empty
    assert len(saving_table(curves, 4, generator=np.random.default_rng(0))) == 4


def test_four_runs_have_no_plan_within_a_half() -> None:
    """Two runs, one of them continued, cost less than two trainings: no plan costs the budget."""
    curves = pilot(np.random.default_rng(2), 4, 0.9)
    generator = np.random.default_rng(0)
    table = early_stopping_table(curves, budgets=[1, 2], generator=generator)
    assert table["split_half_plans"].tolist() == [0, 0]
    assert table["split_half_most"].tolist() == [2, 2]
    assert not saving_table(curves, 2, generator=generator)["saves"].any()


@pytest.mark.stat
@pytest.mark.slow
@pytest.mark.parametrize("correlation", [0.0, 0.15])
def test_no_saving_is_claimed_where_there_is_none(correlation: float) -> None:
    """200 pilots of 25 runs, where no plan truly gains: at most 6 % of them claim a saving.

    The simulated rate is below .01 (experiments/inference). At a true rate of .05 the test would fail
    with a chance of .20, at .01 with one below 1e-6.
    """
    rng = np.random.default_rng(5)
    tables = [saving_table(pilot(rng, 25, correlation), 10, generator=rng) for _ in range(200)]
    assert np.mean([table["saves"].any() for table in tables]) <= 0.06
