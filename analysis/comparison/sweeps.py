"""Sweeps: runs of one recipe that differ in one or two numbers, and which value is best."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from analysis.comparison.compare import holm
from analysis.comparison.mean_difference import (
    MeanDifference,
    crossed_difference,
    paired_difference,
    primary_test,
    welch_difference,
)
from analysis.comparison.pairing import common_cells
from analysis.data.labels import setting_values
from analysis.data.study import Study
from analysis.variance.mean_interval import mean_interval

MOST_SETTINGS = 2
COLUMNS = (
    *("task", "model", "recipe", "held", "setting", "value", "setting_2", "value_2", "n"),
    *("mean", "lower", "upper", "failed_share", "best", "is_best", "difference", "p_holm", "test"),
)
Level = tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Sweep:
    """Runs of one task, model and recipe that differ in one or two numbers and in their seeds.

    Attributes
    ----------
    task, model, recipe : str
    held : str
        Settings that are no numbers and vary between sweeps of one recipe: ``schedule=cosine``.
    settings : tuple of one or two str
        Columns of `runs` that vary. NaN is a level of its own: null in the configuration.
    along : dict of str to str
        Further settings that change together with one of `settings`.
    runs : DataFrame
        The complete runs, with ``score``.
    table : DataFrame
        One row per level, sorted, with the columns `COLUMNS`; see `sweep_table`.
    """

    task: str
    model: str
    recipe: str
    held: str
    settings: tuple[str, ...]
    along: dict[str, str]
    runs: pd.DataFrame
    table: pd.DataFrame

    @property
    def up(self) -> bool:
        """Whether higher scores are better."""
        return bool(self.runs["higher_is_better"].iloc[0])


def find_sweeps(study: Study, *, level: float = 0.95) -> list[Sweep]:
    """The sweeps over one or two numbers in a study.

    Parameters
    ----------
    study : Study
        Of `read_study`, whose `Study.settings` names the settings. Only complete runs count.
    level : float in (0, 1)
        Nominal coverage of the intervals.

    Returns
    -------
    list of Sweep
        In the order of the study. Settings that are no numbers divide a recipe into several
        sweeps. A recipe that varies in three numbers or more is left out.
    """
    return [
        _sweep(family, settings, along, level)
        for family, settings, along in _families(study)
        if 1 <= len(settings) <= MOST_SETTINGS
    ]


def wider_sweeps(study: Study) -> list[tuple[str, str, tuple[str, ...]]]:
    """Task, recipe and settings where three numbers or more vary."""
    return [
        (family.task, family.recipe, settings)
        for family, settings, _ in _families(study)
        if len(settings) > MOST_SETTINGS
    ]


@dataclasses.dataclass(frozen=True)
class _Family:
    task: str
    model: str
    recipe: str
    held: str
    runs: pd.DataFrame


def _families(study: Study) -> Iterator[tuple[_Family, tuple[str, ...], dict[str, str]]]:
    runs = study.complete_runs()
    if not study.settings or runs.empty:
        return
    there = [name for name in study.settings if name in runs]
    runs = runs.assign(**{name: setting_values(runs[name]) for name in there})
    for (task, model, recipe), of_recipe in runs.groupby(
        ["task", "model", "recipe_name"], sort=False
    ):
        texts = [c for c in _varied(of_recipe, study.settings) if not _is_number(of_recipe[c])]
        parts = of_recipe.groupby(texts, sort=False, dropna=False) if texts else [((), of_recipe)]
        for values, part in parts:
            held = ", ".join(f"{c}={_text(v)}" for c, v in zip(texts, values, strict=True))
            varied = _varied(part, study.settings)
            if not varied:
                continue
            kept: list[str] = []
            along: dict[str, str] = {}
            for column in varied:
                like = next((c for c in kept if _together(part, c, column)), None)
                if like is None:
                    kept.append(column)
                else:
                    along[column] = like
            yield _Family(str(task), str(model), str(recipe), held, part), tuple(kept), along


def _varied(runs: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    return [c for c in columns if c in runs and runs[c].nunique(dropna=False) > 1]


def _is_number(values: pd.Series) -> bool:
    return bool(pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values))


def _text(value: object) -> str:
    if isinstance(value, bool | np.bool_):
        return str(value).lower()
    return str(value) if value == value else "null"  # NaN alone differs from itself


def _together(runs: pd.DataFrame, one: str, other: str) -> bool:
    """Whether each value of a column goes with one value of the other."""
    pairs = runs[[one, other]].drop_duplicates()
    return len(pairs) == runs[one].nunique(dropna=False) == runs[other].nunique(dropna=False)


def _sweep(
    family: _Family, settings: tuple[str, ...], along: dict[str, str], level: float
) -> Sweep:
    runs = family.runs.reset_index(drop=True)
    table = sweep_table(runs, settings, level=level).assign(
        task=family.task, model=family.model, recipe=family.recipe, held=family.held
    )
    return Sweep(
        family.task,
        family.model,
        family.recipe,
        family.held,
        settings,
        along,
        runs,
        table[list(COLUMNS)],
    )


def sweep_table(
    runs: pd.DataFrame, settings: Sequence[str], *, level: float = 0.95
) -> pd.DataFrame:
    """The scores of every level of a sweep, and its difference from the best one.

    Parameters
    ----------
    runs : DataFrame
        Complete runs of one task with ``init_seed, order_seed, score, failed, higher_is_better``.
    settings : sequence of one or two str
        Numeric columns of `runs`; NaN is a level of its own.
    level : float in (0, 1)

    Returns
    -------
    DataFrame
        ``setting, value, setting_2, value_2`` (the last two empty for one setting), ``n`` runs,
        ``mean, lower, upper`` (of `mean_interval.mean_interval`), ``failed_share``, ``best`` (the
        best score of a run), ``is_best`` (the level with the best mean; the first of equals),
        ``difference`` of the level's mean from that of the best level, ``p_holm``, ``test``.

    Notes
    -----
    The test is the primary one of a comparison (`mean_difference.primary_test`): the crossed test
    on a common grid. Holm's correction is over all pairs of levels: which level is best is seen
    in the data, so the pairs with it were chosen among all.
    """
    up = bool(runs["higher_is_better"].iloc[0])
    parts: dict[Level, pd.DataFrame] = {
        tuple(map(float, np.atleast_1d(key))): part  # type: ignore[arg-type]
        for key, part in runs.groupby(list(settings), dropna=False)
    }
    levels = sorted(parts, key=lambda key: [(-math.inf if math.isnan(v) else v) for v in key])
    rows = []
    for at in levels:
        part = parts[at]
        found = mean_interval(part, level=level)
        row: dict[str, object] = {"setting": settings[0], "value": at[0]}
        row |= {"setting_2": settings[1] if len(at) > 1 else "", "value_2": (*at, math.nan)[1]}
        row |= {"n": len(part), "mean": found.mean, "lower": found.lower, "upper": found.upper}
        row["failed_share"] = float(part["failed"].mean())
        row["best"] = float(part["score"].max() if up else part["score"].min())
        rows.append(row)
    table = pd.DataFrame(rows)
    top = int(table["mean"].argmax() if up else table["mean"].argmin())
    tests = {
        (i, j): _tested(parts[levels[i]], parts[levels[j]])
        for i, j in itertools.combinations(range(len(levels)), 2)
    }
    adjusted = dict(zip(tests, holm([found.p_value for found, _ in tests.values()]), strict=True))
    pairs = [(min(top, k), max(top, k)) for k in range(len(levels))]
    return table.assign(
        is_best=[k == top for k in range(len(levels))],
        difference=table["mean"] - table["mean"].iloc[top],
        p_holm=[adjusted.get(pair, math.nan) for pair in pairs],
        test=[tests[pair][1] if pair in tests else "" for pair in pairs],
    )


def _tested(a: pd.DataFrame, b: pd.DataFrame) -> tuple[MeanDifference, str]:
    """The primary test of two levels, and its name."""
    pairs = common_cells(a, b, "score")
    found = {
        "crossed": crossed_difference(pairs),
        "paired": paired_difference(pairs["a"], pairs["b"]),
        "welch": welch_difference(a["score"], b["score"]),
    }
    prefix, name = primary_test({f"{key}_p": test.p_value for key, test in found.items()})
    return found[prefix], name


def neighbours(table: pd.DataFrame) -> list[int]:
    """Rows of a `sweep_table` beside the best one: next to it in one setting, equal in the other."""
    top = int(table["is_best"].to_numpy(dtype=bool).argmax())
    columns = ["value"] if (table["setting_2"] == "").all() else ["value", "value_2"]
    ranks = table[columns].rank(method="dense", na_option="top").to_numpy(dtype=np.int64)
    distance = np.abs(ranks - ranks[top]).sum(axis=1)
    return [int(k) for k in np.flatnonzero(distance == 1)]
