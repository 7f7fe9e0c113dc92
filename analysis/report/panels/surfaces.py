"""Panels on loss surfaces: the plane through the start and the ends of two runs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import ClassVar

import pandas as pd

from analysis.data.loss_surfaces import barrier
from analysis.figures.surface import loss_surface
from analysis.formatting import count
from analysis.report.results.group_results import GroupResults
from analysis.report.results.report_results import ReportResults
from analysis.report.sections.part import Entry, Missing, Per, drawn


class LossSurfaces:
    """The loss around two runs, a figure per surface."""

    per: ClassVar[Per] = "study"

    def entries(self, groups: list[GroupResults], report: ReportResults) -> Iterator[Entry]:
        """A panel for each surface whose runs are in the study."""
        runs = {
            run.run: (group, f"init {run.init_seed}, order {run.order_seed}")
            for group in groups
            for run in group.study.runs.itertuples()
        }
        several = len(report.surfaces) > 1
        for number, table in enumerate(report.surfaces, 1):
            names = [str(table[column].iloc[0]) for column in ("failed", "successful")]
            if not set(names) <= set(runs):
                yield Missing(
                    f"surface {number}: the runs {' and '.join(names)} are not in the study."
                )
                continue
            which = "; ".join(
                f"{end}: {runs[name][0].label}, {runs[name][1]}"
                for end, name in zip(("Failed", "successful"), names, strict=True)
            )
            task = runs[names[0]][0].key.task
            yield drawn(
                f"surface-{number}",
                f"{task}: the loss around two runs" + (f" ({number})" if several else ""),
                f"{which}. {surface_caption(table)}",
                partial(loss_surface, table),
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
