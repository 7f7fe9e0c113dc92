"""Sections of the report: the outline states their parts, filling it collects the entries."""

from __future__ import annotations

import dataclasses
import itertools

import pandas as pd

from analysis.report.results.report_results import ReportResults
from analysis.report.sections.part import (
    Entry,
    Lead,
    Missing,
    PageTable,
    Panel,
    Part,
    TableFile,
)

MOST_UNFOLDED = 4
"""Groups whose figures stand on the page unfolded."""


@dataclasses.dataclass
class Section:
    """A filled section: panels, tables on the page, tables in files, notes.

    Attributes
    ----------
    anchor, title, lead, narrow
        As in `Outline`.
    panels : list of Panel
    tables : list of (caption, frame)
    files : dict of frames by file name
    notes : dict of reason to list of str
        Where each result is missing.
    """

    anchor: str
    title: str
    lead: str = ""
    narrow: bool = False
    panels: list[Panel] = dataclasses.field(default_factory=list)
    tables: list[tuple[str, pd.DataFrame]] = dataclasses.field(default_factory=list)
    files: dict[str, pd.DataFrame] = dataclasses.field(default_factory=dict)
    notes: dict[str, list[str]] = dataclasses.field(default_factory=dict)

    @property
    def missing(self) -> list[str]:
        """The notes as sentences; one for all groups that share a reason."""
        texts = []
        for reason, places in self.notes.items():
            named = list(dict.fromkeys(place for place in places if place))
            where = "; ".join(named) if len(named) <= MOST_UNFOLDED else f"{len(named)} groups"
            texts.append(f"{where}: {reason}" if where else reason)
        return texts

    def folds(self) -> list[tuple[str, list[Panel]]]:
        """The panels as they stand on the page: (label of a fold, its panels).

        Panels without a label are always in view. Up to four groups stand under no label; of more,
        each has a fold, after the panels on several groups.
        """
        labels = list(dict.fromkeys(panel.fold for panel in self.panels if panel.fold))
        if len(labels) <= MOST_UNFOLDED:
            return [("", self.panels)] if self.panels else []
        loose = [panel for panel in self.panels if not panel.fold]
        of = {name: [p for p in self.panels if p.fold == name] for name in labels}
        return [*([("", loose)] if loose else []), *of.items()]

    def first_fold(self) -> int:
        """Place among `folds` of the first one with a label; it is open at first."""
        return next((k for k, (label, _) in enumerate(self.folds()) if label), -1)

    def add(self, entry: Entry) -> None:
        """Put an entry where it belongs."""
        match entry:
            case Panel():
                self.panels.append(entry)
            case PageTable():
                self.tables.append((entry.caption, entry.frame))
            case TableFile():
                above = [self.files[entry.name]] if entry.name in self.files else []
                self.files[entry.name] = pd.concat([*above, entry.frame], ignore_index=True)
            case Lead():
                if entry.text not in self.lead:
                    self.lead = f"{self.lead} {entry.text}".strip()
            case Missing():
                self.notes.setdefault(entry.reason, []).append(entry.where)


@dataclasses.dataclass(frozen=True)
class Outline:
    """A section before the data are known.

    Attributes
    ----------
    anchor : str
        Its address within the page.
    title, lead : str
        The heading, and the sentences that explain how to read the figures.
    parts : tuple of Part
        In the order of the page.
    narrow : bool
        Panels stand three abreast where there is room, else two.
    optional : bool
        Leave the section out where it has no panel, notes included.
    """

    anchor: str
    title: str
    lead: str
    parts: tuple[Part, ...]
    narrow: bool = False
    optional: bool = False

    def fill(self, report: ReportResults) -> Section:
        """Collect the entries of all parts."""
        section = Section(self.anchor, self.title, self.lead, self.narrow)
        for per, parts in itertools.groupby(self.parts, key=lambda part: part.per):
            together = list(parts)
            for groups in report.by(per):
                for part in together:
                    for entry in part.entries(groups, report):
                        section.add(entry)
        return section


def fill_sections(contents: tuple[Outline, ...], report: ReportResults) -> list[Section]:
    """All sections of the report that have something to show."""
    filled = [(outline, outline.fill(report)) for outline in contents]
    return [
        section
        for outline, section in filled
        if section.panels or (not outline.optional and (section.tables or section.notes))
    ]
