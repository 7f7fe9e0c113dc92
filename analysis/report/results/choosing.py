"""The tables of the price of choosing: over seeds, over evaluations, over both."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from analysis.best_of_n.choosing_evaluations import (
    EvaluatedRuns,
    choosing_both_table,
    choosing_evaluations_table,
    evaluated_runs,
)
from analysis.best_of_n.choosing_table import choosing_table
from analysis.variance.mean_interval import mean_interval


def choosing_tables(
    runs: pd.DataFrame,
    curves: pd.DataFrame | None,
    generators: Sequence[np.random.Generator],
    lower_is_better: bool,
) -> dict[str, Callable[[], pd.DataFrame]]:
    """A function per table, by name; it may raise an `AnalysisError` with the reason for a gap.

    Parameters
    ----------
    runs : DataFrame
        Complete runs of one group with test scores.
    curves : DataFrame or None
        Their curves.
    generators : sequence of two numpy Generators
        For the bootstraps over seeds of ``choosing`` and ``choosing_both``.
    lower_is_better : bool
    """
    over_seeds, over_both = generators

    @functools.cache
    def evaluated() -> EvaluatedRuns:
        return evaluated_runs(runs, curves, lower_is_better=lower_is_better)

    return {
        "choosing": lambda: choosing_table(runs, over_seeds, lower_is_better=lower_is_better),
        "choosing_evaluations": lambda: choosing_evaluations_table(evaluated(), _interval),
        "choosing_both": lambda: choosing_both_table(evaluated(), over_both),
    }


def _interval(runs: pd.DataFrame) -> tuple[float, float]:
    found = mean_interval(runs, "test_score")
    return found.lower, found.upper
