"""Panels on the grid of seeds: its scores as a heatmap, and its curves over training."""

from __future__ import annotations

import numpy as np

from analysis.data.early_stopped import STOPPED, is_selected
from analysis.data.frames import row_dict
from analysis.data.seed_design import TOGETHER
from analysis.data.study import Study
from analysis.figures.curves import drawn_runs, validation_curves
from analysis.figures.heatmap import MOST_SEEDS, heatmap
from analysis.figures.theme import Chart
from analysis.formatting import count, number, percent
from analysis.report.results.group_results import GroupResults
from analysis.report.results.report_results import ReportResults
from analysis.report.sections.part import GroupFigure, over_training

STRIPS = "Means of the seeds stand at the edges in the same colours."
LINKED = "The curve of the cell is highlighted in the figure of curves."


class GridHeatmap(GroupFigure):
    """Scores by init and order seed."""

    id = "heatmap"
    title = "scores by seeds"

    def applies(self, group: GroupResults) -> bool:
        """Whether a run was trained to its end, and the seeds span a grid."""
        return has_ended(group) and not group.together

    def missing(self, group: GroupResults) -> str:
        """The reason why there is no grid, or no complete run."""
        return f"no heat map; {TOGETHER}" if has_ended(group) else group.missing["all"]

    def link(self, group: GroupResults) -> str:
        """The curves, where there are any."""
        return f"curves-{group.stem}" if group.study.curves is not None else ""

    def caption(self, group: GroupResults) -> str:
        """The best and worst cells, and the range of the seeds' means."""
        return heatmap_caption(group)

    def lead(self, group: GroupResults) -> str:
        """The strips and the link to the curves, where the group has them."""
        strips = "" if is_selected(group.recorded) else STRIPS
        return f"{strips} {LINKED if self.link(group) else ''}".strip()

    def draw(self, group: GroupResults, report: ReportResults) -> Chart:
        """See `heatmap`."""
        return heatmap(group.recorded)


class ValidationCurves(GroupFigure):
    """Scores over training, a curve per run."""

    id = "curves"
    title = "scores over training"

    def applies(self, group: GroupResults) -> bool:
        """Whether evaluations during training were recorded."""
        return group.study.curves is not None and has_ended(group)

    def missing(self, group: GroupResults) -> str:
        """The remedy; without complete runs the heatmap's note is enough."""
        if not has_ended(group):
            return ""
        return (
            "no curves. Record evaluations during training, or give a long table (run, fraction, "
            "score), to see them here."
        )

    def lead(self, group: GroupResults) -> str:
        """That curves are of the validation set, where scores are not."""
        return over_training(group.study.score)

    def caption(self, group: GroupResults) -> str:
        """The early rank of the run that ended best."""
        return curves_caption(group)

    def draw(self, group: GroupResults, report: ReportResults) -> Chart:
        """See `validation_curves`."""
        return validation_curves(group.recorded)


def has_ended(group: GroupResults) -> bool:
    """Whether a run of the group was trained to its end."""
    return bool(group.recorded.runs["complete"].any())


def heatmap_caption(group: GroupResults) -> str:
    """The best and worst cells, and the range of the means of rows and columns."""
    if is_selected(group.recorded):
        return _stopped_caption(group.recorded)
    runs, d = group.runs, group.digits
    scores = runs["score"]
    if len(runs) == 1:
        return f"One run, with {number(float(scores.iloc[0]), d)}."
    if not group.does_vary:
        empty = int(group.study.grid().isna().to_numpy().sum())
        return f"The score does not vary: every run has {float(scores.iloc[0]):.6g}." + _empty(
            empty
        )
    ends = (int(scores.argmax()), int(scores.argmin()))
    best, worst = (row_dict(runs, at) for at in (ends if group.up else ends[::-1]))
    text = (
        f"The best cell is init {best['init_seed']}, order {best['order_seed']} with "
        f"{number(best['score'], d)}, the worst init {worst['init_seed']}, order "
        f"{worst['order_seed']} with {number(worst['score'], d)}."
    )
    spans = []
    for factor, name in (("init_seed", "init"), ("order_seed", "order")):
        means = runs.groupby(factor)["score"].mean()
        if len(means) > 1:
            spans.append(f"{number(float(np.ptp(means)), d)} between {name} seeds")
    if spans:
        text += f" The means span {' and '.join(spans)}, single runs {number(float(np.ptp(scores)), d)}."
    failed = runs.loc[runs["failed"]]
    if len(failed):
        by_init = failed["init_seed"].value_counts()
        of = int((runs["init_seed"] == by_init.index[0]).sum())
        text += f" Init {by_init.index[0]} failed most often, {by_init.iloc[0]} of {of} times."
    drawn = [
        f"{MOST_SEEDS} of {n:,} {name} seeds"
        for factor, name in (("init_seed", "init"), ("order_seed", "order"))
        if (n := group.recorded.runs[factor].nunique()) > MOST_SEEDS
    ]
    if drawn:
        text += f" The figure shows {' and '.join(drawn)}, evenly spread over the ranking by mean."
    return text + _empty(int(group.study.grid().isna().to_numpy().sum()))


def _empty(cells: int) -> str:
    if not cells:
        return ""
    return f" {count(cells, 'cell')} of the grid {'has' if cells == 1 else 'have'} no complete run."


def _stopped_caption(study: Study) -> str:
    """The caption for a group with runs that were stopped early."""
    ended = study.runs.loc[study.runs["complete"]]
    stopped = int((study.runs["status"] == STOPPED).sum())
    return (
        f"{count(len(ended), 'cell')} trained to the end; the {stopped} marked ones were stopped "
        "early and have no colour, because their scores belong to an earlier evaluation. There are no "
        "means at the edges: they would be means of selected runs."
    )


def curves_caption(group: GroupResults) -> str:
    """The early rank of the run with the best score."""
    curves = group.recorded.complete_curves()
    if curves is None:
        return ""
    if is_selected(group.recorded):
        ended = curves["run"].nunique()
        return f"{count(len(group.recorded.runs), 'curve')}, of which {ended} reach the end of training."
    sign = 1.0 if group.up else -1.0
    n = curves["run"].nunique()
    best_run = group.runs["run"].iloc[int((sign * group.scores).argmax())]
    times = curves.loc[(curves["run"] == best_run) & (curves["fraction"] >= 0.25), "fraction"]
    if times.empty or not group.does_vary:
        return f"{count(n, 'curve')}; runs that failed are dashed."
    at = float(times.min())
    then = curves.loc[curves["fraction"] == at].set_index("run")["score"]
    rank = int((sign * then > sign * float(then[best_run])).sum()) + 1
    shown = len(drawn_runs(group.study.runs))
    some = f", of which {shown} are drawn, evenly over the ranking" if shown < n else ""
    return (
        f"{count(n, 'curve')}{some}; those of failed runs are dashed. The best run was number {rank:,} "
        f"of {len(then):,} at {percent(at)} of training."
    )
