"""Panels on learning rates: schedules of all recipes, and rates by depth."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.data.labels import file_stem
from analysis.figures.steps.rates import depth_lines, rate_figure
from analysis.figures.theme import Chart
from analysis.formatting import percent
from analysis.report.results.group_results import GroupResults
from analysis.report.results.report_results import ReportResults
from analysis.report.sections.part import Entry, Missing, Per, TableFile, drawn

MOST_SCHEDULES = 6
Floats = npt.NDArray[np.float64]


class LearningRates:
    """The different learning-rate schedules of a task: one figure for plain ones, one each by depth."""

    per: ClassVar[Per] = "task"

    def entries(self, groups: list[GroupResults], report: ReportResults) -> Iterator[Entry]:
        """Figures of the different schedules, and the table of all settings."""
        table = report.study.rates
        if table is None:
            return
        task = groups[0].key.task
        found: dict[bytes, tuple[Floats, list[str]]] = {}
        for group in groups:
            settings = group.recorded.runs["setting"].unique()
            part = table.loc[table["setting"].isin(settings)]
            if part.empty:
                continue
            yield TableFile("rates", part.assign(task=task, recipe=group.key.recipe))
            rates = rate_array(part.loc[part["setting"] == part["setting"].iloc[0]])
            name = group.label.removeprefix(f"{task}, ")
            found.setdefault(rates.tobytes() + bytes(rates.shape[1]), (rates, []))[1].append(name)
        plain = [(names, rates) for rates, names in found.values() if rates.shape[1] == 1]
        if plain:
            shown = plain[:MOST_SCHEDULES]
            yield drawn(
                f"rates-{file_stem(task)}",
                f"{task}: learning rates",
                _plain_caption(shown) + _left_out(len(plain)),
                partial(rate_figure, [(_joined(names), rates[:, 0]) for names, rates in shown]),
            )
        by_depth = [(names, rates) for rates, names in found.values() if rates.shape[1] > 1]
        for number, (names, rates) in enumerate(by_depth[:MOST_SCHEDULES], 1):
            yield drawn(
                f"rates-by-depth-{file_stem(task)}-{number}",
                f"{task}: learning rates by depth, {_joined(names)}",
                depth_caption(rates),
                partial(_figure_by_depth, rates),
            )
        if len(by_depth) > MOST_SCHEDULES:
            yield Missing(
                f"{len(by_depth)} recipes differ in their learning rates by depth; the first "
                f"{MOST_SCHEDULES} are drawn, and tables/rates.csv has all.",
                task,
            )


def _figure_by_depth(rates: Floats) -> Chart:
    return rate_figure(depth_lines(rates))


def rate_array(table: pd.DataFrame) -> Floats:
    """The rates of one setting as a (step, depth) array; one column for all depths."""
    depth = table["depth"].fillna(0).astype(int)
    wide = table.assign(depth=depth).pivot(index="step", columns="depth", values="rate")
    rates: Floats = wide.sort_index().sort_index(axis=1).to_numpy(dtype=np.float64)
    return rates


def depth_caption(rates: Floats) -> str:
    """The peak of the head, and the share of it that the lowest trained depth has."""
    peaks = rates.max(axis=0)
    head = float(peaks[-1])
    text = f"The head's rate peaks at {head:.3g}, at step {int(rates[:, -1].argmax()) + 1:,}."
    trained = np.flatnonzero(peaks > 0)
    lowest = int(trained[0]) if len(trained) else len(peaks) - 1
    if peaks[lowest] < head:
        where = "of the embeddings" if lowest == 0 else f"of layer {lowest}"
        text += f" The rate {where} peaks at {peaks[lowest]:.3g}, {percent(peaks[lowest] / head)} of it."
    frozen = int((peaks == 0).sum())
    if frozen:
        text += f" {frozen} of {len(peaks)} depths are frozen."
    return text


def _plain_caption(shown: list[tuple[list[str], Floats]]) -> str:
    texts = [
        f"{_joined(names)}: peak {float(rates.max()):.3g} at step {int(rates.argmax()) + 1:,} of "
        f"{len(rates):,}"
        for names, rates in shown
    ]
    return "All depths have one rate. " + "; ".join(texts) + "."


def _left_out(n: int) -> str:
    left = n - MOST_SCHEDULES
    return f" The figure leaves {left} more out; tables/rates.csv has them." if left > 0 else ""


def _joined(names: list[str]) -> str:
    """Names of recipes with one schedule: up to two, or their number."""
    return " and ".join(names) if len(names) < 3 else f"{names[0]} and {len(names) - 1} others"
