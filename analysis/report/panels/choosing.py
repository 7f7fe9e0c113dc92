"""The price of choosing: a run, an evaluation of a run, or both, by the validation score."""

from __future__ import annotations

from typing import ClassVar

from analysis.figures.choosing import price_of_choosing
from analysis.figures.theme import Chart
from analysis.report.results.choosing_answer import (
    both_caption,
    choosing_caption,
    evaluations_caption,
)
from analysis.report.results.group_results import GroupResults
from analysis.report.results.report_results import ReportResults
from analysis.report.sections.part import GroupFigure

CHOSEN_BY_TEST = (
    "the price of choosing sets the validation score of a chosen run beside its test score, but the "
    "report is on test scores. Choose by the validation score: --score best or --score final."
)
LAST = "mean run at its last evaluation, on the test set"


class PriceOfChoosing(GroupFigure):
    """Expected validation and test score of the best of n runs."""

    id = "choosing"
    table_name: ClassVar[str] = "choosing"

    def applies(self, group: GroupResults) -> bool:
        """Whether there is something to choose from."""
        table = group.table(self.table_name)
        return table is not None and len(table) > 1

    def missing(self, group: GroupResults) -> str:
        """The reason why test scores can't be chosen by."""
        return CHOSEN_BY_TEST if group.study.score == "test" else ""

    def caption(self, group: GroupResults) -> str:
        """The promise and the delivery."""
        return choosing_caption(group)

    def draw(self, group: GroupResults, report: ReportResults) -> Chart:
        """See `price_of_choosing`."""
        return price_of_choosing(group.tables["choosing"], metric=group.metric)


class PriceOfEvaluations(PriceOfChoosing):
    """Scores of the best of the last n evaluations of a run."""

    id = "choosing-evaluations"
    title = "the best evaluation"
    table_name = "choosing_evaluations"

    def missing(self, group: GroupResults) -> str:
        """The reason why evaluations have no test scores, where runs have some."""
        if group.table("choosing") is None:
            return ""
        return f"no price of choosing an evaluation: {group.reason(self.table_name)}"

    def caption(self, group: GroupResults) -> str:
        """The promise and the delivery of all evaluations."""
        return evaluations_caption(group)

    def draw(self, group: GroupResults, report: ReportResults) -> Chart:
        """See `price_of_choosing`."""
        table = group.tables[self.table_name]
        return price_of_choosing(table, metric=group.metric, unit="evaluations", mean=LAST)


class PriceOfBoth(PriceOfChoosing):
    """Scores of the best of n runs, each at its best evaluation."""

    id = "choosing-both"
    title = "the best run at its best evaluation"
    table_name = "choosing_both"

    def missing(self, group: GroupResults) -> str:
        """No note: that of `PriceOfEvaluations` stands for both."""
        return ""

    def caption(self, group: GroupResults) -> str:
        """The promise and the delivery against no choice at all."""
        return both_caption(group)

    def draw(self, group: GroupResults, report: ReportResults) -> Chart:
        """See `price_of_choosing`."""
        return price_of_choosing(group.tables[self.table_name], metric=group.metric, mean=LAST)
