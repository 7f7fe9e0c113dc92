"""Panels on training losses: over the steps, and at the end against the scores."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import pandas as pd

from analysis.data.labels import file_stem
from analysis.figures.curves import loss_bands
from analysis.figures.steps.losses import drawn_recipes, loss_quantiles, recipe_losses
from analysis.figures.theme import Chart
from analysis.figures.training import loss_against_score
from analysis.formatting import count
from analysis.report.results.group_results import GroupResults
from analysis.report.results.report_results import ReportResults
from analysis.report.sections.part import Entry, GroupFigure, Missing, Per, drawn
from analysis.training.layer_profiles import DISTANCE, GRADIENT, HOW

ADVICE = (
    "Distances, gradient norms and representations by layer were not recorded: "
    f"{HOW[DISTANCE]} {HOW[GRADIENT]} diagnostics.representations=256, in a study of its own."
)


class LossBands(GroupFigure):
    """Training loss over the steps: mean and range, failed runs one by one."""

    id = "losses"

    def applies(self, group: GroupResults) -> bool:
        """Whether training losses were recorded."""
        return group.study.steps is not None

    def missing(self, group: GroupResults) -> str:
        """The table that is needed."""
        return "no training losses were recorded (a table of steps is needed)."

    def caption(self, group: GroupResults) -> str:
        """The mean loss at both ends of training, and the number of diverged runs."""
        return losses_caption(group)

    def draw(self, group: GroupResults, report: ReportResults) -> Chart:
        """See `loss_bands`."""
        return loss_bands(group.study)


class RecipeLosses:
    """Training losses of all groups of a task in one figure: medians with bands."""

    per: ClassVar[Per] = "task"

    def entries(self, groups: list[GroupResults], report: ReportResults) -> Iterator[Entry]:
        """One panel, where losses of two groups or more were recorded."""
        known = [(group, s) for group in groups if (s := _complete_steps(group)) is not None]
        if len(known) < 2:
            return
        task = groups[0].key.task
        names = {
            run: group.label.removeprefix(f"{task}, ")
            for group, _ in known
            for run in group.runs["run"]
        }
        steps = pd.concat([s for _, s in known], ignore_index=True)
        table = loss_quantiles(steps, pd.Series(names))
        shown = drawn_recipes(table)
        failed = sum(int(group.runs["failed"].sum()) for group, _ in known)
        yield drawn(
            f"losses-of-recipes-{file_stem(task)}",
            f"{task}: training losses of all recipes",
            recipe_losses_caption(table, shown, failed),
            lambda: recipe_losses(table, shown),
        )


def _complete_steps(group: GroupResults) -> pd.DataFrame | None:
    """Recorded finite losses of the runs that were trained to their end."""
    steps = group.study.steps
    if steps is None:
        return None
    kept = steps.loc[steps["run"].isin(group.runs["run"]) & np.isfinite(steps["train_loss"])]
    return None if kept.empty else kept


def recipe_losses_caption(table: pd.DataFrame, shown: list[str], failed: int) -> str:
    """The recipes with the lowest and the highest loss at the end, and what the band holds."""
    ends = {}
    for name, part in table.groupby("recipe", sort=False):
        ends[str(name)] = float(part["median"].tail(max(len(part) // 10, 1)).median())
    low, high = min(ends, key=lambda n: ends[n]), max(ends, key=lambda n: ends[n])
    text = f"Lines are medians over runs, bands the middle 80%; {count(failed, 'failed run')} included. "
    if ends[low] < ends[high]:
        text += (
            f"In the last tenth of training the median loss is lowest for {low} ({ends[low]:.3g}) and "
            f"highest for {high} ({ends[high]:.3g})."
        )
    else:
        text += f"In the last tenth of training all have the same median loss, {ends[low]:.3g}."
    if len(shown) < len(ends):
        text += (
            f" The figure shows {len(shown)} of {len(ends)} recipes, spread over their last losses."
        )
    return text


class FinalLosses:
    """Training loss against score at the end, all groups of a task."""

    per: ClassVar[Per] = "task"

    def entries(self, groups: list[GroupResults], report: ReportResults) -> Iterator[Entry]:
        """One panel, where losses were recorded."""
        known = [(g, t) for g in groups if (t := g.table("final_losses")) is not None]
        if not known:
            return
        table = pd.concat([t.assign(label=group.label) for group, t in known])
        task, metric = groups[0].key.task, known[0][0].metric
        yield drawn(
            f"ends-{file_stem(task)}",
            f"{task}: training loss against score at the end",
            final_losses_caption(table),
            lambda: loss_against_score(table.reset_index(drop=True), metric=metric),
        )


class DiagnosticsAdvice:
    """The settings that record diagnostics by layer, where seedlab trained without them."""

    per: ClassVar[Per] = "study"

    def entries(self, groups: list[GroupResults], report: ReportResults) -> Iterator[Entry]:
        """A note. A table of scores from elsewhere has no steps and no use for it."""
        recorded = ("distances", "gradient_medians", "similarity")
        ours = any(group.study.steps is not None for group in groups)
        if ours and not any(g.table(name) is not None for g in groups for name in recorded):
            yield Missing(ADVICE)


def losses_caption(group: GroupResults) -> str:
    """The mean training loss at both ends of training, and the number of diverged runs."""
    steps = group.study.steps
    if steps is None:
        return ""
    good = group.runs.loc[~group.runs["failed"], "run"]
    loss = steps.loc[steps["run"].isin(good)].groupby("step")["train_loss"].mean().dropna()
    if loss.empty:
        return "No run that did not fail has recorded losses."
    tenth = max(len(loss) // 10, 1)
    lost = int(group.runs["diverged"].sum())
    return (
        f"The mean loss falls from {loss.iloc[:tenth].mean():.3g} in the first tenth of training to "
        f"{loss.iloc[-tenth:].mean():.3g} in the last; {count(lost, 'run')} diverged."
    )


def final_losses_caption(table: pd.DataFrame) -> str:
    """The rank correlation of loss and score, and the final losses of failed runs."""
    known = table.dropna(subset=["train_loss", "final_score"])
    good = known.loc[~known["failed"]]
    text = ""
    if len(good) > 2 and good["train_loss"].nunique() > 1 and good["final_score"].nunique() > 1:
        rank = float(good["train_loss"].corr(good["final_score"], method="spearman"))
        text = (
            f"Among the {count(len(good), 'run')} that did not fail, the rank correlation of loss and "
            f"score is {rank + 0.0:.2f}. "
        )
    failed = known.loc[known["failed"]]
    if len(failed):
        text += (
            f"{count(len(failed), 'failed run')} (crossed out) ended with a median training loss of "
            f"{failed['train_loss'].median():.3g}"
        )
        text += f", the others with {good['train_loss'].median():.3g}." if len(good) else "."
    return text.strip()
