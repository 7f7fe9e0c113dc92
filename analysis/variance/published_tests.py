"""The tests of Dodge et al. 2020, and the same with the selection of seeds accounted for."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import f as fisher

from analysis.errors import DesignError
from analysis.variance.arrangements import (
    MOST_LISTED,
    arrangements,
    number_of,
    number_up_to_names,
)
from analysis.variance.shuffles import (
    Floats,
    Indices,
    as_large,
    coded,
    drawn_result,
    listed_result,
    shuffle_blocks,
)


def dodge2020_tests(
    runs: pd.DataFrame,
    factor: str,
    generator: np.random.Generator,
    value: str = "score",
    permutations: int = 9_999,
) -> list[dict[str, object]]:
    """The tests of Dodge et al. 2020, as published and with selection accounted for.

    Returns
    -------
    list of three dicts as `restricted_test` returns
        "range of means (all cells shuffled)": largest minus smallest seed mean;
        its size falls far below its level when the other factor matters.
        "best against worst, naive": one-way F test of the seed with the highest
        against the one with the lowest mean, as published in table 4; it
        rejects for most grids in which seeds do not matter.
        "best against worst, selection-aware": the same statistic, with the best
        and worst chosen again within every shuffle of all cells.
    """
    y, rows, _ = coded(runs, factor, value, permutations)
    counts = np.bincount(rows)
    if counts.min() < 2:
        raise DesignError(
            f"one {factor} has a single run; best against worst needs two or more of each."
        )
    order = np.argsort(rows, kind="stable")
    y = y[order]
    starts = np.concatenate(([0], np.cumsum(counts)[:-1])).astype(np.intp)
    observed_range, observed_f, df = _range_and_f(y[None, :], starts, counts)
    gap, f = float(observed_range[0]), float(observed_f[0])
    naive = {
        "test": "best against worst, naive",
        "statistic": f,
        "p_value": float(fisher.sf(f, 1, df[0])),
        "p_floor": 0.0,
    }
    wide, aware = "range of means (all cells shuffled)", "best against worst, selection-aware"
    if number_up_to_names(counts.tolist()) <= MOST_LISTED:
        labels = arrangements(counts.tolist(), up_to_names=True)
        # Sorting the labels gives the places of the first seed's runs, then the second's.
        listed = y[np.argsort(labels, axis=1, kind="stable")]
        ranges, fs, _ = _range_and_f(listed, starts, counts)
        return [listed_result(wide, gap, ranges), naive, listed_result(aware, f, fs)]
    wider, stronger = 0, 0
    for size in shuffle_blocks(permutations, 2 * len(y)):
        shuffled = generator.permuted(np.tile(y, (size, 1)), axis=1)
        ranges, fs, _ = _range_and_f(shuffled, starts, counts)
        wider += int(as_large(ranges, gap).sum())
        stronger += int(as_large(fs, f).sum())
    return [
        drawn_result(wide, gap, wider, permutations, _range_floor(counts)),
        naive,
        drawn_result(aware, f, stronger, permutations),
    ]


def _range_floor(counts: npt.NDArray[np.intp]) -> float:
    """Share of the shuffles of all cells with the widest range of means; 0 where it is unknown.

    The best seed has the r largest scores and the worst the r smallest; the others' runs are in
    any order. Equal scores raise the share.
    """
    a, r = len(counts), int(counts[0])
    if (counts != r).any():
        return 0.0
    between = number_of([r] * (a - 2)) if a > 2 else 1
    return a * (a - 1) * between / number_of([r] * a)


def _range_and_f(
    y: Floats, starts: Indices, counts: npt.NDArray[np.intp]
) -> tuple[Floats, Floats, npt.NDArray[np.intp]]:
    """Range of the levels' means, F of best against worst, its residual degrees of freedom.

    `y` is (shuffles, runs), runs sorted by level.
    """
    means = np.add.reduceat(y, starts, axis=1) / counts
    within = np.add.reduceat(y**2, starts, axis=1) - counts * means**2
    best, worst = means.argmax(axis=1), means.argmin(axis=1)
    take = np.arange(len(y))
    gap = means[take, best] - means[take, worst]
    n_best, n_worst = counts[best], counts[worst]
    df = n_best + n_worst - 2
    between = gap**2 * n_best * n_worst / (n_best + n_worst)
    error = np.maximum(within[take, best] + within[take, worst], 0.0) / df
    f = np.divide(between, error, out=np.where(between > 0, np.inf, 0.0), where=error > 0)
    return gap, f, df
