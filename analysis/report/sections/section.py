"""A section of the report: figures with their readings, tables, and what is missing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pandas as pd

from analysis.errors import AnalysisError
from analysis.figures.theme import Chart, spec_of


@dataclasses.dataclass(frozen=True)
class Panel:
    """One figure of the report: its file stem, heading, computed reading and specification.

    ``link`` is the stem of the panel whose parameter ``chosen`` follows the
    cell under the pointer.
    """

    stem: str
    heading: str
    reading: str
    spec: dict[str, Any]
    link: str = ""


@dataclasses.dataclass
class Section:
    """A part of the report: panels, tables (caption, frame), and notes on what is missing.

    ``narrow`` panels stand three abreast where there is room, else two.
    """

    anchor: str
    title: str
    lead: str = ""
    narrow: bool = False
    panels: list[Panel] = dataclasses.field(default_factory=list)
    tables: list[tuple[str, pd.DataFrame]] = dataclasses.field(default_factory=list)
    missing: list[str] = dataclasses.field(default_factory=list)

    def add(
        self,
        stem: str,
        heading: str,
        reading: str,
        draw: Callable[..., Chart],
        *data: object,
        link: str = "",
        **options: object,
    ) -> None:
        """Add the panel that `draw` makes of `data`, or note why it cannot be drawn."""
        try:
            self.panels.append(Panel(stem, heading, reading, spec_of(draw(*data, **options)), link))
        except AnalysisError as error:
            self.missing.append(f"{heading}: {error}")
