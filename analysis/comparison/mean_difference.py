"""Differences of mean scores with intervals and p-values, under three designs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import t as student

from analysis.checks import check_probability
from analysis.rounding import ROUNDING
from analysis.variance.grid_mean import grid_mean

Floats = npt.NDArray[np.float64]
MINIMUM_PAIRS = 2


@dataclasses.dataclass(frozen=True)
class MeanDifference:
    """A difference of means (B minus A) with its interval and two-sided p-value.

    NaN where there are fewer than two runs on a side (or two pairs), or where
    no score varies, so the standard error is 0.
    """

    difference: float
    lower: float
    upper: float
    p_value: float
    df: float


def welch_difference(a: npt.ArrayLike, b: npt.ArrayLike, *, level: float = 0.95) -> MeanDifference:
    """Difference of means of two independent samples by Welch's t-test."""
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if len(x) < 2 or len(y) < 2:
        return _unknown(x, y)
    parts = np.array([x.var(ddof=1) / len(x), y.var(ddof=1) / len(y)])
    error = parts.sum()
    if _negligible(error, x, y):
        return _unknown(x, y)
    df = float(error**2 / (parts**2 / (np.array([len(x), len(y)]) - 1)).sum())
    return _difference(float(y.mean() - x.mean()), float(error) ** 0.5, df, level)


def paired_difference(a: npt.ArrayLike, b: npt.ArrayLike, *, level: float = 0.95) -> MeanDifference:
    """Mean of the differences within pairs by the paired t-test."""
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if len(x) != len(y):
        raise ValueError(f"pairs need equal lengths, got {len(x)} and {len(y)}.")
    if len(x) < MINIMUM_PAIRS:
        return _unknown(x, y)
    gaps = y - x
    error = gaps.var(ddof=1) / len(gaps)
    if _negligible(error, x, y):
        return _unknown(x, y)
    return _difference(float(gaps.mean()), float(error) ** 0.5, len(gaps) - 1.0, level)


def crossed_difference(pairs: pd.DataFrame, *, level: float = 0.95) -> MeanDifference:
    """Mean of the differences within cells of one grid, whose runs share init and order seeds.

    Parameters
    ----------
    pairs : DataFrame
        ``init_seed, order_seed, a, b``, one row per cell that both recipes have.
    level : float in (0, 1)

    Returns
    -------
    MeanDifference
        By `analysis.variance.grid_mean`: the seeds' effects on the two recipes may differ, and runs
        of a row (or column) share them. NaN but for the difference where the common cells form no
        complete grid of at least 2 x 2, or where no difference varies.
    """
    x, y = pairs["a"].to_numpy(np.float64), pairs["b"].to_numpy(np.float64)
    gaps = difference_grid(pairs)
    if gaps is None:
        return _unknown(x, y)
    found = grid_mean(gaps, level=level)
    if _negligible(float(found.error) ** 2, x, y) or not found.error > 0:
        return _unknown(x, y)
    return MeanDifference(
        *(float(v) for v in (found.mean, found.lower, found.upper, found.p_value, found.df))
    )


def difference_grid(pairs: pd.DataFrame) -> Floats | None:
    """Differences B minus A, init by order seeds; None without a complete grid of at least 2 x 2.

    Parameters
    ----------
    pairs : DataFrame
        As for `crossed_difference`.
    """
    a, b = pairs["init_seed"].nunique(), pairs["order_seed"].nunique()
    if min(a, b) < 2 or len(pairs) != a * b:
        return None
    ordered = pairs.sort_values(["init_seed", "order_seed"])
    return np.asarray((ordered["b"] - ordered["a"]).to_numpy(np.float64).reshape(a, b))


def primary_test(row: Mapping[Any, Any]) -> tuple[str, str]:
    """The test that fits the design of a row of `compare.compare`.

    Returns
    -------
    prefix, name : str
        Prefix of the test's columns, and its name in a sentence.
    """
    for prefix, name in (
        ("crossed", "crossed test for recipes on one grid of seeds"),
        ("paired", "t test of pairs"),
    ):
        if math.isfinite(row.get(f"{prefix}_p", math.nan)):
            return prefix, name
    return "welch", "Welch's t test"


def _difference(difference: float, error: float, df: float, level: float) -> MeanDifference:
    check_probability("level", level)
    half = float(student.ppf(0.5 + level / 2, df)) * error
    p_value = 2 * float(student.sf(abs(difference) / error, df))
    return MeanDifference(difference, difference - half, difference + half, p_value, df)


def _negligible(squared_error: float, x: Floats, y: Floats) -> bool:
    """Whether a variance is no more than rounding of the scores."""
    scale = max(float(np.abs(x).max()), float(np.abs(y).max()))
    return squared_error <= (ROUNDING * scale) ** 2


def _unknown(x: Floats, y: Floats) -> MeanDifference:
    nan = float("nan")
    gap = float(y.mean() - x.mean()) if len(x) and len(y) else nan
    return MeanDifference(gap, nan, nan, nan, nan)
