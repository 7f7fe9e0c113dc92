"""Parts of a report, each of which yields panels, tables and notes.

A part is one figure or one table of the report, with its caption. It states the condition under
which it is shown, and the note that stands in its place otherwise.
`analysis.report.contents` lists all parts in the order of the page.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Literal, Protocol

import pandas as pd

from analysis.errors import AnalysisError
from analysis.figures.theme import Chart, spec_of
from analysis.report.results.group_results import GroupResults
from analysis.report.results.report_results import ReportResults

Per = Literal["group", "task", "study"]


@dataclasses.dataclass(frozen=True)
class Panel:
    """One drawn figure of the page.

    Attributes
    ----------
    stem : str
        Name of its files without extension; unique within a report.
    heading : str
    caption : str
        Sentences computed from the data that the figure shows.
    spec : dict
        Vega-Lite specification with its data.
    link : str
        Stem of the panel whose parameter ``chosen`` follows the cell under the pointer.
    fold : str
        Label of the group that it belongs to; empty for a panel on several groups.
    """

    stem: str
    heading: str
    caption: str
    spec: dict[str, Any]
    link: str = ""
    fold: str = ""


@dataclasses.dataclass(frozen=True)
class PageTable:
    """A small table on the page, with its caption."""

    caption: str
    frame: pd.DataFrame


@dataclasses.dataclass(frozen=True)
class TableFile:
    """A table to write as ``tables/NAME.csv``; frames of one name are put below each other."""

    name: str
    frame: pd.DataFrame


@dataclasses.dataclass(frozen=True)
class Lead:
    """A sentence of the section's introduction, for figures that show what it explains."""

    text: str


@dataclasses.dataclass(frozen=True)
class Missing:
    """A note that stands in the place of a result: the reason, and the remedy.

    Notes of several groups or tasks with one reason become one note, so `where` names them.
    """

    reason: str
    where: str = ""


Entry = Panel | PageTable | TableFile | Lead | Missing


class Part(Protocol):
    """One figure or table of the report; see `GroupFigure` for the ordinary case.

    Attributes
    ----------
    per : {"group", "task", "study"}
        Scope of the part. Consecutive parts of a section with the same scope are
        shown together, group by group (or task by task).
    """

    per: ClassVar[Per]

    def entries(self, groups: list[GroupResults], report: ReportResults) -> Iterator[Entry]:
        """Entries for some groups: one group, the groups of one task, or all groups."""
        ...


class GroupFigure(abc.ABC):
    """A part with one figure per group (task, model and recipe).

    A subclass names the figure, states when it applies, computes its caption and
    draws it. The files are ``figures/ID-GROUP.svg`` and so on; the heading is the
    group's label and the title.
    """

    per: ClassVar[Per] = "group"
    id: ClassVar[str]
    title: ClassVar[str] = ""

    @abc.abstractmethod
    def applies(self, group: GroupResults) -> bool:
        """Whether the group has the data for the figure."""

    def missing(self, group: GroupResults) -> str:
        """The reason printed where the figure does not apply; empty for no note."""
        return ""

    @abc.abstractmethod
    def caption(self, group: GroupResults) -> str:
        """Sentences computed from the same data as the figure."""

    @abc.abstractmethod
    def draw(self, group: GroupResults, report: ReportResults) -> Chart:
        """The chart. An `AnalysisError` becomes the note in its place."""

    def table(self, group: GroupResults) -> pd.DataFrame | None:
        """Rows of the figure's own table, ``tables/ID.csv`` with underscores; None for no table.

        Tables that the report computes already (`GroupResults.tables`) need none.
        """
        return None

    def lead(self, group: GroupResults) -> str:
        """A sentence for the section's introduction; empty for none."""
        return ""

    def link(self, group: GroupResults) -> str:
        """Stem of a panel that follows the cell under the pointer; empty for none."""
        return ""

    def entries(self, groups: list[GroupResults], report: ReportResults) -> Iterator[Entry]:
        """The panel of one group, or the note in its place."""
        (group,) = groups
        if self.applies(group):
            yield drawn(
                f"{self.id}-{group.stem}",
                f"{group.label}: {self.title}" if self.title else group.label,
                self.caption(group),
                lambda: self.draw(group, report),
                link=self.link(group),
                fold=group.label,
            )
            if text := self.lead(group):
                yield Lead(text)
            if (table := self.table(group)) is not None:
                yield TableFile(self.id.replace("-", "_"), table)
        elif reason := self.missing(group):
            yield Missing(reason, group.label)


VALIDATED = (
    "Scores over training are those of the validation set, although the report is on test scores."
)


def over_training(report_score: str, text: str = "") -> str:
    """A lead on scores over training, which says that they are validation scores."""
    return f"{text} {VALIDATED}".strip() if report_score == "test" else text


def drawn(
    stem: str,
    heading: str,
    caption: str,
    draw: Callable[[], Chart],
    *,
    link: str = "",
    fold: str = "",
) -> Panel | Missing:
    """The panel that `draw` makes, or a note with the reason why it is refused."""
    try:
        return Panel(stem, heading, caption, spec_of(draw()), link, fold)
    except AnalysisError as error:
        return Missing(f"{heading}: {error}")
