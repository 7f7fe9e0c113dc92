"""The documentation is true: commands parse, the tutorial runs, links lead somewhere."""

from __future__ import annotations

import re
import runpy
import shlex
from pathlib import Path

import pytest

from seedlab.commands.cli import main
from seedlab.config.overrides import rewrite

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    page
    for folder in (ROOT, ROOT / "docs", ROOT / "experiments")
    for page in (folder.glob("*.md") if folder == ROOT else folder.rglob("*.md"))
)
BLOCK = re.compile(r"^```(?:console)?\n(.*?)^```", re.M | re.S)


def commands(page: Path) -> list[list[str]]:
    """Return the `seedlab` commands in a page's code blocks."""
    lines = "\n".join(BLOCK.findall(page.read_text())).replace("\\\n", " ").splitlines()
    found = [line.split("  #")[0].strip() for line in lines]
    found = [re.sub(r"^(\$ )?([A-Z_]+=\S+ )*", "", line) for line in found]
    return [shlex.split(line)[1:] for line in found if line.startswith("seedlab ")]


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_name_what_exists(page: Path) -> None:
    for words in commands(page):
        if words[0] == "run":
            rewrite([word for word in words[1:] if word != "..."])


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_the_table_of_techniques_is_the_codes() -> None:
    """`make docs` writes it."""
    written = runpy.run_path(str(ROOT / "docs" / "write_technique_table.py"))
    page = written["PAGE"].read_text()
    assert written["with_table"](page) == page


@pytest.mark.slow
def test_the_tutorial_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for words in commands(ROOT / "docs" / "tutorial.md"):
        assert main(words) == 0
    assert (tmp_path / "tutorial-model" / "model.safetensors").is_file()
