"""The price of choosing a run by its validation score."""

from __future__ import annotations

from typing import Any

import pandas as pd

from analysis.data.frames import row_dict
from analysis.figures.choosing import price_of_choosing
from analysis.figures.theme import Chart
from analysis.formatting import count, number
from analysis.report.results.group_results import GroupResults
from analysis.report.results.report_results import ReportResults
from analysis.report.sections.part import GroupFigure

SHOWN_N = (10, 5, 2)
CHOSEN_BY_TEST = (
    "the price of choosing sets the validation score of a chosen run beside its test score, but the "
    "report is on test scores. Choose by the validation score: --score best or --score final."
)


class PriceOfChoosing(GroupFigure):
    """Expected validation and test score of the best of n runs."""

    id = "choosing"

    def applies(self, group: GroupResults) -> bool:
        """Whether two runs or more have both scores."""
        table = group.table("choosing")
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


def choosing_caption(group: GroupResults) -> str:
    """What choosing promises on the validation set and delivers on the test set, by its kind."""
    table = group.table("choosing")
    if table is None or len(table) < 2:
        return ""
    n, d = shown_n(table), max(group.digits, 3)
    one, chosen = row_dict(table, 0), row_dict(table, n - 1)
    text = (
        f"Choosing among {count(n, 'run')} by the validation score {_gains(one, chosen, d)}: the "
        f"chosen run has {number(chosen['expected_dev'], d)} on the validation set and "
        f"{number(chosen['expected_test'], d)} on the test set; the mean run has "
        f"{number(one['mean_test'], d)}."
    )
    return f"{text} {_of_evaluations(group, d)}"


def shown_n(table: pd.DataFrame) -> int:
    """The number of runs to choose from that sentences name."""
    return next((n for n in SHOWN_N if n <= len(table)), len(table))


def _of_evaluations(group: GroupResults, d: int) -> str:
    evaluations, both = group.table("choosing_evaluations"), group.table("choosing_both")
    if evaluations is None or both is None:
        return f"Choosing among evaluations: {group.reason('choosing_evaluations')}"
    last, best = row_dict(evaluations, 0), row_dict(evaluations, len(evaluations) - 1)
    n = shown_n(both)
    chosen = row_dict(both, n - 1)
    text = (
        f"Choosing the best of {count(int(best['n']), 'evaluation')} within a run, in place of the last, "
        f"{_gains(last, best, d)}: {number(best['expected_dev'], d)} on the validation set, "
        f"{number(best['expected_test'], d)} on the test set."
    )
    if len(both) < 2:
        return text
    return (
        f"{text} Choosing both, among {count(n, 'run')} at their best evaluation "
        f"{_gains(last, chosen, d)}: {number(chosen['expected_dev'], d)} and "
        f"{number(chosen['expected_test'], d)}."
    )


def _gains(one: dict[str, Any], chosen: dict[str, Any], d: int) -> str:
    promised = float(chosen["expected_dev"]) - float(one["expected_dev"])
    delivered = float(chosen["expected_test"]) - float(one["mean_test"])
    return f"promises {promised:+.{d}f} and delivers {delivered:+.{d}f} on the test set"
