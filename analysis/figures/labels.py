"""Long names in a figure: broken into lines, so that none is cut."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import regex

LINE = 26
"""Characters of a line of an axis's labels."""
LEGEND_LINE = 44
MOST_LINES = 4
LINE_HEIGHT = 14
"""Height of a line of text in pixels."""
SPLIT = "split(datum.label, '\\n')"
"""Vega's expression for a label of several lines."""


def folded(names: Sequence[str], line: int = LINE) -> dict[str, str]:
    """Names with line breaks, all different where the names are.

    Parameters
    ----------
    names : sequence of str
    line : int, at least 4
        Characters of a line. Lines end after a blank, a hyphen, an underscore, a comma or a slash
        where there is one.

    Returns
    -------
    dict
        The folded text of every name. Of more than four lines the first three and the last are
        kept, with "..." between them, and a number where two names would look alike.
    """
    made: dict[str, str] = {}
    taken: set[str] = set()
    for name in dict.fromkeys(names):
        lines = _lines(name, line)
        if len(lines) > MOST_LINES:
            lines = [*lines[:2], lines[2] + "...", lines[-1]]
        text, number = "\n".join(lines), 2
        while text in taken:
            text, number = "\n".join([*lines, f"({number})"]), number + 1
        taken.add(text)
        made[name] = text
    return made


def _lines(name: str, line: int) -> list[str]:
    lines = [""]
    for part in regex.findall(r"[^\s_,/-]*[\s_,/-]*", name):
        if len(lines[-1]) + len(part.rstrip()) > line and lines[-1]:
            lines.append("")
        for cluster in regex.findall(r"\X", part):
            if len(lines[-1]) + len(cluster.rstrip()) > line and lines[-1]:
                lines.append("")
            lines[-1] += cluster
    return [text.rstrip() for text in lines]


def tallest(texts: Sequence[str]) -> int:
    """Pixels that the label with the most lines takes."""
    return LINE_HEIGHT * max((text.count("\n") + 1 for text in texts), default=1)


def apart(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places of labels at least `gap` apart, near the wanted ones and in their order.

    Parameters
    ----------
    places : sequence of float
        Wanted places.
    gap : float
        In the same units.
    low, high : float
        The labels lie between them where so many fit.
    """
    order = sorted(range(len(places)), key=lambda i: places[i])
    found, least = list(places), low
    for i in order:
        found[i] = least = max(places[i], least)
        least += gap
    most = max(high, low + gap * (len(places) - 1))
    for i in reversed(order):
        found[i] = most = min(found[i], most)
        most -= gap
    return found


def name_axis(**options: object) -> alt.Axis:
    """An axis of folded names."""
    return alt.Axis(labelExpr=SPLIT, labelLimit=0, ticks=False, **options)


def name_legend(names: Sequence[str], **options: object) -> alt.Legend:
    """A legend of folded names, in two columns where all are short."""
    columns = 1 if max(map(len, names), default=0) > 20 else 2
    settings: dict[str, object] = {"columns": columns, "labelExpr": SPLIT, "labelLimit": 0}
    return alt.Legend(**(settings | options))
