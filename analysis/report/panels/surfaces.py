"""Panels on the loss around and between two runs: surfaces and barriers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import ClassVar

import pandas as pd

from analysis.data.loss_surfaces import barrier, barrier_height, worseness
from analysis.figures.surface import loss_barrier, loss_surface
from analysis.formatting import count, number
from analysis.report.results.group_results import GroupResults
from analysis.report.results.report_results import ReportResults
from analysis.report.sections.part import Entry, Missing, Per, drawn


class LossSurfaces:
    """The loss around two runs, a figure per surface."""

    per: ClassVar[Per] = "study"

    def entries(self, groups: list[GroupResults], report: ReportResults) -> Iterator[Entry]:
        """A panel for each surface whose runs are in the study."""
        runs = _runs(groups)
        several = len(report.surfaces) > 1
        for place, table in enumerate(report.surfaces, 1):
            names = [str(table[column].iloc[0]) for column in ("failed", "successful")]
            if not set(names) <= set(runs):
                yield Missing(
                    f"surface {place}: the runs {' and '.join(names)} are not in the study."
                )
                continue
            which = "; ".join(
                f"{end}: {runs[name][0].label}, {runs[name][1]}"
                for end, name in zip(("Failed", "successful"), names, strict=True)
            )
            task = runs[names[0]][0].key.task
            yield drawn(
                f"surface-{place}",
                f"{task}: the loss around two runs" + (f" ({place})" if several else ""),
                f"{which}. {surface_caption(table)}",
                partial(loss_surface, table),
            )


class LossBarriers:
    """Loss and score on the line between two runs, two figures per line."""

    per: ClassVar[Per] = "study"

    def entries(self, groups: list[GroupResults], report: ReportResults) -> Iterator[Entry]:
        """Two panels for each line whose runs are in the study."""
        runs = _runs(groups)
        several = len(report.barriers) > 1
        for place, line in enumerate(report.barriers, 1):
            names = [str(line[column].iloc[0]) for column in ("first", "second")]
            if not set(names) <= set(runs):
                yield Missing(f"line {place}: the runs {' and '.join(names)} are not in the study.")
                continue
            (first, one), (_, other) = (runs[name] for name in names)
            metric = f"validation {line['metric'].iloc[0]}"
            for quantity, name in (("loss", "training loss"), ("score", metric)):
                yield drawn(
                    f"barrier-{place}-{quantity}",
                    f"{first.label}: {name} between two runs" + (f" ({place})" if several else ""),
                    f"From {one} to {other}. {barrier_caption(line, quantity)}",
                    partial(loss_barrier, line, quantity, name=name),
                )


def _runs(groups: list[GroupResults]) -> dict[str, tuple[GroupResults, str]]:
    """The group and the seeds of every run, by the run's name."""
    return {
        str(run.run): (group, f"init {run.init_seed}, order {run.order_seed}")
        for group in groups
        for run in group.study.runs.itertuples()
    }


def barrier_caption(line: pd.DataFrame, quantity: str) -> str:
    """The values at the ends and at the worst point, and the barrier's height."""
    values = line[quantity]
    if quantity == "loss":
        what = f"The loss on {count(int(line['examples'].iloc[0]), 'training example')}"
    else:
        what = f"The {line['metric'].iloc[0]} on the validation set"
    ends = (
        f"{what} is {number(values.iloc[0], 3)} at the first end and {number(values.iloc[-1], 3)} at the "
        "second"
    )
    if missing := int(values.isna().sum()):
        have = "has" if missing == 1 else "have"
        return f"{ends}; {count(missing, 'point')} of the line {have} no {quantity}, so no barrier is given."
    worst = int(worseness(line, quantity).argmax())
    height = f"The barrier is {barrier_height(line, quantity):.2g} high"
    extreme = "highest" if values.iloc[worst] == values.max() else "lowest"
    if worst in (0, len(line) - 1):
        return f"{ends}; no point between is worse than the worse end. {height}, half the difference of the ends."
    return (
        f"{ends}; it is {extreme} at t = {line['at'].iloc[worst]:.2g}, {values.iloc[worst]:.3f}. {height}: that "
        "value against the mean of the ends."
    )


def surface_caption(surface: pd.DataFrame) -> str:
    """The losses at the start and at both ends, and the barriers between them."""
    loss = surface.loc[surface["point"] != ""].set_index("point")["loss"]
    heights = {end: barrier(surface, end) for end in ("failed", "successful")}
    if not any(height > 0 for height in heights.values()):
        ways = "neither straight line from the start to an end has a barrier"
    else:
        ways = " and ".join(
            f"the straight line to the {end} run's end has "
            + (f"a barrier of {height:.2g}" if height > 0 else "no barrier")
            for end, height in heights.items()
        )
    return (
        f"The loss on {count(int(surface['examples'].iloc[0]), 'training example')} is {loss['start']:.3f} at "
        f"the start (head of the {surface['start'].iloc[0]} run), {loss['failed']:.3f} where the failed run "
        f"ended and {loss['successful']:.3f} where the successful one did; {ways}."
    )
