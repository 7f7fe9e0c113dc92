"""Panels on the best of n runs: per group, and recipes side by side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import pandas as pd

from analysis.data.labels import file_stem
from analysis.figures.best_of import MOST_BANDS, SCHEDULES, best_of_recipes, expected_best
from analysis.figures.theme import Chart
from analysis.formatting import count, number
from analysis.report.results.group_results import GroupResults, recipe_name
from analysis.report.results.report_results import ReportResults
from analysis.report.sections.part import Entry, GroupFigure, Per, drawn


class ExpectedBest(GroupFigure):
    """Expected best score of n runs, with the band of its median."""

    id = "expected-max"

    def applies(self, group: GroupResults) -> bool:
        """Whether expected maxima are known."""
        return group.table("expected_max") is not None

    def missing(self, group: GroupResults) -> str:
        """The reason why they are missing."""
        return group.reason("expected_max")

    def caption(self, group: GroupResults) -> str:
        """The gain of the best of n, and the largest n of the band."""
        return expected_max_caption(group)

    def draw(self, group: GroupResults, report: ReportResults) -> Chart:
        """See `expected_best`."""
        return expected_best(group.tables["expected_max"], metric=group.metric)


class BestOfRecipes:
    """Expected best scores of all groups of a task in one figure."""

    per: ClassVar[Per] = "task"

    def entries(self, groups: list[GroupResults], report: ReportResults) -> Iterator[Entry]:
        """One panel, where two groups or more have the table."""
        known = [group for group in groups if group.table("expected_max") is not None]
        if len(known) < 2:
            return
        task = known[0].key.task
        table = pd.concat([_richest(group) for group in known], ignore_index=True)
        yield drawn(
            f"best-of-{file_stem(task)}",
            f"{task}: best of n by recipe",
            (
                "Bands end where they are no longer informative. "
                if len(known) <= MOST_BANDS
                else f"Bands of more than {MOST_BANDS} recipes would hide each other; they are in the "
                "figures of the recipes. "
            )
            + "Where lines cross, the better recipe depends on the number of runs.",
            lambda: best_of_recipes(table, metric=known[0].metric),
        )


def _richest(group: GroupResults) -> pd.DataFrame:
    table = group.tables["expected_max"]
    name = next(s for s in SCHEDULES if (table["schedule"] == s).any())
    return table.loc[table["schedule"] == name].assign(recipe=recipe_name(group))


def expected_max_caption(group: GroupResults) -> str:
    """The gain of the best of n, and the largest n of the band."""
    table = group.table("expected_max")
    if table is None:
        return ""
    d = group.digits
    names = [s for s in ("every", "epoch", "final") if (table["schedule"] == s).any()]
    main = table.loc[table["schedule"] == names[0]].set_index("n")
    informative = main["band_upper"].dropna()
    best = main["unbiased"]
    shown = [n for n in (1, 5, 20, 100) if n in best.index]
    values = ", ".join(f"{number(float(best[n]), d)} for n = {n}" for n in shown)
    text = f"Expected best: {values}."
    if group.study.score == "test":
        text = f"Expected best test score: {values}. Choosing by the test score is too optimistic."
    if len(names) > 1 and 5 in main.index:
        last = table.loc[table["schedule"] == "final"].set_index("n")["unbiased"]
        gain = abs(float(best[5]) - float(last[5]))
        text += f" Keeping the best evaluation instead of the last one gains {number(gain, d)} at n = 5."
    runs, worth = len(group.runs), float(main["band_runs"].max())
    if worth < runs - 0.5:
        text += (
            f" Runs share seeds, so the band counts {count(runs, 'run')} as {number(worth, 0)} that "
            "share none."
        )
    if len(informative) > 1:
        text += (
            f" The band is drawn up to n = {int(informative.index.max())}: beyond it, {count(len(group.runs), 'run')} "
            "give no upper bound for the best."
        )
    else:
        text += f" {count(len(group.runs), 'run')} are too few for an informative band."
    return text
