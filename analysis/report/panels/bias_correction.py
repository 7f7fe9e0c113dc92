"""Panels on Adam without bias correction: how much too long the first updates are."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import ClassVar

import numpy as np

from analysis.data.labels import file_stem
from analysis.figures.training import correction_figure
from analysis.formatting import count
from analysis.report.results.group_results import GroupResults
from analysis.report.results.report_results import ReportResults
from analysis.report.sections.part import Entry, Per, drawn
from analysis.training.bias_correction import correction_factor

# A heading with more characters than this names the number of recipes instead.
LONGEST_HEADING = 70


class BiasCorrection:
    """The factor of the missing correction, a figure per schedule."""

    per: ClassVar[Per] = "study"

    def entries(self, groups: list[GroupResults], report: ReportResults) -> Iterator[Entry]:
        """A panel for each combination of betas, steps and warm-up."""
        schedules: dict[tuple[float, float, int, int], list[tuple[str, int, int]]] = {}
        for group in groups:
            table = group.table("uncorrected")
            for row in [] if table is None else table.to_dict("records"):
                key = (row["beta1"], row["beta2"], row["steps"], row["warmup"])
                counts = (group.label, row["n_runs"], row["n_failed"])
                schedules.setdefault(key, []).append(counts)
        for (beta1, beta2, steps, warmup), parts in schedules.items():
            labels = "; ".join(dict.fromkeys(label for label, _, _ in parts))
            short = f"{len(parts)} recipes of {steps:,} steps"
            yield drawn(
                f"correction-{file_stem(f'{beta1}-{beta2}-{steps}-{warmup}')}",
                labels if len(labels) <= LONGEST_HEADING else short,
                correction_caption(beta1, beta2, steps, warmup, parts),
                partial(correction_figure, steps, warmup, beta1=beta1, beta2=beta2),
            )


def correction_caption(
    beta1: float, beta2: float, steps: int, warmup: int, parts: list[tuple[str, int, int]]
) -> str:
    """The excess length of the first updates, and the number of failed runs."""
    at = np.arange(1, steps + 1)
    excess = 1.0 / correction_factor(at, beta1, beta2)
    worst = int(excess.argmax())
    text = f"Update 1 is {excess[0]:.1f} times too long, update {worst + 1:,} {excess[worst]:.1f} times"
    if 1 <= warmup <= steps:
        text += f", and at the end of the warm-up (update {warmup:,}) it still is {excess[warmup - 1]:.1f} times"
    runs, failed = sum(n for _, n, _ in parts), sum(n for _, _, n in parts)
    return f"{text}. {failed:,} of {count(runs, 'run')} without bias correction failed."
