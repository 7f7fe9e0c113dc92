"""Panels on the best of n runs: per group, recipes side by side, and against what runs cost."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Hashable, Iterator
from typing import Any, ClassVar

import pandas as pd

from analysis.best_of_n.compute_table import (
    STOPPED,
    affordable,
    best_of_compute,
    change_of_lead,
    do_cross,
    stopped_study,
)
from analysis.best_of_n.expected_max_table import richest_schedule
from analysis.data.early_stopped import is_selected
from analysis.data.frames import row_dict
from analysis.data.labels import file_stem
from analysis.figures import best_of as figures
from analysis.figures.best_of import MOST_BANDS, best_of_recipes, expected_best
from analysis.figures.theme import Chart
from analysis.formatting import count, number
from analysis.report.results.group_results import GroupResults, recipe_name
from analysis.report.results.report_results import ReportResults
from analysis.report.sections.part import Entry, GroupFigure, Lead, Missing, Per, TableFile, drawn

AXES = ("updates", "gpu_hours", "seconds")
"""Costs that a figure may have as its axis; time only where GPU-hours are unknown."""
BOUGHT = (10, 5, 2, 1)
MOST_NAMED = 3
CROSSING = (
    "Bands end where they are no longer informative. Where lines of recipes cross, the better recipe "
    "depends on the number of runs."
)


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
                ""
                if len(known) <= MOST_BANDS
                else f"Bands of more than {MOST_BANDS} recipes would hide each other; they are in the "
                "figures of the recipes."
            ),
            lambda: best_of_recipes(table, metric=known[0].metric),
        )
        yield Lead(CROSSING)


class BestOfCompute:
    """Expected best scores of a task's recipes against updates and time."""

    per: ClassVar[Per] = "task"

    def entries(self, groups: list[GroupResults], report: ReportResults) -> Iterator[Entry]:
        """The table, and a figure where two recipes have a cost in common."""
        tables = [table for group in groups if len(table := compute_table(group))]
        if not tables:
            return
        task, metric, up = groups[0].key.task, groups[0].metric, groups[0].up
        table = pd.concat(tables, ignore_index=True)
        known = [c for c in AXES if table.loc[table[c].notna(), "recipe"].nunique() > 1]
        if "gpu_hours" in known and table["gpu_hours"].notna().all():
            known.remove("seconds")
        if table[[*AXES]].notna().any(axis=None):
            yield TableFile("best_of_compute", table)
        digits = max(group.digits for group in groups)
        for cost in known:
            yield drawn(
                f"best-of-compute-{file_stem(task)}{'' if cost == known[0] else f'-{cost}'}",
                f"{task}: best of the runs that a budget pays for",
                compute_caption(table, cost, digits, lower_is_better=not up),
                functools.partial(figures.best_of_compute, table, cost, metric=metric),
            )
        if not known and table["recipe"].nunique() > 1:
            yield Missing(
                "the cost of the runs is unknown, so recipes are compared at equal numbers of runs "
                "alone. Studies of seedlab record it. A table gives it in the columns 'steps' "
                "(updates) and 'seconds'.",
                task,
            )


def compute_table(group: GroupResults) -> pd.DataFrame:
    """The best of one group's runs against cumulative cost; empty where no best is known."""
    if group.table("expected_max") is not None:
        return best_of_compute(_richest(group), group.runs)
    if is_selected(group.recorded):
        return stopped_study(group.recorded.runs, group.key.task, recipe_name(group))
    return pd.DataFrame()


def compute_caption(
    table: pd.DataFrame, cost: str, digits: int, *, lower_is_better: bool = False
) -> str:
    """What the cost of some runs of the dearest recipe buys with the others, and sure crossings."""
    curves = {
        str(name): part.reset_index(drop=True)
        for name, part in table.loc[table["schedule"] != STOPPED].groupby("recipe", sort=False)
        if part[cost].notna().all()
    }
    texts = [_bought(curves, cost, digits, lower_is_better=lower_is_better)]
    # Statements on bands belong to figures that show them.
    pairs = list(itertools.combinations(curves, 2)) if len(curves) <= MOST_BANDS else []
    changes = {
        (a, b): change_of_lead(curves[a], curves[b], cost, lower_is_better=lower_is_better)
        for a, b in pairs
    }
    side = "below" if lower_is_better else "above"
    sure = {pair: change for pair, change in changes.items() if change is not None}
    for pair, change in [*sure.items()][:MOST_NAMED]:
        first, then = pair if change.a_first else pair[::-1]
        texts.append(
            f"At {cost_text(cost, change.before)} the band of {first} is {side} that of {then}, at "
            f"{cost_text(cost, change.after)} it is the reverse: in between the lead changes (with at "
            "least 90% confidence)."
        )
    open_ = [
        (a, b) for a, b in pairs if (a, b) not in sure and do_cross(curves[a], curves[b], cost)
    ]
    if open_:
        named = "; ".join(f"{a} and {b}" for a, b in open_[:MOST_NAMED])
        more = f" and {len(open_) - MOST_NAMED} more pairs" if len(open_) > MOST_NAMED else ""
        texts.append(
            f"Lines that cross within overlapping bands show no budget at which the lead changes "
            f"({named}{more})."
        )
    stopped = table.loc[(table["schedule"] == STOPPED) & table[cost].notna()]
    texts += [
        _stopped(row, curves, cost, digits) for row in stopped.head(MOST_NAMED).to_dict("records")
    ]
    return " ".join(text for text in texts if text)


def _bought(
    curves: dict[str, pd.DataFrame], cost: str, digits: int, *, lower_is_better: bool
) -> str:
    """What the cost of some runs of the dearest recipe gives with every recipe."""
    if len(curves) < 2:
        return ""
    price = {name: _price(curve, cost) for name, curve in curves.items()}
    dearest = max(price, key=lambda name: price[name])
    for runs in BOUGHT:
        budget = runs * price[dearest]
        reached = _reached(curves, cost, budget)
        if len(reached) > 1 and dearest in reached:
            break
    else:
        return ""
    sign = -1.0 if lower_is_better else 1.0
    order = sorted(reached, key=lambda name: -sign * float(reached[name]["expected_best"]))
    values = [_value(name, reached[name], digits) for name in order[: MOST_NAMED + 1]]
    text = (
        f"At the cost of {count(runs, 'run')} of {dearest} ({cost_text(cost, budget)}), the expected "
        f"best is {', '.join(values)}."
    )
    if max(price.values()) <= min(price.values()) * (1 + 1e-9):
        text += " A run costs the same with every recipe, so equal costs are equal numbers of runs."
    return text


def _stopped(
    row: dict[Hashable, Any], curves: dict[str, pd.DataFrame], cost: str, digits: int
) -> str:
    """What a study that stopped runs early reached, and what its cost gives without stopping."""
    spent = float(row[cost])
    text = (
        f"The diamond: {row['recipe']} stopped runs early; its best score is "
        f"{number(row['expected_best'], digits)}, seen once, at the cost of all its "
        f"{count(int(row['n']), 'run')} ({cost_text(cost, spent)})"
    )
    others = [_value(*found, digits) for found in _reached(curves, cost, spent).items()]
    return (
        f"{text}; without stopping, that gives {', '.join(others[:MOST_NAMED])}."
        if others
        else f"{text}."
    )


def _reached(
    curves: dict[str, pd.DataFrame], cost: str, budget: float
) -> dict[str, dict[str, Any]]:
    """The row of every curve that a budget pays for; a pool that ends below it says nothing."""
    places = {name: int(affordable(curve, cost, [budget])[0]) for name, curve in curves.items()}
    return {
        name: row_dict(curves[name], at)
        for name, at in places.items()
        if at >= 0 and budget < _price(curves[name], cost) * (curves[name]["n"].max() + 1)
    }


def _price(curve: pd.DataFrame, cost: str) -> float:
    return float(curve[cost].iloc[0] / curve["n"].iloc[0])


def _value(name: str, row: dict[str, Any], digits: int) -> str:
    return f"{number(row['expected_best'], digits)} with {count(int(row['n']), 'run')} of {name}"


def cost_text(cost: str, value: float) -> str:
    """A cost with its unit: "1,150 updates", "3.2 hours", "0.4 GPU-hours"."""
    if cost == "updates":
        return count(round(value), "update")
    if cost == "gpu_hours":
        return f"{value:.3g} GPU-hours"
    size, unit = next((u for u in figures.UNITS if value >= 3 * u[0]), figures.UNITS[-1])
    return f"{value / size:.3g} {unit}"


def _richest(group: GroupResults) -> pd.DataFrame:
    return richest_schedule(group.tables["expected_max"]).assign(recipe=recipe_name(group))


def expected_max_caption(group: GroupResults) -> str:
    """The gain of the best of n, and the largest n of the band."""
    table = group.table("expected_max")
    if table is None:
        return ""
    d = group.digits
    main = richest_schedule(table).set_index("n")
    informative = main["band_upper"].dropna()
    best = main["unbiased"]
    shown = [n for n in (1, 5, 20, 100) if n in best.index]
    values = ", ".join(f"{number(float(best[n]), d)} for n = {n}" for n in shown)
    text = f"Expected best: {values}."
    if group.study.score == "test":
        text = f"Expected best test score: {values}. Choosing by the test score is too optimistic."
    if table["schedule"].nunique() > 1 and 5 in main.index:
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
