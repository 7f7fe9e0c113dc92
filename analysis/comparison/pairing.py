"""Which runs of two recipes or models may be compared, and which of them are pairs."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.checks import check_choice
from analysis.data.study import Study
from analysis.errors import TableError

Floats = npt.NDArray[np.float64]
Factor = Literal["recipe", "model"]
CELL = ["init_seed", "order_seed"]


@dataclasses.dataclass(frozen=True)
class Contrast:
    """Two groups that differ in their recipe (or model) only.

    ``runs_a`` and ``runs_b`` are all complete runs, with the column ``value``
    turned so that higher is better; ``pairs`` has one row per cell that both
    have (``init_seed, order_seed, a, b``), repeats of a cell averaged. ``sign``
    is -1.0 where lower is better in the source.
    """

    task: str
    fixed: str
    a: str
    b: str
    runs_a: pd.DataFrame
    runs_b: pd.DataFrame
    pairs: pd.DataFrame
    sign: float

    @property
    def scores_a(self) -> Floats:
        """All scores of A, higher better."""
        return self.runs_a["value"].to_numpy(dtype=np.float64)

    @property
    def scores_b(self) -> Floats:
        """All scores of B, higher better."""
        return self.runs_b["value"].to_numpy(dtype=np.float64)

    def labels(self, by: Factor) -> dict[str, object]:
        """The columns that name the contrast in a table."""
        fixed = "model" if by == "recipe" else "recipe"
        return {"task": self.task, fixed: self.fixed, "a": self.a, "b": self.b}


def contrasts(
    study: Study, *, by: Factor = "recipe", baseline: str | None = None, value: str = "score"
) -> Iterator[Contrast]:
    """Every two recipes (or models) of the same task and model (or recipe).

    Parameters
    ----------
    study : Study
        Only complete runs are used; a group without any is left out.
    by : {"recipe", "model"}
        Column to compare.
    baseline : str, optional
        Compare every other level with this one (as A) instead of all pairs.
    value : str
        Column of `Study.runs`.

    Raises
    ------
    TableError
        The study does not hold the baseline, or two groups to be compared have
        different metrics or directions.
    """
    check_choice("by", by, ("recipe", "model"))
    fixed = "model" if by == "recipe" else "recipe"
    runs = study.complete_runs()
    if baseline is not None and baseline not in set(runs[by]):
        raise TableError(
            f"the baseline {baseline!r} is no {by} of the study; "
            f"allowed: {', '.join(sorted(set(runs[by])))}."
        )
    runs = runs.assign(value=runs[value].astype("float64"))
    for (task, other), part in runs.groupby(["task", fixed], sort=False):
        levels = {str(level): group for level, group in part.groupby(by, sort=False)}
        if baseline is None:
            chosen = list(itertools.combinations(levels, 2))
        elif baseline in levels:
            chosen = [(baseline, level) for level in levels if level != baseline]
        else:
            chosen = []
        for a, b in chosen:
            yield _contrast(str(task), str(other), a, b, levels[a], levels[b])


def _contrast(
    task: str, fixed: str, a: str, b: str, runs_a: pd.DataFrame, runs_b: pd.DataFrame
) -> Contrast:
    measured = {
        (m, bool(h))
        for part in (runs_a, runs_b)
        for m, h in zip(part["metric"], part["higher_is_better"], strict=True)
    }
    if len(measured) > 1:
        names = ", ".join(f"{m} ({'higher' if h else 'lower'} is better)" for m, h in measured)
        raise TableError(
            f"{a} and {b} on {task} are measured differently: {names}; "
            "compare runs of one metric and direction."
        )
    sign = 1.0 if next(iter(measured))[1] else -1.0
    runs_a = runs_a.assign(value=sign * runs_a["value"]).reset_index(drop=True)
    runs_b = runs_b.assign(value=sign * runs_b["value"]).reset_index(drop=True)
    pairs = common_cells(runs_a, runs_b, "value")
    return Contrast(task, fixed, a, b, runs_a, runs_b, pairs, sign)


def common_cells(a: pd.DataFrame, b: pd.DataFrame, value: str) -> pd.DataFrame:
    """The cells that both have: ``init_seed, order_seed, a, b``; repeats of a cell are averaged."""
    cells = [part.groupby(CELL)[value].mean() for part in (a, b)]
    return pd.concat(cells, axis=1, join="inner", keys=["a", "b"]).reset_index()
