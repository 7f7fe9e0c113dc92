"""A heat map of mean scores over two swept numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd

from analysis.figures.sweeps.axis import value_name
from analysis.figures.theme import INK, SCHEME, Chart, rows, sized, styled

CELL = 46


def sweep_heatmap(
    table: pd.DataFrame, settings: Sequence[str], metric: str, *, up: bool, title: str = ""
) -> Chart:
    """Mean scores over two swept numbers.

    Parameters
    ----------
    table : DataFrame
        Of `sweeps.sweep_table`, over two settings.
    settings : two str
        Of the horizontal and of the vertical axis.
    metric : str
    up : bool
        Whether higher is better.
    title : str

    Returns
    -------
    altair chart
        Each cell has its mean and, where runs failed, their number. The best mean is framed.
    """
    shown = table.assign(
        x=[value_name(float(v)) for v in table["value"]],
        y=[value_name(float(v)) for v in table["value_2"]],
        lost=[
            f"{round(s * n)}/{n} failed" if s > 0 else ""
            for s, n in zip(table["failed_share"], table["n"], strict=True)
        ],
    )
    orders = [
        [value_name(v) for v in sorted(table[c].unique(), key=lambda v: (not math.isnan(v), v))]
        for c in ("value", "value_2")
    ]
    low, high = float(table["mean"].min()), float(table["mean"].max())
    middle = (low + high) / 2
    dark = f"datum.mean {'<' if up else '>'} {middle:.6g}"
    columns = ["x", "y", "mean", "lower", "upper", "n", "failed_share", "best", "lost", "is_best"]
    base = alt.Chart(rows(shown[columns])).encode(
        x=alt.X("x:O", title=settings[0], sort=orders[0], axis=alt.Axis(labelAngle=0, ticks=False)),
        y=alt.Y("y:O", title=settings[1], sort=orders[1][::-1], axis=alt.Axis(ticks=False)),
    )
    better = "higher is better" if up else "lower is better"
    filled = base.mark_rect(stroke="white").encode(
        color=alt.Color(
            "mean:Q",
            scale=alt.Scale(
                scheme=SCHEME,
                reverse=not up,
                nice=False,
                domain=[low, high] if high > low else [low - 0.01, high + 0.01],
            ),
            legend=alt.Legend(
                title=f"mean {metric} ({better})", gradientLength=180, format=".3~g", orient="top"
            ),
        ),
        tooltip=[
            alt.Tooltip("x:N", title=settings[0]),
            alt.Tooltip("y:N", title=settings[1]),
            alt.Tooltip("mean:Q", title=f"mean {metric}", format=".4~f"),
            alt.Tooltip("lower:Q", title="95% from", format=".4~f"),
            alt.Tooltip("upper:Q", title="to", format=".4~f"),
            alt.Tooltip("n:Q", title="runs"),
            alt.Tooltip("failed_share:Q", title="failed", format=".0%"),
            alt.Tooltip("best:Q", title="best run", format=".4~f"),
        ],
    )
    ink = alt.condition(dark, alt.value("white"), alt.value(INK))
    texts = [
        base.mark_text(fontSize=11, dy=-6).encode(text=alt.Text("mean:Q", format=".3f"), color=ink),
        base.mark_text(fontSize=9, dy=8).encode(text="lost:N", color=ink),
    ]
    frame = base.transform_filter("datum.is_best").mark_rect(
        filled=False, stroke=INK, strokeWidth=2.5
    )
    height = int(np.clip(CELL * len(orders[1]), 100, 460))
    return styled(sized(alt.layer(filled, *texts, frame), height=height), title)
