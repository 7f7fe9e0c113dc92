"""Write the table of techniques in docs/how-to/recipes.md from seedlab/techniques."""

from __future__ import annotations

from pathlib import Path

from seedlab.spec.recipe import TECHNIQUES

PAGE = Path(__file__).parent / "how-to" / "recipes.md"
FIRST, LAST = "| longer training |", "| RMSE as loss |"
"""The rows before and after those of the techniques."""


def with_table(text: str) -> str:
    """Return the page with the rows that the techniques have now."""
    lines = text.splitlines(keepends=True)
    [before] = [n for n, line in enumerate(lines) if line.startswith(FIRST)]
    [after] = [n for n, line in enumerate(lines) if line.startswith(LAST)]
    rows = [f"{technique.documentation.row()}\n" for technique in TECHNIQUES.values()]
    return "".join([*lines[: before + 1], *rows, *lines[after:]])


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text()))
