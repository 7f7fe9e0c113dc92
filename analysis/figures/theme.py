"""Colours, sizes, inline data and files: the common ground of all figures.

Colours differ in lightness as well as in hue. Every series also has its own dash or
shape, so that a grey print can be read.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import numpy.typing as npt
import pandas as pd
import vl_convert

from analysis.figures.drawable import drawable, fitting

Chart = Any
"""An altair Chart or LayerChart; altair's own annotations name neither in common."""

INK, MUTED, PALE = "#222222", "#767676", "#d9d9d9"
NAVY, ORANGE, TEAL, PURPLE, GOLD = "#1f3b73", "#d1661f", "#3f9f94", "#8e5ea8", "#b8860b"
SERIES = (NAVY, ORANGE, TEAL, PURPLE, GOLD, MUTED)
DASHES = ([1, 0], [7, 3], [2, 2], [9, 3, 2, 3], [4, 4], [1, 3])
SHAPES = ("circle", "triangle-up", "square", "diamond", "triangle-down", "cross")
SCHEME = "cividis"
CROSS = "M-1,-1L1,1M-1,1L1,-1"
WIDTH, HEIGHT = 460, 240
FONT = "Helvetica, Arial, Liberation Sans, sans-serif"
FORMATS = ("svg", "pdf", "png")
CONFIG: dict[str, Any] = {
    "font": FONT,
    "background": "white",
    "view": {"stroke": None},
    "axis": {
        "labelFontSize": 11,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "labelColor": INK,
        "titleColor": INK,
        "gridColor": "#ececec",
        "domainColor": MUTED,
        "tickColor": MUTED,
        "titlePadding": 6,
        "labelPadding": 5,
    },
    # Else the labels of close ticks run together.
    "axisX": {"labelSeparation": 8},
    "legend": {
        "orient": "top",
        "direction": "horizontal",
        "title": None,
        "labelFontSize": 11,
        "labelLimit": 260,
        "symbolStrokeWidth": 2,
        "columns": 2,
    },
    "title": {
        "fontSize": 13,
        "anchor": "start",
        "fontWeight": "bold",
        "color": INK,
        "limit": WIDTH,
    },
}


def series_scale(names: Sequence[str], looks: Sequence[object]) -> alt.Scale:
    """One look (colour, dash or shape) per series, from the first one again after the last.

    Dashes and shapes shift by one in every further turn of the colours, so that 36 series
    differ in colour or in dash.
    """
    turn = 0 if looks is SERIES else 1
    places = [(k + turn * (k // len(looks))) % len(looks) for k in range(len(names))]
    return alt.Scale(domain=list(names), range=[looks[place] for place in places])


def spots(base: Chart, **encoding: Any) -> Chart:
    """Unseen points that carry the tooltips of a line: a line itself has those of its first point."""
    return base.mark_point(size=90, filled=True, opacity=0).encode(**encoding)


def rows(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame as the data of a figure: six significant digits, no index, plain columns."""
    # Left a frame: altair copies lists of rows at every step of a chart's making.
    shown = frame.reset_index(drop=True)
    for name in shown.columns:
        if shown[name].dtype.kind == "f":
            shown[name] = _rounded(shown[name].to_numpy(dtype=np.float64))
        elif shown[name].dtype.kind not in "iub":
            shown[name] = shown[name].astype("object")
    return shown


def _rounded(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    # A zero's power is infinite, which some machines call an overflow.
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        power = 10.0 ** (5 - np.floor(np.log10(np.abs(values))))
        rounded = np.round(values * power) / power
    return np.where(np.isfinite(rounded), rounded, np.where(np.isfinite(values), values, np.nan))


def styled(chart: Chart, title: str | Sequence[str] = "") -> Chart:
    """The chart with the common configuration and a title."""
    # One shallow copy: every configure_...() of altair copies the whole chart deeply.
    made = chart.copy(deep=False)
    made.config = CONFIG
    if title:
        made.title = title
    return made


def sized(chart: Chart, *, width: int = WIDTH, height: int = HEIGHT) -> Chart:
    """The chart at a size in pixels; its plotting area, without axes."""
    made = chart.copy(deep=False)
    made.width, made.height = width, height
    return made


def score_axis(values: Sequence[float] | pd.Series, *, pad: float = 0.05) -> alt.Scale:
    """A scale that holds the values with a little air; scores need not start at zero."""
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    if not finite.size:
        return alt.Scale(zero=False)
    low, high = float(finite.min()), float(finite.max())
    air = (high - low) * pad or max(abs(high), 1e-3) * pad
    return alt.Scale(domain=[low - air, high + air], nice=False, zero=False)


def log_ticks(low: float, high: float) -> list[float]:
    """Ticks of a logarithmic axis: 1, 2 and 5 times powers of ten, or powers of ten alone."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if high / low < 2_000 else (1,)
    # From texts, so that 0.1 is 0.1.
    ticks = [float(f"{m}e{power}") for power in decades for m in steps]
    return [tick for tick in ticks if low <= tick <= high]


def save_figure(chart: Chart, stem: str | os.PathLike[str], *, title: str = "") -> list[Path]:
    """Write `stem`.svg, .pdf and .png (twice the size in pixels), without browser or network."""
    return save_spec(spec_of(chart) | ({"title": title} if title else {}), Path(stem))


def save_spec(spec: dict[str, Any], stem: Path) -> list[Path]:
    """As `save_figure`, for a specification."""
    # Through the one SVG, so that the three files show the same and layout is done once.
    if isinstance(title := spec.get("title"), str):
        spec = spec | {"title": fitting(title, WIDTH)}
    svg = vl_convert.vegalite_to_svg(spec, vl_version=vegalite_version())
    stem.parent.mkdir(parents=True, exist_ok=True)
    # Not with_suffix: a dot in a name is part of the name.
    paths = [stem.parent / f"{stem.name}.{kind}" for kind in FORMATS]
    paths[0].write_text(svg, encoding="utf-8")
    paths[1].write_bytes(vl_convert.svg_to_pdf(svg))
    paths[2].write_bytes(vl_convert.svg_to_png(svg, scale=2))
    return paths


def spec_of(chart: Chart) -> dict[str, Any]:
    """The Vega-Lite specification of a chart, its data in ``datasets``."""
    # Validation against the schema is for the tests: it takes half of the time.
    with alt.data_transformers.enable("default", max_rows=None):
        spec: dict[str, Any] = chart.to_dict(validate=False)
    return drawable(spec)


@functools.cache
def vegalite_version() -> str:
    """Version of Vega-Lite that altair writes for, as vl-convert names it."""
    return ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])
