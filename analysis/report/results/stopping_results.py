"""The tables on early stopping of one group: ranks, plans, savings and replayed pruners."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from analysis.stopping.rank_correlation import fraction_correlations
from analysis.stopping.replay import replay_table
from analysis.stopping.saving import saving_table
from analysis.stopping.value import early_stopping_table

BUDGETS = range(1, 31)
# The budget of the answer, where half of the runs are as many.
REFERENCE = 10
# Replaying is slow, because the pruners keep their own records: few budgets, and small ones.
REPLAYED = (2, 3, 5, 8, 12)
# Halvings of large pools agree closely; small pools need more of them.
LARGE_POOL = 200
# Names of the tables.
TABLES = ("rank_correlation", "early_stopping", "saving", "replay")


def stopping_tables(
    curves: pd.DataFrame,
    generators: tuple[np.random.Generator, np.random.Generator, np.random.Generator],
    *,
    perfect_score: float,
    lower_is_better: bool,
) -> dict[str, Callable[[], pd.DataFrame]]:
    """Functions that make the tables named in `TABLES`.

    Parameters
    ----------
    curves : DataFrame
        Complete curves of one group, as for `early_stopping_table`, of two runs or more.
    generators : three numpy Generators
        For halves of the plans, of the savings, and for orders of arrival.
    perfect_score : float
        Score without error.
    lower_is_better : bool
    """
    halves, savings, orders = generators
    runs = int(curves["run"].nunique())
    splits = 2 if runs > LARGE_POOL else 5
    return {
        "rank_correlation": lambda: fraction_correlations(curves),
        "early_stopping": lambda: early_stopping_table(
            curves,
            generator=halves,
            budgets=BUDGETS,
            splits=splits,
            perfect_score=perfect_score,
            lower_is_better=lower_is_better,
        ),
        "saving": lambda: saving_table(
            curves,
            min(REFERENCE, runs // 2),
            generator=savings,
            splits=splits,
            lower_is_better=lower_is_better,
        ),
        "replay": lambda: replay_table(
            curves,
            generator=orders,
            budgets=[b for b in REPLAYED if b <= runs // 2],
            orders=10 if runs <= LARGE_POOL else 5,
            lower_is_better=lower_is_better,
        ),
    }
