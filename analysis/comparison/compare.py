"""Recipes or models over seeds, compared in every way that holds up, in one table.

Runs are paired by (init, order) where both grids have the cell. Failed runs
count with their scores: a recipe that fails less often is better for it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import levene

from analysis.best_of_n.curve_crossings import best_of_n_crossings
from analysis.checks import check_choice
from analysis.comparison.exchanges import exchange_test
from analysis.comparison.improvement import Improvement, probability_of_improvement
from analysis.comparison.mean_difference import (
    MINIMUM_PAIRS,
    MeanDifference,
    crossed_difference,
    difference_grid,
    paired_difference,
    welch_difference,
)
from analysis.comparison.pairing import Contrast, Factor, contrasts
from analysis.comparison.stochastic_order import almost_stochastic_order
from analysis.data.study import Study
from analysis.rounding import ROUNDING, varies

Floats = npt.NDArray[np.float64]


def compare(
    study: Study,
    generator: np.random.Generator,
    *,
    by: Factor = "recipe",
    baseline: str | None = None,
    value: str = "score",
    level: float = 0.95,
    gamma: float = 0.75,
) -> pd.DataFrame:
    """Comparisons by scores, one row per pair of recipes (or models).

    Parameters
    ----------
    study : Study
        Only its complete runs are used.
    generator : numpy Generator
        For the bootstrap of the stochastic order; its children draw exchanges of recipes.
    by, baseline, value
        As in `pairing.contrasts`.
    level : float in (0, 1)
        Nominal coverage of the intervals, before any correction for many.
    gamma : float in (0.5, 1)
        Threshold of a meaningful probability of improvement.

    Returns
    -------
    DataFrame
        ``task``, ``model`` (or ``recipe``), ``a, b, n_a, n_b, n_failed_a,
        n_failed_b, n_pairs, mean_a, mean_b``; ``welch_*``, ``paired_*`` and ``crossed_*``
        (``difference, lower, upper, p, holm``), in the metric's own units, B
        minus A; ``crossed_df``. The crossed columns are empty where the common cells form no
        complete grid of at least 2 x 2, as with seeds that move together. ``rowcol_p, rowcol_floor``: the
        permutation test of whole rows and columns on the same grids, and the smallest p-value that
        so many seeds can give; ``improvement*`` (P(B beats A), higher is B better whatever the
        metric's direction; paired if there are two pairs or more, with an interval that knows
        which pairs share seeds);
        ``significant`` and ``meaningful`` (B over A), ``significant_reverse`` and
        ``meaningful_reverse`` (A over B); ``violation_ratio`` and ``epsilon_min`` of "B dominates A", and
        ``epsilon_min_reverse`` of "A dominates B"; ``levene_p`` (mean-centred),
        ``brown_forsythe_p`` (median-centred) and its ``holm``; ``crossings``
        (numbers of runs n from which the other best-of-n curve leads, as text).
        Holm's correction is over all rows of the table.

    Notes
    -----
    The t-tests take runs (or pairs of runs) as independent. Runs of a grid that share a seed are not independent when that seed matters: on
    grids of 5 x 5 to 25 x 25 runs with an order share of .25, Welch's and the paired test reject
    two equal recipes in 16 to 52% of all cases, the crossed test in 3 to 6%
    (`experiments/inference`). The crossed test is the one to report where it exists. The
    exchange of recipes (`exchanges.exchange_test`) is a second opinion without a normal distribution.
    """
    rows = []
    for contrast in contrasts(study, by=by, baseline=baseline, value=value):
        rows.append(_row(contrast, by, generator, level, gamma))
    table = pd.DataFrame(rows)
    for column in ("welch", "paired", "crossed", "brown_forsythe"):
        if len(table):
            table[f"{column}_holm"] = holm(table[f"{column}_p"].to_numpy(dtype=np.float64))
    return table


def holm(p_values: npt.ArrayLike) -> Floats:
    """Holm's adjusted p-values; NaN entries are no tests and stay NaN.

    Parameters
    ----------
    p_values : 1D array of floats in [0, 1] or NaN

    Returns
    -------
    array of float64
        Each at least its p-value; those at most alpha are significant with a
        familywise error of at most alpha.
    """
    p = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(p.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * p[order]), 1.0)
    return adjusted


def _row(
    contrast: Contrast, by: Factor, generator: np.random.Generator, level: float, gamma: float
) -> dict[str, object]:
    a, b = contrast.scores_a, contrast.scores_b
    pair_a = contrast.pairs["a"].to_numpy(dtype=np.float64)
    pair_b = contrast.pairs["b"].to_numpy(dtype=np.float64)
    sign = contrast.sign
    row = contrast.labels(by) | {
        "n_a": len(a),
        "n_b": len(b),
        "n_failed_a": int(contrast.runs_a["failed"].sum()),
        "n_failed_b": int(contrast.runs_b["failed"].sum()),
        "n_pairs": len(pair_a),
        "mean_a": sign * float(a.mean()),
        "mean_b": sign * float(b.mean()),
    }
    row |= _named("welch", welch_difference(sign * a, sign * b, level=level))
    row |= _named("paired", paired_difference(sign * pair_a, sign * pair_b, level=level))
    cells = contrast.pairs.assign(a=sign * pair_a, b=sign * pair_b)
    row |= _named("crossed", crossed := crossed_difference(cells, level=level))
    row["crossed_df"] = crossed.df
    row |= _exchanged(cells, crossed, generator)
    paired = len(pair_a) >= MINIMUM_PAIRS
    samples = (pair_a, pair_b) if paired else (a, b)
    gain = probability_of_improvement(
        *samples, paired=paired, level=level, gamma=gamma, seeds=contrast.pairs if paired else None
    )
    row |= _gain(gain)
    forward = almost_stochastic_order(b, a, generator, level=level)
    back = almost_stochastic_order(a, b, generator, level=level)
    row["violation_ratio"] = forward.violation_ratio
    row["epsilon_min"] = forward.epsilon_min
    row["epsilon_min_reverse"] = back.epsilon_min
    row["levene_p"] = spread_test(a, b, center="mean")
    row["brown_forsythe_p"] = spread_test(a, b, center="median")
    row["crossings"] = ", ".join(str(n) for n in best_of_n_crossings(a, b))
    return row


def _exchanged(
    cells: pd.DataFrame, crossed: MeanDifference, generator: np.random.Generator
) -> dict[str, object]:
    """The second opinion, where there is a crossed test to have one on."""
    gaps = difference_grid(cells)
    # A child, so that the draws of the other columns stay.
    (child,) = generator.spawn(1)
    if gaps is None or np.isnan(crossed.p_value):
        return {"rowcol_p": float("nan"), "rowcol_floor": float("nan")}
    found = exchange_test(gaps, child)
    return {"rowcol_p": found.p_value, "rowcol_floor": found.p_floor}


def spread_test(a: Floats, b: Floats, *, center: str) -> float:
    """P-value of Levene's test ("mean") or Brown and Forsythe's ("median") of equal spread.

    NaN with fewer than two scores on a side, or where no score varies.
    """
    check_choice("center", center, ("mean", "median"))
    if len(a) < 2 or len(b) < 2 or not (varies(a) or varies(b)):
        return float("nan")
    # Two samples of equal absolute deviations have no error: scipy divides by zero.
    middle = np.mean if center == "mean" else np.median
    if all(np.ptp(np.abs(x - middle(x))) <= ROUNDING * np.abs(x).max() for x in (a, b)):
        return float("nan")
    return float(levene(a, b, center="mean" if center == "mean" else "median").pvalue)


def _gain(gain: Improvement) -> dict[str, object]:
    return {
        "improvement": gain.probability,
        "improvement_lower": gain.lower,
        "improvement_upper": gain.upper,
        "improvement_paired": gain.paired,
        "significant": gain.significant,
        "meaningful": gain.meaningful,
        "significant_reverse": gain.significant_reverse,
        "meaningful_reverse": gain.meaningful_reverse,
    }


def _named(test: str, found: MeanDifference) -> dict[str, object]:
    return {
        f"{test}_difference": found.difference,
        f"{test}_lower": found.lower,
        f"{test}_upper": found.upper,
        f"{test}_p": found.p_value,
    }
