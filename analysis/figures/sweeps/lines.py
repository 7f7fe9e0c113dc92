"""Scores over a swept number: points, means with intervals, failures."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from analysis.figures.labels import LEGEND_LINE, folded, name_legend
from analysis.figures.sweeps.axis import SweptAxis, value_name
from analysis.figures.theme import (
    CROSS,
    DASHES,
    INK,
    ORANGE,
    SERIES,
    SHAPES,
    Chart,
    rows,
    score_axis,
    series_scale,
    sized,
    styled,
)

STEP = 0.022
"""Distance of two series at one value, as a share of the axis."""


def sweep_figure(
    runs: pd.DataFrame, table: pd.DataFrame, setting: str, metric: str, *, title: str = ""
) -> Chart:
    """Scores over one swept number.

    Parameters
    ----------
    runs : DataFrame
        ``series`` (str), ``value`` (of the setting), ``score, failed, init_seed, order_seed``.
    table : DataFrame
        ``series, value, n, mean, lower, upper, failed_share``, one row per series and value.
    setting, metric : str
        Titles of the axes.
    title : str

    Returns
    -------
    altair chart
        Every run is a point, a failed run a cross. Means are joined by lines, rules are their
        intervals. The axis is logarithmic where `is_log` says so, and has one place per value
        where a value is null.
    """
    names = list(dict.fromkeys(table["series"]))
    lines_of = folded(names, line=LEGEND_LINE)
    axis = SweptAxis(table["value"].to_numpy(dtype=np.float64))
    shift = {name: (k - (len(names) - 1) / 2) * STEP for k, name in enumerate(names)}
    of_runs = runs["series"].map(shift).to_numpy(np.float64)
    points = pd.DataFrame(
        {
            # Left of the mean, so that neither hides the other.
            "x": axis.places(runs["value"], of_runs - STEP / (1 if len(names) == 1 else 3)),
            "score": runs["score"],
            "value": [value_name(float(v)) for v in runs["value"]],
            "label": runs["series"].map(lines_of),
            "state": np.where(runs["failed"], "failed run", "run"),
            "seeds": runs["init_seed"].astype("str") + "/" + runs["order_seed"].astype("str"),
        }
    )
    means = table.assign(
        x=axis.places(table["value"], table["series"].map(shift).to_numpy(np.float64)),
        label=table["series"].map(lines_of),
        mark=table["series"].map(lines_of),
        shown=[value_name(float(v)) for v in table["value"]],
    )
    scale = score_axis([*points["score"], *table["lower"], *table["upper"]])
    x, y = axis.encoding(setting), alt.Y("score:Q", title=metric, scale=scale)
    looks = list(lines_of.values())
    several = name_legend(looks, symbolType="stroke", symbolStrokeWidth=3)
    of_series = several if len(looks) > 1 else None
    color = alt.Color(
        "label:N",
        scale=series_scale(looks, SERIES),
        legend=of_series,
    )
    states = [s for s in ("run", "failed run") if (points["state"] == s).any()]
    marks = alt.Scale(domain=states, range=["circle" if s == "run" else CROSS for s in states])
    base = alt.Chart(rows(points)).encode(
        x=x,
        y=y,
        tooltip=[
            alt.Tooltip("value:N", title=setting),
            *([alt.Tooltip("label:N", title="recipe")] if len(names) > 1 else []),
            alt.Tooltip("seeds:N", title="init/order seed"),
            alt.Tooltip("score:Q", title=metric, format=".4~f"),
            alt.Tooltip("state:N"),
        ],
    )
    legend = alt.Legend(symbolStrokeColor=INK, symbolSize=40) if "failed run" in states else None
    shape = alt.Shape("state:N", scale=marks, legend=legend)
    dots = base.mark_point(size=22, strokeWidth=1.2, strokeOpacity=0.75, opacity=1).encode(
        shape=shape,
        color=alt.condition("datum.state == 'failed run'", alt.value(ORANGE), color)
        if len(names) == 1
        else color,
    )
    drawn = alt.Chart(
        rows(means[["x", "mean", "lower", "upper", "label", "mark", "shown", "n", "failed_share"]])
    )
    tooltip = [
        alt.Tooltip("shown:N", title=setting),
        *([alt.Tooltip("label:N", title="recipe")] if len(names) > 1 else []),
        alt.Tooltip("mean:Q", title=f"mean {metric}", format=".4~f"),
        alt.Tooltip("lower:Q", title="95% from", format=".4~f"),
        alt.Tooltip("upper:Q", title="to", format=".4~f"),
        alt.Tooltip("n:Q", title="runs"),
        alt.Tooltip("failed_share:Q", title="failed", format=".0%"),
    ]
    at = alt.Y("mean:Q", title=metric, scale=scale)
    lines = drawn.mark_line(strokeWidth=1.2, strokeOpacity=0.8).encode(
        x=x,
        y=at,
        color=color,
        strokeDash=alt.StrokeDash("label:N", scale=series_scale(looks, DASHES), legend=of_series),
    )
    spans = drawn.mark_rule(strokeWidth=2.2).encode(
        x=x, y=alt.Y("lower:Q", title=metric, scale=scale), y2="upper:Q", color=color
    )
    middles = drawn.mark_point(size=58, filled=True, opacity=1).encode(
        x=x,
        y=at,
        color=color,
        # A field of its own: the legend of the lines names the series.
        shape=alt.Shape("mark:N", scale=series_scale(looks, SHAPES[3:] + SHAPES[:3]), legend=None),
        tooltip=tooltip,
    )
    layers = [dots, lines, spans, middles]
    if len(names) == 1 and table["failed_share"].gt(0).any():
        layers.append(_failures(means, x))
    return styled(sized(alt.layer(*layers).resolve_scale(shape="independent")), title)


def _failures(means: pd.DataFrame, x: alt.X) -> Chart:
    """The number of failed runs above every value that has one."""
    lost = means.loc[means["failed_share"] > 0]
    texts = [
        f"{round(s * n)}/{n} failed" for s, n in zip(lost["failed_share"], lost["n"], strict=True)
    ]
    return (
        alt.Chart(rows(lost[["x"]].assign(text=texts)))
        .mark_text(fontSize=10, color=ORANGE, baseline="bottom")
        .encode(x=x, y=alt.value(-2), text="text:N")
    )
