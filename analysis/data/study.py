"""The labelled input of every analysis: frames of runs, curves, steps and predictions.

A :class:`Study` never reads files (see :mod:`analysis.data.score_table` and
:mod:`analysis.data.exported`) and never changes the frames it was given.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from analysis.errors import TableError

Score = Literal["best", "final", "test"]
"""the best evaluation after step 0, the last one, or the test score"""
GROUP_COLUMNS = ("task", "model", "recipe")
SEED_COLUMNS = (
    "init_seed",
    "order_seed",
    "dropout_seed",
    "mixout_seed",
    "mask_seed",
    "augment_seed",
    "subsample_seed",
)
FAILED_STATUSES = frozenset({"failed", "diverged"})
COMPLETE_STATUSES = FAILED_STATUSES | {"finished"}


class Group(NamedTuple):
    """Task, model and recipe of a grid of seeds."""

    task: str
    model: str
    recipe: str


@dataclasses.dataclass(frozen=True)
class Study:
    """Runs of one or several grids of seeds, with their curves and predictions.

    Attributes
    ----------
    runs : DataFrame
        One row per run, index 0..R-1, with at least the columns ``run`` (str,
        unique), ``task``, ``model``, ``recipe`` (str), ``init_seed``,
        ``order_seed`` (int), ``status`` (str), ``complete`` (bool: finished, failed
        or diverged, as opposed to stopped early or still running), ``failed`` (bool:
        the final score does not beat ``majority``, or the loss became NaN),
        ``diverged`` (bool: a score was missing because the loss became NaN, and
        stands at ``majority``), ``score`` (the one the analyses use, which the
        attribute `score` names), ``final_score``,
        ``best_score`` (the best of all evaluations, step 0 included),
        ``metric`` (str), ``higher_is_better`` (bool),
        ``majority`` (float, NaN where unknown) and ``n_examples`` (float, NaN
        where unknown). Further columns of the source are kept.
    curves : DataFrame or None
        ``run, fraction, epoch, step, score``, sorted by run and fraction;
        ``fraction`` is in [0, 1], ``epoch`` and ``step`` may be NaN. ``test_score`` stands beside
        ``score`` where the test set was scored at every evaluation.
    steps : DataFrame or None
        ``run, step, train_loss`` and what else was recorded.
    predictions : DataFrame or None
        ``run, example, label, logits`` (a list of floats per row), and ``cluster`` and
        ``text`` of the example or not; see `analysis.comparison.examples`.
    profiles : DataFrame or None
        ``run, step, name, depth, value``: diagnostics by depth. Depth 0 is the
        embeddings, i the i-th layer, the highest one head and pooler.
    representations : DataFrame or None
        ``run, depth, example, values`` (an array of floats per row): first tokens
        after the last step; depth i is the output of the i-th layer.
    untested : DataFrame or None
        Complete runs that have no test score, where `score` is "test". They are in no other frame.
    test_predictions : DataFrame or None
        As ``predictions``, for the examples of the test set.
    rates : DataFrame or None
        ``setting, step, depth, rate``: learning rates by setting (a column of `runs`); no depth
        where all depths have one rate.
    score : {"best", "final", "test"}
        Which score of a run is its ``score``: the best evaluation after step 0 where evaluations
        exist, the last one, or the test score. Curves, ``final_score``, ``best_score``, ``failed``,
        ``majority`` and predictions are always those of the validation set.
    settings : tuple of str
        Columns of `runs` that hold settings of the configuration: what a sweep may vary. Runs of
        one recipe have one value of each; ``recipe_name`` is the recipe without them.
    """

    runs: pd.DataFrame
    curves: pd.DataFrame | None = None
    steps: pd.DataFrame | None = None
    predictions: pd.DataFrame | None = None
    profiles: pd.DataFrame | None = None
    representations: pd.DataFrame | None = None
    untested: pd.DataFrame | None = None
    rates: pd.DataFrame | None = None
    score: Score = "best"
    test_predictions: pd.DataFrame | None = None
    settings: tuple[str, ...] = ()

    def complete_runs(self) -> pd.DataFrame:
        """Runs that were trained to their end.

        Only these may enter means, variances, comparisons, failure rates and
        the expected maximum. A run that was stopped early was selected by its
        own score: including or omitting it biases the estimate.
        """
        return self.runs.loc[self.runs["complete"]].reset_index(drop=True)

    def incomplete_runs(self) -> pd.DataFrame:
        """Runs that were stopped early or have not ended; see `complete_runs`."""
        return self.runs.loc[~self.runs["complete"]].reset_index(drop=True)

    def complete_curves(self) -> pd.DataFrame | None:
        """Curves of the complete runs, which early-stopping estimates use."""
        return _of_runs(self.curves, self.complete_runs())

    def group_keys(self) -> list[Group]:
        """The (task, model, recipe) groups, in order of first appearance."""
        keys = self.runs[list(GROUP_COLUMNS)].drop_duplicates()
        return [Group(*row) for row in keys.itertuples(index=False, name=None)]

    def groups(self) -> Iterator[tuple[Group, Study]]:
        """Each (task, model, recipe) with its part of the study."""
        for key in self.group_keys():
            yield key, self.subset(task=key.task, model=key.model, recipe=key.recipe)

    def subset(
        self, *, task: str | None = None, model: str | None = None, recipe: str | None = None
    ) -> Study:
        """The runs of one task, model and/or recipe, with their curves and predictions."""
        keep = np.ones(len(self.runs), dtype=bool)
        for column, value in (("task", task), ("model", model), ("recipe", recipe)):
            if value is not None:
                matches = (self.runs[column] == value).to_numpy(dtype=bool)
                if not matches.any():
                    known = ", ".join(sorted(set(self.runs[column])))
                    raise TableError(f"no run has {column} {value!r}; the study holds: {known}.")
                keep &= matches
        return self.of_runs(pd.Series(keep))

    def of_runs(self, keep: pd.Series) -> Study:
        """The runs that are marked in `keep`, a flag per run, with what belongs to them.

        Runs without a test score are no part of it: `untested` of the whole study has them.
        """
        runs = self.runs.loc[keep.to_numpy(dtype=bool)].reset_index(drop=True)
        return Study(
            runs=runs,
            curves=_of_runs(self.curves, runs),
            steps=_of_runs(self.steps, runs),
            predictions=_of_runs(self.predictions, runs),
            test_predictions=_of_runs(self.test_predictions, runs),
            profiles=_of_runs(self.profiles, runs),
            representations=_of_runs(self.representations, runs),
            rates=_of_settings(self.rates, runs),
            score=self.score,
            settings=self.settings,
        )

    def repeats_exactly(self) -> bool:
        """Whether a run of these seeds would have the same bits: all runs are seedlab's own.

        Its exported tables alone hold the hash of all settings. Elsewhere runs with
        equal seeds may differ.
        """
        return "setting" in self.runs and bool(self.runs["setting"].notna().all())

    def dropout_follows_order(self) -> bool:
        """Whether every run's dropout masks are known to have the seed of its order."""
        runs = self.runs
        return "dropout_seed" in runs and bool(
            runs["dropout_seed"].eq(runs["order_seed"]).fillna(False).all()
        )

    def grid(self, column: str = "score") -> pd.DataFrame:
        """One group's complete runs as a matrix, init seeds by order seeds.

        Cells without a complete run are NaN, never dropped; repeats of a cell are
        averaged.

        Raises
        ------
        TableError
            The study holds more than one (task, model, recipe).
        """
        keys = self.group_keys()
        if len(keys) != 1:
            raise TableError(
                f"a grid belongs to one (task, model, recipe), but the study holds {len(keys)}; "
                "take one with subset() or groups()."
            )
        cells = self.complete_runs().pivot_table(
            index="init_seed", columns="order_seed", values=column, aggfunc="mean"
        )
        rows, columns = (sorted(set(self.runs[c])) for c in ("init_seed", "order_seed"))
        return cells.reindex(
            index=pd.Index(rows, name="init_seed"), columns=pd.Index(columns, name="order_seed")
        )


def _of_runs(frame: pd.DataFrame | None, runs: pd.DataFrame) -> pd.DataFrame | None:
    if frame is None:
        return None
    part = frame.loc[frame["run"].isin(runs["run"])].reset_index(drop=True)
    return None if part.empty else part


def _of_settings(rates: pd.DataFrame | None, runs: pd.DataFrame) -> pd.DataFrame | None:
    if rates is None or "setting" not in runs:
        return None
    part = rates.loc[rates["setting"].isin(runs["setting"])].reset_index(drop=True)
    return None if part.empty else part


def concat_studies(studies: Sequence[Study]) -> Study:
    """Several studies as one.

    A run name that several studies use for different cells is made unique by
    the number of its study (``2/run``); the same cell in two studies is refused.

    Raises
    ------
    TableError
        No study was given, they were read for several kinds of scores, or a cell occurs in two of
        them.
    """
    if not studies:
        raise TableError("no study was given; allowed: one or more.")
    kinds = sorted({study.score for study in studies})
    if len(kinds) > 1:
        raise TableError(
            f"the studies were read for several kinds of scores: {', '.join(kinds)}; allowed is one. "
            "Read them with the same score=NAME."
        )
    names = [name for study in studies for name in study.runs["run"]]
    clash = {name for name, count in pd.Series(names).value_counts().items() if count > 1}

    def renamed(frame: pd.DataFrame | None, number: int) -> pd.DataFrame | None:
        if frame is None or not clash or "run" not in frame:
            return frame
        run = frame["run"].where(~frame["run"].isin(clash), f"{number}/" + frame["run"])
        return frame.assign(run=run)

    def stacked(part: str) -> pd.DataFrame | None:
        frames = [renamed(getattr(study, part), i + 1) for i, study in enumerate(studies)]
        present = [frame for frame in frames if frame is not None]
        return pd.concat(present, ignore_index=True) if present else None

    runs = stacked("runs")
    assert runs is not None
    for column in SEED_COLUMNS:
        # A seed that only some studies recorded is unknown, not missing, in the others.
        if column in runs and runs[column].isna().any():
            runs[column] = runs[column].astype("Int64")
    refuse_duplicate_cells(runs, "the studies together")
    frames = [part.name for part in dataclasses.fields(Study)[1:]]
    frames = [name for name in frames if name not in ("score", "settings")]
    joined = Study(runs, **{name: stacked(name) for name in frames})  # type: ignore[arg-type]
    if joined.rates is not None:
        # Two studies may hold runs of one setting.
        once = joined.rates.drop_duplicates(["setting", "step", "depth"], ignore_index=True)
        joined = dataclasses.replace(joined, rates=once)
    settings = tuple(dict.fromkeys(name for study in studies for name in study.settings))
    return dataclasses.replace(joined, score=studies[0].score, settings=settings)


def cell_columns(runs: pd.DataFrame) -> list[str]:
    """The columns that together name a run's place: group and every seed present."""
    return [c for c in (*GROUP_COLUMNS, *SEED_COLUMNS) if c in runs.columns]


def refuse_duplicate_cells(runs: pd.DataFrame, table: str) -> None:
    """Raise a `TableError` that names the first two rows with the same cell."""
    columns = cell_columns(runs)
    repeated = runs.duplicated(columns, keep=False).to_numpy(dtype=bool)
    if not repeated.any():
        return
    again = runs.loc[runs.duplicated(columns), columns]
    cell = again.iloc[0]
    same = runs.loc[(runs[columns].eq(cell) | (runs[columns].isna() & cell.isna())).all(axis=1)]
    first, second = int(same.index[0]), int(again.index[0])
    named = dict(cell)
    if "seed" in runs.columns:
        # The table has one seed, which the two columns repeat.
        del named["init_seed"], named["order_seed"]
        named["seed"] = runs.loc[again.index[0], "seed"]
    what = ", ".join(f"{name}={value}" for name, value in named.items())
    raise TableError(
        f"{table}: rows {first + 1} and {second + 1} are both the cell {what}; allowed is one run "
        "per cell. Remove one of them, name what differs between them in the column 'recipe', or "
        "distinguish repeats by a dropout_seed column."
    )
