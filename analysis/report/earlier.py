"""The files of an earlier report in a folder, which a new report may replace."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from analysis.errors import OptionError
from analysis.figures.theme import FORMATS

PAGE, SUMMARY = "report.html", "summary.json"
METHODS = ("methods.md", "methods.bib")
FIGURES, TABLES = "figures", "tables"
_KEYS = frozenset({"source", "seed", "groups", "answer", "figures", "tables"})


def check_folder(folder: Path) -> None:
    """Refuse a folder that holds another program's page, figures or tables, before any work.

    Raises
    ------
    OptionError
        Naming the files.
    """
    names = {PAGE, SUMMARY}
    if not earlier_files(folder):
        kinds = [(FIGURES, form) for form in FORMATS] + [(TABLES, "csv")]
        names |= {
            f"{part}/{f.name}" for part, form in kinds for f in (folder / part).glob(f"*.{form}")
        }
    check_files(folder, names)


def check_files(folder: Path, names: Iterable[str]) -> None:
    """Refuse to replace files that no report of seedlab has written.

    Parameters
    ----------
    folder : pathlib.Path
    names : iterable of str
        Files that will be written, from the folder on.

    Raises
    ------
    OptionError
        Naming those that are there and do not belong to an earlier report.
    """
    foreign = sorted({n for n in names if os.path.lexists(folder / n)} - earlier_files(folder))
    if foreign:
        more = f" and {len(foreign) - 3} more" if len(foreign) > 3 else ""
        raise OptionError(
            f"{folder} holds {', '.join(foreign[:3])}{more}, which no report of seedlab has written; "
            "nothing is replaced. Name a new folder with --out, or replace them with --overwrite."
        )


def earlier_files(folder: Path) -> set[str]:
    """Return the files of an earlier report, from the folder on; empty without such a report."""
    try:
        summary = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return set()
    if not isinstance(summary, dict) or not summary.keys() >= _KEYS:
        return set()
    names = (_plain(summary.get(part)) for part in ("figures", "tables", "paper_tables", "texts"))
    return report_files(*names)


def report_files(
    figures: Iterable[str],
    tables: Iterable[str],
    papers: Iterable[str],
    texts: Iterable[str] = METHODS,
) -> set[str]:
    """Return the files of a report, from its folder on."""
    return {
        PAGE,
        SUMMARY,
        *(f"{FIGURES}/{stem}.{form}" for stem in figures for form in FORMATS),
        *(f"{TABLES}/{name}.csv" for name in tables),
        *(f"{TABLES}/{name}.{form}" for name in papers for form in ("md", "tex")),
        *(f"{TABLES}/{name}" for name in texts),
    }


def _plain(names: object) -> list[str]:
    """Return the names that lead to no other folder."""
    listed = names if isinstance(names, list) else []
    return [name for name in listed if isinstance(name, str) and Path(name).name == name]
