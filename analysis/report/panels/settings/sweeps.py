"""Panels on sweeps: scores over one swept number, a heat map over two, and the table of both."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import ClassVar

import pandas as pd

from analysis.comparison.sweeps import Sweep, find_sweeps, neighbours, wider_sweeps
from analysis.data.frames import row_dict
from analysis.data.labels import file_stem
from analysis.figures.sweeps.axis import value_name
from analysis.figures.sweeps.heatmap import sweep_heatmap
from analysis.figures.sweeps.lines import sweep_figure
from analysis.formatting import digits_apart, digits_for, number, p_value
from analysis.report.results.group_results import GroupResults
from analysis.report.results.report_results import ReportResults
from analysis.report.sections.part import Entry, Missing, Panel, Per, TableFile, drawn

MOST_SERIES = 6
LEVEL = 0.05
OTHER_DATA = (
    "task.dev_examples",
    "task.dev_size",
    "task.fold",
    "task.split_seed",
    "task.data_seed",
)
"""Settings of the task that decide which examples validate."""


class Sweeps:
    """The sweeps of a task over one or two numbers."""

    per: ClassVar[Per] = "task"

    def entries(self, groups: list[GroupResults], report: ReportResults) -> Iterator[Entry]:
        """A figure for every number that is swept alone; two figures for two numbers."""
        study = report.unselected.subset(task=groups[0].key.task)
        found = find_sweeps(study)
        single = sorted((s for s in found if len(s.settings) == 1), key=lambda s: s.settings)
        for _, of in itertools.groupby(single, key=lambda s: s.settings):
            together = list(of)
            for start in range(0, len(together), MOST_SERIES):
                number = "" if start == 0 else f"-{start // MOST_SERIES + 1}"
                yield _over_one(together[start : start + MOST_SERIES], groups[0].metric, number)
        for sweep in found:
            if len(sweep.settings) == 2:
                yield from _over_two(sweep, groups[0].metric)
            yield TableFile("sweep", sweep.table)
        for task, recipe, settings in wider_sweeps(study):
            yield Missing(
                f"{recipe} varies in {len(settings)} numbers ({', '.join(settings)}). A figure shows "
                "one or two: write a report on a study that varies fewer.",
                task,
            )


def _over_one(sweeps: Sequence[Sweep], metric: str, number: str) -> Panel | Missing:
    """The sweeps over one setting, a series each."""
    setting, task = sweeps[0].settings[0], sweeps[0].task
    names = _names(sweeps)
    runs = pd.concat(
        [s.runs.assign(series=n, value=s.runs[setting]) for s, n in zip(sweeps, names, strict=True)]
    )
    table = pd.concat([s.table.assign(series=n) for s, n in zip(sweeps, names, strict=True)])
    sentences = [
        best_text(sweep, name if len(sweeps) > 1 else "")
        for sweep, name in zip(sweeps, names, strict=True)
    ]
    return drawn(
        f"sweep-{file_stem(f'{task} {setting}')}{number}",
        f"{task}: score over {setting}",
        " ".join(sentences),
        partial(sweep_figure, runs, table.reset_index(drop=True), setting, metric),
    )


def _over_two(sweep: Sweep, metric: str) -> Iterator[Panel | Missing]:
    """A heat map, and the scores over the first setting where the second has few values."""
    one, two = sweep.settings
    name = ", ".join(part for part in (sweep.recipe, sweep.held, sweep.model) if part)
    stem = f"sweep-{file_stem(f'{sweep.task} {one} {two} {name}')}"
    heading = f"{sweep.task}, {sweep.recipe}{f', {sweep.held}' if sweep.held else ''}"
    yield drawn(
        stem,
        f"{heading}: mean score over {one} and {two}",
        best_text(sweep, ""),
        partial(sweep_heatmap, sweep.table, (one, two), metric, up=sweep.up),
    )
    # The longer one along the axis, a series for every value of the other.
    counts = {setting: sweep.runs[setting].nunique(dropna=False) for setting in (one, two)}
    along, by = (one, two) if counts[one] >= counts[two] else (two, one)
    if counts[by] > MOST_SERIES:
        return
    column, other = ("value", "value_2") if along == one else ("value_2", "value")
    runs = sweep.runs.sort_values(by, na_position="first", kind="stable")
    table = sweep.table.sort_values([other, column], na_position="first", kind="stable")
    yield drawn(
        f"{stem}-lines",
        f"{heading}: score over {along}, by {by}",
        "The runs of the heat map, one by one. At each value the lines stand slightly apart.",
        partial(
            sweep_figure,
            runs.assign(series=[f"{by}={value_name(v)}" for v in runs[by]], value=runs[along]),
            table.assign(
                series=[f"{by}={value_name(v)}" for v in table[other]], value=table[column]
            ),
            along,
            metric,
        ),
    )


def _names(sweeps: Sequence[Sweep]) -> list[str]:
    """Names of sweeps: the recipe, and what is needed to tell them apart."""
    models = len({sweep.model for sweep in sweeps}) > 1
    return [
        ", ".join(part for part in (s.recipe, s.held, s.model if models else "") if part)
        for s in sweeps
    ]


def best_text(sweep: Sweep, name: str) -> str:
    """The level with the best mean, and whether the data tell it from its neighbours.

    Parameters
    ----------
    sweep : Sweep
    name : str
        Begins the text where several sweeps share a caption; may be empty.
    """
    table, up = sweep.table, sweep.up
    top = int(table["is_best"].to_numpy(dtype=bool).argmax())
    best = row_dict(table, top)
    near = neighbours(table)
    d = digits_for(float(sweep.runs["score"].std(ddof=0)))
    # As many digits as show the best neighbour's difference, up to six.
    means = table["mean"].iloc[near]
    d = min(max([digits_apart(float(best["mean"]), float(m), d) for m in means], default=d), 6)
    limits = ""
    if math.isfinite(best["lower"]) and math.isfinite(best["upper"]):
        limits = f" [{number(best['lower'], d)}, {number(best['upper'], d)}]"
    begin = f"{name}: " if name else ""
    text = f"{begin}{_level(best, sweep)} has the best mean, {number(best['mean'], d)}{limits}."
    text += _tests_text(table, near, sweep)
    ends = [
        setting
        for setting, column in zip(sweep.settings, ("value", "value_2"), strict=False)
        if table[column].notna().all()
        and table[column].nunique() > 2
        and best[column] in (table[column].min(), table[column].max())
    ]
    if ends:
        text += (
            f" It is an end of the values of {' and of '.join(ends)}: better ones may lie beyond."
        )
    if scored := [name for name in sweep.settings if name in OTHER_DATA]:
        text += f" Values of {' and '.join(scored)} are scored on different examples."
    if not up:
        text += " Lower is better."
    if sweep.along:
        moved = ", ".join(f"{a} with {b}" for a, b in sweep.along.items())
        text += f" These settings change together: {moved}."
    return text


def _tests_text(table: pd.DataFrame, near: list[int], sweep: Sweep) -> str:
    """Which neighbours the data tell from the best level."""
    if not near:
        return " It has no neighbour among the values."
    rows = [row_dict(table, k) for k in near]
    told = [row for row in rows if row["p_holm"] < LEVEL]
    rest = [row for row in rows if row["p_holm"] >= LEVEL]
    untested = [row for row in rows if not math.isfinite(row["p_holm"])]

    def listed(found: list[dict[str, object]]) -> str:
        return "; ".join(f"{_level(r, sweep)} ({p_value(float(str(r['p_holm'])))})" for r in found)

    parts = []
    if told:
        parts.append(f"The data tell it from its neighbours {listed(told)}.")
    if rest:
        parts.append(f"The data do not tell it from its neighbours {listed(rest)}.")
    if untested:
        names = " and ".join(_level(row, sweep) for row in untested)
        parts.append(
            f"No test tells it from {names}: that needs two runs of both, whose scores vary."
        )
    if told or rest:
        tests = ", ".join(sorted({str(row["test"]) for row in [*told, *rest]}))
        pairs = len(table) * (len(table) - 1) // 2
        over = "the one pair" if pairs == 1 else f"all {pairs} pairs"
        parts.append(f"({tests[0].upper()}{tests[1:]}, Holm's correction over {over} of values.)")
    text = " " + " ".join(parts)
    # One neighbour is no neighbours.
    for found in (told, rest):
        if len(found) == 1:
            text = text.replace(f"neighbours {listed(found)}", f"neighbour {listed(found)}")
    return text


def _level(row: dict[str, object], sweep: Sweep) -> str:
    """A level as it is written at the command line."""
    values = (row["value"], row["value_2"])
    return ", ".join(
        f"{setting}={value_name(float(str(value)))}"
        for setting, value in zip(sweep.settings, values, strict=False)
    )
