"""Panels on early stopping: its value, the best plans, early ranks, and Optuna's pruners."""

from __future__ import annotations

import math

import numpy as np

from analysis.data.frames import row_dict
from analysis.figures.stopping import rank_heatmap, replay_values, stopping_plans, stopping_value
from analysis.figures.theme import Chart
from analysis.formatting import count, digits_apart, number, percent
from analysis.report.results.group_results import GroupResults
from analysis.report.results.report_results import ReportResults
from analysis.report.sections.part import GroupFigure, over_training

SPLIT_HALF = (
    "A plan chosen on the runs that evaluate it looks too good: the dashed line is the value of a "
    "plan that was chosen on one half of the runs and evaluated on the other."
)


class StoppingValue(GroupFigure):
    """Expected best score per budget, with early stopping and without."""

    id = "stopping"
    title = "value of early stopping"

    def applies(self, group: GroupResults) -> bool:
        """Whether plans were evaluated."""
        return group.table("early_stopping") is not None

    def missing(self, group: GroupResults) -> str:
        """The reason why they were not."""
        return group.reason("early_stopping")

    def caption(self, group: GroupResults) -> str:
        """The budgets at which early stopping pays, and its largest gain."""
        return stopping_caption(group)

    def lead(self, group: GroupResults) -> str:
        """The dashed line, where there is one."""
        halves = group.tables["early_stopping"]["split_half"].notna().any()
        return over_training(group.study.score, SPLIT_HALF if halves else "")

    def draw(self, group: GroupResults, report: ReportResults) -> Chart:
        """See `stopping_value`."""
        return stopping_value(group.tables["early_stopping"], metric=group.metric)


class StoppingPlans(GroupFigure):
    """The best plan of every budget."""

    id = "plans"
    title = "best plan of every budget"

    def applies(self, group: GroupResults) -> bool:
        """Whether plans were evaluated."""
        return group.table("early_stopping") is not None

    def caption(self, group: GroupResults) -> str:
        """The meaning of the marks."""
        return (
            "Triangles: runs started, with the share of training after which they are stopped; "
            "circles: runs continued."
        )

    def draw(self, group: GroupResults, report: ReportResults) -> Chart:
        """See `stopping_plans`."""
        return stopping_plans(group.tables["early_stopping"])


class RankCorrelations(GroupFigure):
    """Rank correlation of scores between every two shares of training."""

    id = "ranks"
    title = "do early scores predict late ones?"

    def applies(self, group: GroupResults) -> bool:
        """Whether a correlation is known: equal scores have none."""
        table = group.table("rank_correlation")
        return table is not None and bool(table["spearman"].notna().any())

    def caption(self, group: GroupResults) -> str:
        """The correlation with the final score at three shares of training."""
        return rank_caption(group)

    def draw(self, group: GroupResults, report: ReportResults) -> Chart:
        """See `rank_heatmap`."""
        return rank_heatmap(group.tables["rank_correlation"])


class PrunerReplay(GroupFigure):
    """Values of Optuna's pruners on the recorded curves."""

    id = "pruners"
    title = "Optuna's pruners replayed"

    def applies(self, group: GroupResults) -> bool:
        """Whether pruners were replayed."""
        return group.table("replay") is not None

    def caption(self, group: GroupResults) -> str:
        """The best pruner at the largest budget that all could spend."""
        return replay_caption(group)

    def draw(self, group: GroupResults, report: ReportResults) -> Chart:
        """See `replay_values`."""
        return replay_values(group.tables["replay"], metric=group.metric)


def stopping_caption(group: GroupResults) -> str:
    """The budgets at which early stopping pays, and its largest gain."""
    table = group.table("early_stopping")
    if table is None:
        return ""
    gain = table["relative_error_reduction"]
    pays = table.loc[table["fraction"] < 1]
    if pays.empty:
        return "No plan beats plain runs at any of these budgets."
    top = (
        row_dict(table, int(gain.fillna(-1.0).argmax()))
        if gain.notna().any()
        else row_dict(pays, -1)
    )
    usual = float(pays["fraction"].median())
    text = (
        f"Stopping pays at {len(pays)} of {count(len(table), 'budget')}, most at "
        f"{count(int(top['budget']), 'training')}"
    )
    if math.isfinite(top["relative_error_reduction"]):
        text += f", where it removes {percent(top['relative_error_reduction'])} of the error"
    return (
        f"{text}. The best plans stop after {percent(usual)} of training (median) and continue "
        f"{percent(float((pays['continued'] / pays['budget']).median()))} of the budget's runs."
    )


def rank_caption(group: GroupResults) -> str:
    """The rank correlation of early and final scores, at three shares of training."""
    table = group.table("rank_correlation")
    if table is None:
        return ""
    end = table.loc[np.isclose(table["other_fraction"], 1.0)].dropna(subset="spearman")
    if end.empty:
        return "All scores are equal at some evaluation, so there is no rank correlation."
    parts = []
    for goal in (0.1, 0.3, 0.5):
        row = row_dict(end, int((end["fraction"] - goal).abs().argmin()))
        parts.append(f"{round(row['spearman'], 2) + 0.0:.2f} at {percent(row['fraction'])}")
    return f"Rank correlation with the final score: {', '.join(dict.fromkeys(parts))} of training."


def replay_caption(group: GroupResults) -> str:
    """The best pruner at the largest budget that all pruners could spend."""
    table = group.table("replay")
    if table is None:
        return ""
    spent = table.loc[table["cost"] >= 0.95 * table["budget"]]
    budgets = spent["budget"].value_counts()
    common = budgets.index[budgets == budgets.max()]
    if common.empty:
        return "The pruners used up the recorded runs, so no budget can compare them."
    at = spent.loc[spent["budget"] == common.max()]
    sign = 1.0 if group.up else -1.0
    best = row_dict(at, int((sign * at["expected_best"]).argmax()))
    d = digits_apart(best["expected_best"], best["baseline"], group.digits)
    gain = sign * (best["expected_best"] - best["baseline"])
    clear = "more than" if gain > 2 * best["standard_error"] else "within the error of"
    return (
        f"At a budget of {int(common.max())}, {str(best['policy']).replace('_', ' ')} does best with "
        f"{number(best['expected_best'], d)} ± {number(best['standard_error'], d)}, {clear} the "
        f"{number(best['baseline'], d)} of plain runs. Means over {int(best['orders'])} orders of "
        "arrival; rules are two standard errors; a line ends where a pruner has used up the runs."
    )
