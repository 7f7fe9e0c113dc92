"""Exchanges of two recipes in whole rows and columns of a grid of seeds."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy.stats import permutation_test

from analysis.comparison.compare import compare
from analysis.comparison.exchanges import exchange_test
from analysis.data.score_table import read_table
from analysis.errors import DesignError
from analysis.variance.henderson import cell_table, components
from tests.suites.made_grids import grid_frame


def share_as_large(d: np.ndarray, scale: float) -> float:
    """Every exchange one by one; `scale` is the factor k of the column effects."""
    a, b = d.shape
    effects = scale * (d.mean(axis=0) - d.mean())
    signs = [(1, -1)]
    found = [
        abs(
            sum(s * r for s, r in zip(turned, d.mean(axis=1), strict=False)) / a
            + sum(t * c for t, c in zip(turned[a:], effects, strict=True)) / b
        )
        for turned in itertools.product(*(signs * (a + b)))
    ]
    return float(np.mean(np.array(found) >= abs(d.mean()) - 1e-12))


def scale_of(d: np.ndarray, factor: str) -> float:
    """Square root of the component's variance over the variance of the seeds' means."""
    if factor == "init":
        return scale_of(d.T, "order")
    found = components(cell_table(grid_frame(d)))
    return float(np.sqrt(max(found["order"], 0.0) / d.mean(axis=0).var()))


@pytest.mark.parametrize(("a", "b", "order"), [(3, 4, 0.0), (4, 3, 1.0), (5, 5, 2.0)])
def test_small_grids_are_listed(a: int, b: int, order: float) -> None:
    rng = np.random.default_rng([a, b])
    d = 0.6 + rng.normal(size=(a, b)) + order * rng.normal(size=b)
    found = exchange_test(d, np.random.default_rng(0))
    sides = [
        share_as_large(d, scale_of(d, "order")),
        share_as_large(d.T, scale_of(d, "init")),
    ]
    assert found.p_value == pytest.approx(max(sides))
    # Listed, so that the generator decides nothing.
    assert found == exchange_test(d, np.random.default_rng(1))


def test_without_components_it_is_the_sign_test_of_the_seeds_means() -> None:
    """Oracle: scipy's sign test, for rows and for columns; the larger p-value counts."""
    rows, columns = np.array([0.5, 0.2, 0.9, -0.6, 0.8]), np.array([0.3, -0.4, 0.1, 0.0, -0.1, 0.1])
    # The remainder of the mean squares is larger than those of rows and columns.
    rest = 9.0 * np.random.default_rng(5).normal(size=(5, 6))
    rest -= rest.mean(axis=0)
    rest -= rest.mean(axis=1, keepdims=True)
    d = rows[:, None] + columns[None, :] + rest
    expected = [
        permutation_test(
            (means, np.zeros(len(means))), lambda x, y: np.mean(x - y), permutation_type="samples"
        ).pvalue
        for means in (d.mean(axis=1), d.mean(axis=0))
    ]
    found = exchange_test(d, np.random.default_rng(0))
    assert found.p_value == pytest.approx(max(expected))
    assert found.p_floor == 2.0**-4


def test_random_exchanges_agree_with_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    d = 0.5 + np.random.default_rng(4).normal(size=(6, 6)) + np.arange(6) / 3
    listed = exchange_test(d, np.random.default_rng(0)).p_value
    monkeypatch.setattr("analysis.comparison.exchanges.MOST_LISTED", 1)
    drawn = exchange_test(d, np.random.default_rng(0), permutations=20_000).p_value
    # Four standard errors of a share: the false-alarm rate is below 1e-4, and the seed is fixed.
    assert drawn == pytest.approx(listed, abs=4 * (listed * (1 - listed) / 20_000) ** 0.5)


def test_the_floor_is_the_smallest_p_value() -> None:
    steps = 1e-3 * 2.0 ** np.arange(5)
    rest = 1e-5 * np.random.default_rng(0).normal(size=(5, 5))
    # Without seed effects 2 of 32 signs; with both, 16 of 32 and the two equal ones of the others.
    for d, floor in ((np.ones((5, 5)), 2 / 32), (1 + steps + steps[:, None] + rest, 17 / 512)):
        found = exchange_test(d, np.random.default_rng(0))
        assert found.p_value == pytest.approx(floor)
        assert found.p_floor == pytest.approx(floor)
    large = exchange_test(np.ones((20, 20)), np.random.default_rng(0))
    assert large.p_floor == large.p_value == 1e-4


def test_the_order_of_seeds_and_recipes_does_not_matter() -> None:
    d = np.random.default_rng(2).normal(size=(5, 6)) + 0.4
    one = exchange_test(d, np.random.default_rng(0)).p_value
    for other in (-d, d.T, d[::-1, [3, 1, 0, 2, 5, 4]]):
        assert exchange_test(other, np.random.default_rng(0)).p_value == pytest.approx(one)


def test_what_it_refuses() -> None:
    rng = np.random.default_rng(0)
    for bad in (np.ones((1, 4)), np.ones(4), np.full((2, 2), np.nan)):
        with pytest.raises(DesignError, match="a complete grid of finite numbers, at least 2 x 2"):
            exchange_test(bad, rng)
    assert np.isnan(exchange_test(np.zeros((3, 3)), rng).p_value)


def test_it_stands_beside_the_crossed_test() -> None:
    rng = np.random.default_rng(2)
    frames = [
        grid_frame(rng.normal(shift, 1.0, size=(6, 6)), task="t", recipe=name)
        for name, shift in (("x", 0.0), ("y", 3.0))
    ]
    runs = pd.concat(frames)
    row = compare(read_table(runs, majority=-9.0), np.random.default_rng(0)).iloc[0]
    assert row["rowcol_floor"] <= row["rowcol_p"] <= 0.05
    assert row["crossed_p"] < 0.05
    diagonal = runs[runs["init_seed"] == runs["order_seed"]]
    row = compare(read_table(diagonal, majority=-9.0), np.random.default_rng(0)).iloc[0]
    assert np.isnan([row["rowcol_p"], row["rowcol_floor"]]).all()


@pytest.mark.stat
def test_two_equal_recipes_rarely_differ() -> None:
    """300 grids of 7 x 7, shares .25 and .25: at most 9 % rejections at 5 %.

    The simulated size is .03 (experiments/inference); .09 is six standard errors above.
    """
    rng = np.random.default_rng(3)
    parts = [rng.normal(size=(300, *shape)) for shape in ((7, 1), (1, 7), (7, 7))]
    grids = 0.5 * parts[0] + 0.5 * parts[1] + 0.5**0.5 * parts[2]
    rejected = [exchange_test(d, rng).p_value <= 0.05 for d in grids]
    assert np.mean(rejected) <= 0.09
