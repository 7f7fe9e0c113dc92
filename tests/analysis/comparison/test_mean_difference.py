"""Differences of recipes on one grid of seeds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.comparison.compare import compare
from analysis.comparison.mean_difference import crossed_difference
from analysis.data.score_table import read_table
from analysis.variance.grid_mean import grid_mean
from tests.suites.made_grids import grid_frame


def pairs(a: np.ndarray, b: np.ndarray) -> pd.DataFrame:
    init, order = np.indices(a.shape)
    columns = {"init_seed": init.ravel(), "order_seed": order.ravel()}
    return pd.DataFrame(columns | {"a": a.ravel(), "b": b.ravel()})


def test_it_is_the_mean_of_the_grid_of_differences() -> None:
    a, b = np.random.default_rng(1).normal(size=(2, 4, 5))
    found = crossed_difference(pairs(a, b).sample(frac=1, random_state=1))
    expected = grid_mean(b - a)
    assert found.difference == pytest.approx(float(expected.mean))
    assert (found.lower, found.upper) == pytest.approx(
        (float(expected.lower), float(expected.upper))
    )
    assert (found.p_value, found.df) == pytest.approx((float(expected.p_value), float(expected.df)))


@pytest.mark.parametrize("cells", ["a missing cell", "one order seed", "seeds that move together"])
def test_other_designs_have_no_crossed_test(cells: str) -> None:
    frame = pairs(*np.random.default_rng(1).normal(size=(2, 4, 4)))
    kept = {
        "a missing cell": frame.iloc[1:],
        "one order seed": frame[frame["order_seed"] == 2],
        "seeds that move together": frame[frame["order_seed"] == frame["init_seed"]],
    }[cells]
    found = crossed_difference(kept)
    assert found.difference == pytest.approx((kept["b"] - kept["a"]).mean())
    assert np.isnan([found.lower, found.upper, found.p_value, found.df]).all()


def test_equal_differences_have_no_test() -> None:
    a = np.random.default_rng(1).normal(size=(3, 3)).round(3)
    assert np.isnan(crossed_difference(pairs(a, a + 0.1)).p_value)


def test_compare_has_the_columns_and_holm_over_them() -> None:
    rng = np.random.default_rng(2)
    frames = [
        grid_frame(rng.normal(shift, 1.0, size=(4, 4)), task="t", recipe=name)
        for name, shift in (("x", 0.0), ("y", 0.3), ("z", 3.0))
    ]
    table = compare(read_table(pd.concat(frames), majority=-9.0), np.random.default_rng(0))
    columns = [f"crossed_{name}" for name in ("difference", "lower", "upper", "df", "p", "holm")]
    assert table[columns].notna().all(axis=None)
    assert table["crossed_holm"].min() == pytest.approx(3 * table["crossed_p"].min())
    assert table["crossed_difference"].to_numpy() == pytest.approx(table["paired_difference"])


@pytest.mark.stat
def test_two_equal_recipes_rarely_differ() -> None:
    """500 grids of 5 x 5 with an order share of .5: at most 8 % rejections at 5 %.

    The simulated size is .036 (experiments/inference); .08 is five standard errors above.
    """
    rng = np.random.default_rng(3)
    order, rest = rng.normal(size=(2, 500, 1, 5)), rng.normal(size=(2, 500, 5, 5))
    a, b = np.sqrt(0.5) * (order + rest)
    rejected = [crossed_difference(pairs(x, y)).p_value < 0.05 for x, y in zip(a, b, strict=True)]
    assert np.mean(rejected) <= 0.08
