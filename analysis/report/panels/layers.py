"""Panels by layer: distances from the start, and gradient norms."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import ClassVar

import numpy as np
import pandas as pd

from analysis.data.labels import file_stem
from analysis.figures.depths import distance_by_depth, profile_over_steps
from analysis.formatting import count
from analysis.report.results.group_results import GroupResults
from analysis.report.results.report_results import ReportResults
from analysis.report.sections.part import Entry, Missing, Per, drawn
from analysis.training.layer_profiles import DISTANCE, GRADIENT, HOW

TENTH = 0.1


class FinalDistances:
    """Distance of every layer from its start at the end of training."""

    per: ClassVar[Per] = "task"

    def entries(self, groups: list[GroupResults], report: ReportResults) -> Iterator[Entry]:
        """A panel for each depth of model: layers of different depths do not correspond."""
        task = groups[0].key.task
        known = [(g, t) for g in groups if (t := g.table("distances")) is not None]
        for deepest in dict.fromkeys(int(table["depth"].max()) for _, table in known):
            alike = [(g, t) for g, t in known if int(t["depth"].max()) == deepest]
            table = pd.concat([t for _, t in alike], ignore_index=True)
            labels = [_short(group, groups) for group, t in alike for _ in range(len(t))]
            more = f" ({deepest - 1} layers)" if len(alike) < len(known) else ""
            yield drawn(
                f"distances-{file_stem(task + more)}",
                f"{task}: how far layers moved{more}",
                distances_caption(table, labels),
                partial(distance_by_depth, table, labels),
            )


class GradientNorms:
    """Gradient norms over the steps, by layer."""

    per: ClassVar[Per] = "task"

    def entries(self, groups: list[GroupResults], report: ReportResults) -> Iterator[Entry]:
        """A panel per group and outcome; see `_profiles`."""
        known = _known(groups, "gradient_medians")
        values = _positive(known)
        domain = (float(values.min()), float(values.max())) if len(values) else None
        for group, failed, part in _profiles(known):
            yield drawn(
                f"gradients-{group.stem}{'-failed' if failed else ''}",
                f"{group.label}: gradient norms of {_outcome(failed)}",
                gradients_caption(part),
                partial(
                    profile_over_steps, part, quantity="gradient norm (L2)", log=True, domain=domain
                ),
            )


class DistancesOverSteps:
    """Distance of every layer from its start, over the steps."""

    per: ClassVar[Per] = "task"

    def entries(self, groups: list[GroupResults], report: ReportResults) -> Iterator[Entry]:
        """A panel per group and outcome; see `_profiles`."""
        known = _known(groups, "distance_medians")
        values = _positive(known)
        domain = (0.0, float(values.max())) if len(values) else None
        for group, failed, part in _profiles(known):
            yield drawn(
                f"moving-{group.stem}{'-failed' if failed else ''}",
                f"{group.label}: distance of {_outcome(failed)}",
                moving_caption(part),
                partial(
                    profile_over_steps,
                    part,
                    quantity="L2 distance from the start",
                    log=False,
                    domain=domain,
                ),
            )


class UnrecordedProfiles:
    """The groups without a diagnostic that others have, with the setting that records it."""

    per: ClassVar[Per] = "study"

    def entries(self, groups: list[GroupResults], report: ReportResults) -> Iterator[Entry]:
        """A note for each diagnostic."""
        for name, what, how in (
            ("distances", "distances", HOW[DISTANCE]),
            ("gradient_medians", "gradient norms", HOW[GRADIENT]),
        ):
            without = [group.label for group in groups if group.table(name) is None]
            if without:
                yield Missing(f"{'; '.join(without)}: no {what}; train with {how}.")


Known = list[tuple[GroupResults, pd.DataFrame]]


def _known(groups: list[GroupResults], name: str) -> Known:
    return [(group, t) for group in groups if (t := group.table(name)) is not None]


def _positive(known: Known) -> pd.Series:
    """The positive medians of all groups: the range of their common vertical axis."""
    values = pd.concat([t["median"] for _, t in known]) if known else pd.Series(dtype="float64")
    return values[values > 0]


def _profiles(known: Known) -> Iterator[tuple[GroupResults, bool, pd.DataFrame]]:
    """The rows of each figure: one per group and outcome (failed or not)."""
    for group, table in known:
        for failed, part in table.groupby("failed"):
            yield group, bool(failed), part


def _outcome(failed: bool) -> str:
    return "failed runs" if failed else "runs that did not fail"


def _short(group: GroupResults, groups: list[GroupResults]) -> str:
    """A label without the task, which the heading names."""
    prefix = f"{group.key.task}, "
    return group.label.removeprefix(prefix) if len(groups) > 1 else group.key.recipe


def distances_caption(table: pd.DataFrame, labels: list[str]) -> str:
    """The layers that moved farthest and least, per recipe."""
    shown = table.assign(label=labels)
    parts = []
    for label, rows in shown.groupby("label", sort=False):
        order = rows["median"].argsort()
        far, near = rows.iloc[order.iloc[-1]], rows.iloc[order.iloc[0]]
        lost, n = int(rows["n_failed"].max()), int(rows["n_runs"].max())
        failed = f", {'all' if lost == n else lost} failed" if lost else ""
        parts.append(
            f"{label} ({count(n, 'run')}{failed}): {_layer(far['place'])} moved "
            f"farthest ({far['median']:.2g}), {_layer(near['place'])} least ({near['median']:.2g})"
        )
    return "; ".join(parts) + "."


def moving_caption(part: pd.DataFrame) -> str:
    """The steps at which layers reached half of their final distance."""
    wide = part.pivot_table(index="step", columns="depth", values="median").sort_index()
    end = wide.iloc[-1]
    moved = end[end > 0]
    if moved.empty:
        return "No layer moved."
    half = [int((wide[depth] >= end[depth] / 2).idxmax()) for depth in moved.index]
    total = int(wide.index[-1])
    still = (
        f" {count(len(end) - len(moved), 'depth')} did not move (frozen)."
        if len(moved) < len(end)
        else ""
    )
    when = (
        f"by step {half[0]:,} in every layer"
        if min(half) == max(half)
        else f"by step {min(half):,} in the fastest layer and by step {max(half):,} in the slowest"
    )
    return f"{_runs(part)} Half of the final distance is reached {when}, of {total:,} steps.{still}"


def gradients_caption(part: pd.DataFrame) -> str:
    """The change of the gradients of the lowest layer and of the head during training."""
    top = int(part["depth"].max())
    texts = []
    for depth, name in ((1, "the lowest layer"), (top, "the head")):
        values = part.loc[part["depth"] == depth].set_index("step")["median"].sort_index()
        size = max(int(np.ceil(TENTH * len(values))), 1)
        first, last = (float(v.median()) for v in (values.iloc[:size], values.iloc[-size:]))
        if first > 0 and last > 0:
            texts.append(f"{name} from {first:.2g} to {last:.2g} ({_change(last / first)})")
        else:
            texts.append(f"{name} no gradient")
    return (
        f"{_runs(part)} Between the first and the last tenth of training the median norm changes, for "
        f"{'; for '.join(texts)}."
    )


def _change(ratio: float) -> str:
    if 0.9 <= ratio <= 1.1:
        return "about the same"
    return f"{ratio:.2g} times as large" if ratio > 1 else f"{1 / ratio:.2g} times smaller"


def _layer(place: str) -> str:
    return f"the {place}" if not place.isdigit() else f"layer {place}"


def _runs(part: pd.DataFrame) -> str:
    return f"{count(int(part['n_runs'].max()), 'run')}."
