"""Does a factor matter? Permutation tests that respect the other factor, and an F test.

The default test shuffles within the levels of the other factor. The tests of
Dodge et al. 2020 are kept as ``method="dodge2020"`` for replication. The published
p-value always comes with one that accounts for their selection.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from scipy.stats import f as fisher

from analysis.checks import check_choice
from analysis.data.study import Study
from analysis.errors import DesignError
from analysis.variance.arrangements import listed_sums, restricted_floor
from analysis.variance.henderson import cell_table, sums_of_squares
from analysis.variance.published_tests import dodge2020_tests
from analysis.variance.shuffles import (
    OTHER,
    as_large,
    coded,
    drawn_result,
    listed_result,
    rounding_of_squares,
    shuffle_blocks,
)


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
        Number of random shuffles, at least 99; small grids are listed instead.
    method : {"restricted", "dodge2020"}
        "restricted": `restricted_test` and `two_way_f_test`. "dodge2020": the
        range of the seeds' means under a shuffle of all cells, and the best
        against the worst seed, naive and selection-aware.

    Returns
    -------
    DataFrame
        ``task, model, recipe, factor, test, statistic, p_value, p_floor,
        n_runs, n_failed, note``. `p_floor` is the smallest p-value that these scores
        could give in any arrangement (0 for F tests): a grid whose floor is above .05 is too
        small to tell. It is the share of the arrangements that have the largest statistic,
        equal scores counted; for random shuffles it is at least 1/(permutations + 1). Where
        arrangements are too many to be listed and cells are missing or repeated, it is a
        lower bound, and so it is for the published tests. An impossible test has a NaN p-value
        and a note.
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
        ``test, statistic, p_value, p_floor``, valid under exchangeability within the other
        factor's levels. Where the grid has at most 20,000 arrangements (up to the names of the
        seeds), all of them are listed: p is the share that is at least the observed one, and
        exact. Else p = (1 + #{>= observed})/(B + 1) over B random shuffles.

    Raises
    ------
    DesignError
        The factor has fewer than two levels, or no level of the other factor
        holds two runs, so no shuffle exists.
    """
    y, rows, columns = coded(runs, factor, value, permutations)
    sizes = np.bincount(columns)
    if sizes.max() < 2:
        raise DesignError(
            f"no {OTHER[factor]} has runs of two {factor}s, so nothing can be shuffled "
            "within it; fill more cells of the grid."
        )
    y = y - (np.bincount(columns, weights=y) / sizes)[columns]
    counts = np.bincount(rows)
    observed = float(np.var(np.bincount(rows, weights=y) / counts))
    slack = rounding_of_squares(y)
    members = [np.flatnonzero(columns == level) for level in range(len(sizes))]
    blocks = [(y[inside], rows[inside]) for inside in members]
    sums = listed_sums(blocks, len(counts))
    if sums is not None:
        return listed_result(
            "restricted permutation", observed, np.var(sums / counts, axis=1), slack
        )
    n_as_large = 0
    for size in shuffle_blocks(permutations, len(counts) + int(sizes.max())):
        drawn = np.zeros((size, len(counts)))
        for values, labels in blocks:
            shuffled = generator.permuted(np.tile(values, (size, 1)), axis=1)
            if len(np.unique(labels)) == len(labels):
                drawn[:, labels] += shuffled
            else:
                np.add.at(drawn.T, labels, shuffled.T)
        n_as_large += int(as_large(np.var(drawn / counts, axis=1), observed, slack).sum())
    extreme = restricted_floor(blocks, len(counts))
    return drawn_result("restricted permutation", observed, n_as_large, permutations, extreme)


def two_way_f_test(runs: pd.DataFrame, factor: str, value: str = "score") -> dict[str, object]:
    """F test of one factor in the additive two-way model (type II sums of squares)."""
    ss = sums_of_squares(cell_table(runs, value))
    squares, levels = (ss.init, ss.n_init) if factor == "init_seed" else (ss.order, ss.n_order)
    if ss.residual == 0.0:
        raise DesignError("the additive fit leaves no residual, so there is no F test.")
    statistic = squares / (levels - 1) / (ss.residual / ss.df_residual)
    p_value = float(fisher.sf(statistic, levels - 1, ss.df_residual))
    return {"test": "two-way F", "statistic": statistic, "p_value": p_value, "p_floor": 0.0}
