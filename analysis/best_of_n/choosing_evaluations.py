"""The price of choosing among the evaluations of a run: its best checkpoint, or its last one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.best_of_n.choosing_table import COLUMNS, choosing_table
from analysis.errors import TableError

Floats = npt.NDArray[np.float64]
Interval = Callable[[pd.DataFrame], tuple[float, float]]
"""(runs with seeds and ``test_score``) -> limits of an interval of the mean test score"""

UNRECORDED = (
    "no run has a test score at every evaluation. Train with diagnostics.test_curve=true, or give a "
    "table with a row per evaluation and its own test_score in each."
)


@dataclasses.dataclass(frozen=True)
class EvaluatedRuns:
    """The evaluations of some runs after step 0, each run's last one in the last column.

    Attributes
    ----------
    runs : DataFrame
        The R runs with a test score at every evaluation.
    dev, test : arrays of float64, shape (R, m)
        Scores in the metric's units. Runs with fewer than m evaluations are NaN on the left.
    sign : 1.0 or -1.0
        -1.0 where lower is better.
    """

    runs: pd.DataFrame
    dev: Floats
    test: Floats
    sign: float

    def best_of_last(self, n: int) -> tuple[Floats, Floats]:
        """Validation and test score of the best of each run's last n evaluations, shape (R,).

        Of equal validation scores the first counts, as for a run that keeps its best weights. A run
        with fewer evaluations chooses among all of them.
        """
        dev, test = self.dev[:, -n:], self.test[:, -n:]
        place = np.where(np.isnan(dev), -np.inf, self.sign * dev).argmax(axis=1)[:, None]
        return (
            np.take_along_axis(dev, place, axis=1)[:, 0],
            np.take_along_axis(test, place, axis=1)[:, 0],
        )


def evaluated_runs(
    runs: pd.DataFrame, curves: pd.DataFrame | None, *, lower_is_better: bool = False
) -> EvaluatedRuns:
    """The runs whose evaluations all have a test score.

    Parameters
    ----------
    runs : DataFrame
        Complete runs of one group: ``run, diverged, final_score, test_score`` and more.
    curves : DataFrame or None
        ``run, fraction, score, test_score``; evaluations at 0 are never chosen.
    lower_is_better : bool

    Raises
    ------
    TableError
        No run has a test score at every evaluation, or none has two evaluations.

    Notes
    -----
    A diverged run has no evaluations after the step at which its loss became NaN. Its chance scores,
    ``final_score`` and ``test_score``, stand in their place, up to the number of the longest run.
    """
    if curves is None or "test_score" not in curves:
        raise TableError(UNRECORDED)
    after = curves.loc[curves["fraction"] > 0].sort_values(["run", "fraction"], kind="stable")
    whole = after["test_score"].notna().groupby(after["run"]).all()
    known = runs.loc[runs["diverged"] | runs["run"].isin(whole.index[whole])]
    known = known.loc[known[["final_score", "test_score"]].notna().all(axis=1)]
    scores = dict(iter(after.groupby("run")))
    most = max((len(scores.get(run, ())) for run in known["run"]), default=0)
    if known.empty or most < 1:
        raise TableError(UNRECORDED)
    if most < 2:
        raise TableError(
            "the runs have one evaluation each. Evaluate more often (evaluation.per_epoch=5) to choose "
            "among evaluations."
        )
    dev, test = np.full((2, len(known), most), np.nan)
    for at, run in enumerate(known.to_dict("records")):
        own = scores.get(run["run"], after.iloc[:0])
        lost = most - len(own) if run["diverged"] else 0
        start = most - len(own) - lost
        for row, column, chance in (
            (dev[at], "score", run["final_score"]),
            (test[at], "test_score", run["test_score"]),
        ):
            made = own[column].fillna(chance) if run["diverged"] else own[column]
            row[start:] = [*made, *[chance] * lost]
    return EvaluatedRuns(known.reset_index(drop=True), dev, test, -1.0 if lower_is_better else 1.0)


def choosing_evaluations_table(evaluated: EvaluatedRuns, interval: Interval) -> pd.DataFrame:
    """Mean validation and test score of runs that are reported at the best of their last n evaluations.

    Parameters
    ----------
    evaluated : EvaluatedRuns
        With ``task`` and ``recipe`` in its runs.
    interval : Interval
        Of the mean over seeds.

    Returns
    -------
    DataFrame
        ``task, recipe, n, expected_dev, expected_test, mean_test, gap, test_lower, test_upper`` in the
        metric's units, for n from 1 (the last evaluation) to the number of evaluations. ``mean_test``
        is the mean test score at the last evaluation. ``gap`` is ``expected_dev - expected_test``,
        with its sign flipped where lower is better.
    """
    ns = range(1, evaluated.dev.shape[1] + 1)
    rows = []
    for n in ns:
        dev, test = evaluated.best_of_last(n)
        lower, upper = interval(evaluated.runs.assign(test_score=test))
        rows.append((n, dev.mean(), test.mean(), lower, upper))
    columns = ["n", "expected_dev", "expected_test", "test_lower", "test_upper"]
    table = pd.DataFrame(rows, columns=columns)
    return _finished(table, evaluated)


def choosing_both_table(
    evaluated: EvaluatedRuns, generator: np.random.Generator, *, level: float = 0.95
) -> pd.DataFrame:
    """Expected scores of the best of n runs, each at the best of all its evaluations.

    Parameters
    ----------
    evaluated : EvaluatedRuns
        With ``task, recipe, init_seed, order_seed`` in its runs.
    generator : numpy Generator
        For the bootstrap over seeds.
    level : float in (0, 1)

    Returns
    -------
    DataFrame
        As of `choosing_evaluations_table`, for n from 1 to the number of runs. The expectations and
        the interval are those of `choosing_table.choosing_table` for the best evaluations.
    """
    dev, test = evaluated.best_of_last(evaluated.dev.shape[1])
    runs = evaluated.runs.assign(score=dev, test_score=test)
    table = choosing_table(runs, generator, level=level, lower_is_better=evaluated.sign < 0)
    return _finished(table, evaluated)


def _finished(table: pd.DataFrame, evaluated: EvaluatedRuns) -> pd.DataFrame:
    named = evaluated.runs[["task", "recipe"]].iloc[0]
    gap = evaluated.sign * (table["expected_dev"] - table["expected_test"])
    mean = float(evaluated.test[:, -1].mean())
    return table.assign(**named, mean_test=mean, gap=gap)[COLUMNS]
