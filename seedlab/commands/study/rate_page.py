"""The page of a dry run's learning rates: `seedlab run dry=true --rates FILE.html`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from seedlab.errors import SeedlabError

if TYPE_CHECKING:
    from seedlab.application.collected_rates import Floats

FLAG = "--rates"
MARK = "<!-- learning rates of a dry run of seedlab -->"
"""First line of a page, by which a later dry run knows that it may replace the file."""


def check_place(path: Path) -> None:
    """Refuse a file that the page can't be written to.

    Raises
    ------
    SeedlabError
        When the name does not end in .html, the folder is missing, or the file is another one.
    """
    if path.suffix != ".html":
        raise SeedlabError(f"{FLAG} {path} must end in .html: the figure is a page for a browser.")
    if not path.parent.is_dir():
        raise SeedlabError(
            f"{FLAG} {path}: the folder {path.parent} does not exist; make it, or name another one."
        )
    if path.is_dir() or (path.exists() and not _is_ours(path)):
        raise SeedlabError(
            f"{FLAG} {path} exists, and no dry run has written it; name another file, or remove it."
        )


def write_page(schedules: Sequence[tuple[str, Floats]], path: Path) -> None:
    """Write the figures of some schedules, (label, (step, depth) rates), as one page."""
    from analysis.figures.steps.rates import depth_lines, rate_figure
    from analysis.report.html.figure_page import figure_page

    page = figure_page(
        "Learning rates",
        "Point at a step to see the rates of all depths. Layers are counted from the bottom.",
        [(label, rate_figure(depth_lines(rates))) for label, rates in schedules],
    )
    path.write_text(f"{MARK}\n{page}", encoding="utf-8")


def _is_ours(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(MARK)) == MARK.encode()
