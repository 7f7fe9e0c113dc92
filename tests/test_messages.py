"""Every refusal in the source ends with a full stop, and no two sentences or full stops meet.

The scan reads the text of ``raise SomeError("...")``, with gaps where values are filled in.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
REFUSALS = {"SeedlabError", "AnalysisError", "TableError", "DesignError", "OptionError"}
"""Not `CorruptRunError` and errors of workers: their texts become parts of other sentences."""
ENDS = re.compile(r"nearest|hint|tail|^(error|message|instead)$|remedy")
"""Values that end a message with a full stop or a question mark of their own."""
TEXTS_OF_OTHERS = re.compile(r"\berror\b")
GAP = "\N{WHITE SQUARE}"
Message = tuple[str, int, list[str | ast.expr]]


def parts(node: ast.expr) -> list[str | ast.expr]:
    """Return the texts of a string and the values between them."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.JoinedStr):
        return [
            str(piece.value) if isinstance(piece, ast.Constant) else piece.value
            for piece in node.values
            if isinstance(piece, ast.Constant | ast.FormattedValue)
        ]
    return [node]


def messages(*folders: str) -> Iterator[Message]:
    for path in sorted(p for folder in folders for p in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in REFUSALS
                and node.args
                and isinstance(node.args[0], ast.Constant | ast.JoinedStr)
            ):
                yield str(path.relative_to(ROOT)), node.lineno, parts(node.args[0])


def faults(pieces: list[str | ast.expr]) -> Iterator[str]:
    """Yield what is wrong with the punctuation of one message."""
    last, values = pieces[-1], [ast.unparse(p) for p in pieces if not isinstance(p, str)]
    if isinstance(last, str):
        if not last.endswith((".", "?")):
            yield f"ends without a full stop: ...{last[-40:]!r}"
    elif not ENDS.search(values[-1]):
        yield f"ends with a value: {values[-1]}"
    for value, after in itertools.pairwise(pieces):
        if isinstance(value, ast.expr) and isinstance(after, str) and re.match(r"\.( |$)", after):
            text = ast.unparse(value)
            if TEXTS_OF_OTHERS.search(text) and "rstrip" not in text and "_reason(" not in text:
                yield f"a full stop after a text that may have one: {text}"
    text = "".join(p if isinstance(p, str) else GAP for p in pieces)
    if found := re.search(r"(?<!\.)\.\.(?!\.)|[?!]\.|\s[.,;](?!\.|[a-z])|;;|,,", text):
        yield f"doubled or misplaced: {text[max(0, found.start() - 20) : found.end() + 5]!r}"
    capital = r"[a-z0-9')\]" + GAP + r"] (It|The|Use|Give|Name|Write|Rename|Without|With|Allowed)\b"
    if found := re.search(capital, text):
        before = text[max(0, found.start() - 20) : found.start() + 1]
        # `nearest` stands between a full stop and the next sentence; `missing` has its own end.
        if not re.search(rf"[.?]{GAP}$| is {GAP}$", before):
            yield f"a sentence begins without an end of the one before: {before!r} {found[1]}"


ALL = list(messages("seedlab", "analysis", "hydra_plugins"))


def test_punctuation_of_refusals() -> None:
    found = [f"{path}:{line} {fault}" for path, line, made in ALL for fault in faults(made)]
    assert found == []
    assert len(ALL) > 250


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("'no such file'", "ends without"),
        ("f'{path}: {value}'", "ends with a value: value"),
        ("f'{path}: {error}.'", "may have one: error"),
        ("f'it failed.. {path}.'", "doubled"),
        ("f'the column {a} is missing{hint} It holds: {b}.'", "without an end"),
        ("f'it is {a} ; leave it out.'", "doubled or misplaced"),
    ],
)
def test_the_scan_sees_what_it_is_for(source: str, fault: str) -> None:
    assert any(fault in found for found in faults(parts(ast.parse(source, mode="eval").body)))
