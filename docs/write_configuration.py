"""Write docs/reference/configuration.md from the dataclasses of seedlab/spec and seedlab/techniques."""

from __future__ import annotations

from pathlib import Path

from seedlab.application.defaults import default_values
from seedlab.config.keys import Key, choices, key_sections

PAGE = Path(__file__).parent / "reference" / "configuration.md"
HEAD = """\
# Configuration: every key of `seedlab run`

`make docs` writes this page from the code; `seedlab run --help` prints the same. A key is set with `KEY=VALUE`
(`recipe.epochs=5`), and swept with `-m` and several values (`recipe.epochs=3,5`, `'seed.init=range(0,5)'`). The defaults are those
without any override. A task, a recipe or an engine that is chosen with `GROUP=NAME` sets several keys:
`seedlab run task=rte recipe=mosbach2021 --cfg job` prints all values.

## Groups

| group | names |
|---|---|
"""


def page() -> str:
    """Return the page."""
    lines = [f"| `{group}` | {', '.join(names)} |" for group, names in choices().items()]
    for section in key_sections(default_values()):
        title = f"`{section.name}`" if section.name else "Other keys"
        lines += ["", f"## {title}", "", section.purpose, ""]
        lines += ["| key | default | meaning | allowed |", "|---|---|---|---|"]
        lines += [_row(key) for key in section.keys]
    return HEAD + "\n".join(lines) + "\n"


def _row(key: Key) -> str:
    cells = [f"`{key.name}`", f"`{key.default}`", key.meaning, key.allowed]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page())
