"""Does a factor matter? Permutation tests that respect the other factor, and an F test.

The default test shuffles within the levels of the other factor. The tests of
Dodge et al. 2020 are kept as ``method="dodge2020"`` for replication. The published
p-value always comes with one that accounts for their selection.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import f as fisher

from analysis.checks import check_at_least, check_choice
from analysis.data.study import Study
from analysis.errors import DesignError
from analysis.variance.henderson import cell_table, sums_of_squares

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]
OTHER = {"init_seed": "order_seed", "order_seed": "init_seed"}
# Values per block of permutations: 32 MB of doubles.
BLOCK_VALUES = 4_000_000
# Equal statistics differ by rounding; discrete scores make equality common.
TIE = 1e-9


def factor_tests(
    study: Study,
    generator: np.random.Generator,
    *,
    value: str = "score",
    permutations: int = 9_999,
    method: Literal["restricted", "dodge2020"] = "restricted",
) -> pd.DataFrame:
    """Tests of init and of order in every group.

    Parameters
    ----------
    study : Study
        Only its complete runs are used.
    generator : numpy Generator
        Shuffles the runs.
    value : str
        Column of `Study.runs`; "failed" tests the failure indicator.
    permutations : int
        Number of random shuffles, at least 99.
    method : {"restricted", "dodge2020"}
        "restricted": `restricted_test` and `two_way_f_test`. "dodge2020": the
        range of the seeds' means under a shuffle of all cells, and the best
        against the worst seed, naive and selection-aware.

    Returns
    -------
    DataFrame
        ``task, model, recipe, factor, test, statistic, p_value, p_floor,
        n_runs, n_failed, note``. `p_floor` is the smallest p-value that the
        number of shuffles allows (0 for F tests). An impossible test has a NaN
        p-value and a note.
    """
    check_choice("method", method, ("restricted", "dodge2020"))
    rows: list[dict[str, object]] = []
    for key, part in study.groups():
        runs = part.complete_runs()
        runs = runs.assign(value=runs[value].astype("float64"))
        for factor in OTHER:
            facts: dict[str, object] = {**key._asdict(), "factor": factor}
            counts = {"n_runs": len(runs), "n_failed": int(runs["failed"].sum())}
            try:
                if method == "restricted":
                    found = [
                        restricted_test(runs, factor, generator, "value", permutations),
                        two_way_f_test(runs, factor, "value"),
                    ]
                else:
                    found = dodge2020_tests(runs, factor, generator, "value", permutations)
            except DesignError as error:
                nan = float("nan")
                rows.append(
                    facts
                    | {"test": method, "statistic": nan, "p_value": nan, "p_floor": nan}
                    | counts
                    | {"note": str(error)}
                )
                continue
            rows += [facts | test | counts | {"note": ""} for test in found]
    return pd.DataFrame(rows)


def restricted_test(
    runs: pd.DataFrame,
    factor: str,
    generator: np.random.Generator,
    value: str = "score",
    permutations: int = 9_999,
) -> dict[str, object]:
    """Permutation test of one factor that shuffles only within levels of the other.

    The statistic is the variance of the seeds' means, of scores centred within
    the levels of the other factor (which matters only where cells are missing).

    Parameters
    ----------
    runs : DataFrame
        One group's runs with ``init_seed, order_seed`` and `value`.
    factor : {"init_seed", "order_seed"}
        The factor to test.

    Returns
    -------
    dict
        ``test, statistic, p_value, p_floor``; p = (1 + #{>= observed})/(B + 1),
        valid under exchangeability within the other factor's levels.

    Raises
    ------
    DesignError
        The factor has fewer than two levels, or no level of the other factor
        holds two runs, so no shuffle exists.
    """
    y, rows, columns = _coded(runs, factor, value, permutations)
    sizes = np.bincount(columns)
    if sizes.max() < 2:
        raise DesignError(
            f"no {OTHER[factor]} has runs of two {factor}s, so nothing can be shuffled "
            "within it; fill more cells of the grid."
        )
    y = y - (np.bincount(columns, weights=y) / sizes)[columns]
    counts = np.bincount(rows)
    observed = float(np.var(np.bincount(rows, weights=y) / counts))
    members = [np.flatnonzero(columns == level) for level in range(len(sizes))]
    as_large = 0
    for size in _blocks(permutations, len(counts) + int(sizes.max())):
        sums = np.zeros((size, len(counts)))
        for inside in members:
            shuffled = generator.permuted(np.tile(y[inside], (size, 1)), axis=1)
            if len(np.unique(rows[inside])) == len(inside):
                sums[:, rows[inside]] += shuffled
            else:
                np.add.at(sums.T, rows[inside], shuffled.T)
        statistics = np.var(sums / counts, axis=1)
        as_large += int((statistics >= observed * (1 - TIE)).sum())
    return _result("restricted permutation", observed, as_large, permutations)


def two_way_f_test(runs: pd.DataFrame, factor: str, value: str = "score") -> dict[str, object]:
    """F test of one factor in the additive two-way model (type II sums of squares)."""
    ss = sums_of_squares(cell_table(runs, value))
    squares, levels = (ss.init, ss.n_init) if factor == "init_seed" else (ss.order, ss.n_order)
    if ss.residual == 0.0:
        raise DesignError("the additive fit leaves no residual, so there is no F test.")
    statistic = squares / (levels - 1) / (ss.residual / ss.df_residual)
    p_value = float(fisher.sf(statistic, levels - 1, ss.df_residual))
    return {"test": "two-way F", "statistic": statistic, "p_value": p_value, "p_floor": 0.0}


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
    y, rows, _ = _coded(runs, factor, value, permutations)
    counts = np.bincount(rows)
    if counts.min() < 2:
        raise DesignError(
            f"one {factor} has a single run; best against worst needs two or more of each."
        )
    order = np.argsort(rows, kind="stable")
    y = y[order]
    starts = np.concatenate(([0], np.cumsum(counts)[:-1])).astype(np.intp)
    observed_range, observed_f, df = _range_and_f(y[None, :], starts, counts)
    wider, stronger = 0, 0
    for size in _blocks(permutations, 2 * len(y)):
        shuffled = generator.permuted(np.tile(y, (size, 1)), axis=1)
        ranges, fs, _ = _range_and_f(shuffled, starts, counts)
        wider += int((ranges >= observed_range[0] * (1 - TIE)).sum())
        stronger += int((fs >= observed_f[0] * (1 - TIE)).sum())
    naive = float(fisher.sf(observed_f[0], 1, df[0]))
    return [
        _result(
            "range of means (all cells shuffled)", float(observed_range[0]), wider, permutations
        ),
        {
            "test": "best against worst, naive",
            "statistic": float(observed_f[0]),
            "p_value": naive,
            "p_floor": 0.0,
        },
        _result(
            "best against worst, selection-aware", float(observed_f[0]), stronger, permutations
        ),
    ]


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


def _coded(
    runs: pd.DataFrame, factor: str, value: str, permutations: int
) -> tuple[Floats, Indices, Indices]:
    check_choice("factor", factor, OTHER)
    check_at_least("permutations", permutations, 99)
    if runs[factor].nunique() < 2:
        raise DesignError(f"the grid has one {factor} only; a test needs at least two.")
    y = runs[value].to_numpy(dtype=np.float64)
    rows, _ = pd.factorize(runs[factor], sort=True)
    columns, _ = pd.factorize(runs[OTHER[factor]], sort=True)
    return y - y.mean(), rows.astype(np.intp), columns.astype(np.intp)


def _blocks(permutations: int, values: int) -> Iterator[int]:
    block = max(1, BLOCK_VALUES // values)
    for start in range(0, permutations, block):
        yield min(block, permutations - start)


def _result(test: str, statistic: float, as_large: int, permutations: int) -> dict[str, object]:
    return {
        "test": test,
        "statistic": statistic,
        "p_value": (1 + as_large) / (permutations + 1),
        "p_floor": 1 / (permutations + 1),
    }
