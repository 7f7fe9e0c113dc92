"""Panels on representations: how alike those of two runs are, by layer."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import ClassVar

import pandas as pd

from analysis.figures.depths import MEASURES, similarity_by_depth
from analysis.formatting import count
from analysis.report.results.group_results import GroupResults
from analysis.report.results.report_results import ReportResults
from analysis.report.sections.part import Entry, Missing, Per, drawn
from analysis.training.run_similarity import KINDS, similarity_by_kind


class Similarity:
    """Similarity by layer and by the seeds that two runs share, a figure per measure."""

    per: ClassVar[Per] = "group"

    def entries(self, groups: list[GroupResults], report: ReportResults) -> Iterator[Entry]:
        """A panel for each measure, or the note why there is none."""
        (group,) = groups
        table = group.table("similarity")
        if table is None:
            reason = group.missing.get("similarity") or group.missing.get("all", "")
            yield Missing(f"{group.label}: {reason}")
            return
        summary = similarity_by_kind(table)
        for measure in MEASURES:
            yield drawn(
                f"{measure}-{group.stem}",
                f"{group.label}: {MEASURES[measure]}",
                similarity_caption(table, summary, measure, len(group.runs)),
                partial(similarity_by_depth, summary, measure),
            )


def similarity_caption(
    table: pd.DataFrame, summary: pd.DataFrame, measure: str, n_complete: int
) -> str:
    """The similarity of the last layer's representations, by kind of pair."""
    at = summary.loc[summary["measure"] == measure]
    if at.empty:
        return ""
    last = at.loc[at["depth"] == at["depth"].max()].sort_values(
        "kind", key=lambda kinds: kinds.map(KINDS.index)
    )
    values = ", ".join(
        f"{row.kind} {row.median:.2f} ({count(int(row.n_pairs), 'pair')})"
        for row in last.itertuples()
    )
    compared = len({*table["run_a"], *table["run_b"]})
    some = (
        f" {compared} of {n_complete:,} runs, evenly over the ranking."
        if compared < n_complete
        else ""
    )
    return (
        f"Layer {int(at['depth'].max())}, median over pairs: {values}; on "
        f"{count(int(table['n_examples'].iloc[0]), 'example')}.{some}"
    )
