"""Texts of a figure, as the figure library can draw them.

Vega cuts a text that is longer than its limit between two units of UTF-16. That may be in the
middle of an emoji; the library then ends with an error. A NUL character aborts the process. So
texts of such characters are cut here, between grapheme clusters (Unicode Standard Annex 29).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import regex

from analysis.names import unprintable

AXIS_LIMIT = 180
"""Vega's own limit of an axis label in pixels, where a figure sets none."""
# Pixels of a wide letter at sizes 11 and 13; an emoji takes two cells.
CELL = 8.0
LARGE_CELL = 10.0
ELLIPSIS = "\u2026"
_LIMITS = ("labelLimit", "titleLimit")
# Expressions of Vega are no texts.
_CODE = frozenset({"filter", "calculate", "labelExpr", "expr", "test", "$schema"})


def drawable(spec: dict[str, Any]) -> dict[str, Any]:
    """A Vega-Lite specification whose texts can be drawn, and cut by Vega anywhere.

    Texts in which every character is one unit of UTF-16 stay as they are. Others are cut to the
    smallest limit of the figure, at the end of a grapheme cluster. Texts that differ stay
    different. A character that can't be drawn becomes U+FFFD.
    """
    delicate = dict.fromkeys(text for text in _texts(spec) if _is_delicate(text))
    if not delicate:
        return spec
    cells = int(min([AXIS_LIMIT, *_limits(spec)]) / CELL)
    shown: dict[str, str] = {}
    for text in delicate:
        shown[text] = _unused(text, cells, set(shown.values()))
    # Figures of one page share their data sets by name.
    shown |= {name: f"{name}-{cells}" for name in spec.get("datasets", {})}
    changed: dict[str, Any] = _mapped(spec, lambda text: shown.get(text, text))
    return changed


def fitting(text: str, pixels: float) -> str:
    """A line of large type that Vega may cut at `pixels`; cut here if it is delicate."""
    return cut(text, int(pixels / LARGE_CELL)) if _is_delicate(text) else text


def cut(text: str, cells: int) -> str:
    """A text of lines of at most `cells` cells, cut between grapheme clusters; emoji have two."""
    return "\n".join(_cut_line(line, cells) for line in text.split("\n"))


def _cut_line(text: str, cells: int) -> str:
    clusters = [
        "\ufffd" if unprintable(cluster) else cluster for cluster in regex.findall(r"\X", text)
    ]
    if sum(map(_cells, clusters)) <= cells:
        return "".join(clusters)
    kept, room = "", cells - 1
    for cluster in clusters:
        room -= _cells(cluster)
        if room < 0:
            break
        kept += cluster
    return kept + ELLIPSIS


def _unused(text: str, cells: int, taken: set[str]) -> str:
    made, number = cut(text, cells), 2
    while made in taken:
        made = f"{cut(text, cells - len(str(number)) - 1)} {number}"
        number += 1
    return made


def _is_delicate(text: str) -> bool:
    return any(_is_delicate_line(line) for line in text.split("\n"))


def _is_delicate_line(text: str) -> bool:
    if text.isascii():
        return not text.isprintable()
    return unprintable(text) is not None or any(
        len(cluster) > 1 or cluster > "\uffff" for cluster in regex.findall(r"\X", text)
    )


def _cells(cluster: str) -> int:
    return 1 if len(cluster) == 1 and ord(cluster) < 0x1100 else 2


def _texts(part: Any, key: str = "") -> Iterator[str]:
    if isinstance(part, str):
        if key not in _CODE:
            yield part
    elif isinstance(part, dict):
        for name, inner in part.items():
            yield from _texts(inner, name)
    elif isinstance(part, list):
        for inner in part:
            yield from _texts(inner, key)


def _limits(part: Any) -> Iterator[float]:
    if isinstance(part, dict):
        for name, inner in part.items():
            if name in _LIMITS and isinstance(inner, int | float):
                # Vega reads a limit of 0 as none.
                if inner > 0:
                    yield inner
            elif name != "datasets":
                yield from _limits(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from _limits(inner)


def _mapped(part: Any, change: Callable[[str], str], key: str = "") -> Any:
    if isinstance(part, str):
        return part if key in _CODE else change(part)
    if isinstance(part, dict):
        return {
            (change(name) if key == "datasets" else name): _mapped(inner, change, name)
            for name, inner in part.items()
        }
    if isinstance(part, list):
        return [_mapped(inner, change, key) for inner in part]
    return part
