"""docs/extending.md shows the examples that the tests run, letter by letter."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "extending.md"
SHOWN = re.compile(r"^<!-- (tests/examples/\S+) -->\n+```\w+\n(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCKS = dict(SHOWN.findall(PAGE.read_text()))


def test_examples_are_shown() -> None:
    names = {Path(name).name for name in BLOCKS}
    assert names >= {"text_folders.py", "subj.py", "subj.yaml", "camembert.py"}


@pytest.mark.parametrize("name", BLOCKS)
def test_a_shown_example_is_the_one_that_is_tested(name: str) -> None:
    assert BLOCKS[name] == (ROOT / name).read_text()
