"""The runs' votes, or the spread of their predictions, example by example."""

from __future__ import annotations

import textwrap

import altair as alt
import numpy as np
import pandas as pd

from analysis.figures.theme import (
    DASHES,
    MUTED,
    NAVY,
    ORANGE,
    Chart,
    rows,
    series_scale,
    sized,
    spots,
    styled,
)

ALL, GOOD = "all runs", "runs that did not fail"
MOST_POINTED = 300
"""Examples with a tooltip."""
MOST_LEVELS = 500
"""Levels of a line; more are indistinguishable."""
TOOLTIP_TEXT = 120


def votes_figure(table: pd.DataFrame, *, title: str = "") -> Chart:
    """The share of runs that are right on each example; examples sorted by it.

    Parameters
    ----------
    table : DataFrame
        `consistency.example_table` of a classification.

    Returns
    -------
    altair chart
        Examples that flip lie between the dashed lines. Where runs failed, a second line has
        the others alone.
    """
    lines = [_sorted(table["share_correct"], ALL)]
    if table["n_failed"].iloc[0] and table["share_correct_good"].notna().all():
        lines.append(_sorted(table["share_correct_good"], GOOD))
    names = [line["series"].iloc[0] for line in lines]
    y = alt.Y(
        "value:Q",
        title="share of runs that are right",
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(values=[0, 0.25, 0.5, 0.75, 1], format=".0%"),
    )
    quarters = (
        alt.Chart(rows(pd.DataFrame({"value": [0.25, 0.75]})))
        .mark_rule(color=MUTED, strokeDash=[3, 3])
        .encode(y=y)
    )
    line = (
        alt.Chart(rows(pd.concat(lines)))
        .mark_line(strokeWidth=2.2)
        .encode(
            x=_examples_axis(),
            y=y,
            order="number:Q",
            color=alt.Color(
                "series:N",
                scale=series_scale(names, (NAVY, ORANGE)),
                legend=alt.Legend(symbolType="stroke") if len(names) > 1 else None,
            ),
            strokeDash=alt.StrokeDash("series:N", scale=series_scale(names, DASHES)),
        )
    )
    tooltip = [
        alt.Tooltip("value:Q", title="runs that are right", format=".0%"),
        alt.Tooltip("vote_entropy:Q", title="entropy of the votes (bits)", format=".2f"),
    ]
    # Examples on which all agree are many, and alike.
    divided = _placed(table, "share_correct").loc[lambda t: t["vote_entropy"] > 0]
    pointed = _pointed(divided, ["vote_entropy"], y, tooltip)
    return styled(sized(alt.layer(quarters, line, pointed)), title)


def spread_figure(table: pd.DataFrame, *, title: str = "") -> Chart:
    """The standard deviation over runs of the prediction for each example; sorted by it.

    Parameters
    ----------
    table : DataFrame
        `consistency.example_table` of a regression.
    """
    y = alt.Y("value:Q", title="sd of the prediction over runs", scale=alt.Scale(domainMin=0))
    line = (
        alt.Chart(rows(_sorted(table["sd_prediction"], ALL)))
        .mark_line(strokeWidth=2.2, color=NAVY)
        .encode(x=_examples_axis(), y=y, order="number:Q")
    )
    tooltip = [
        alt.Tooltip("value:Q", title="sd over runs", format=".4~g"),
        alt.Tooltip("mean_prediction:Q", title="mean prediction", format=".4~g"),
    ]
    pointed = _pointed(_placed(table, "sd_prediction"), ["mean_prediction"], y, tooltip)
    return styled(sized(alt.layer(line, pointed)), title)


def _examples_axis() -> alt.X:
    return alt.X(
        "place:Q",
        title="share of examples, sorted",
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(format=".0%", tickCount=5),
    )


def _sorted(values: pd.Series, series: str) -> pd.DataFrame:
    """Values in ascending order against the share of examples: both ends of every level."""
    known = np.sort(values.to_numpy(dtype=np.float64))
    if len(np.unique(known)) > MOST_LEVELS:
        known = np.quantile(known, np.linspace(0, 1, MOST_LEVELS))
    levels, sizes = np.unique(known, return_counts=True)
    after = np.cumsum(sizes) / len(known)
    place = np.column_stack([np.concatenate([[0.0], after[:-1]]), after]).ravel()
    return pd.DataFrame({"series": series, "place": place, "value": np.repeat(levels, 2)}).assign(
        number=range(2 * len(levels))
    )


def _placed(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """The examples at their places on the axis, in the middle of their part of the line."""
    ranked = table.sort_values(column, kind="stable")
    place = (np.arange(len(ranked)) + 0.5) / len(ranked)
    return ranked.assign(place=place, value=ranked[column])


def _pointed(
    examples: pd.DataFrame, fields: list[str], y: alt.Y, tooltip: list[alt.Tooltip]
) -> Chart:
    """Unseen points with tooltips for some examples, evenly spread over the line."""
    kept = np.linspace(0, len(examples) - 1, min(len(examples), MOST_POINTED)).round().astype(int)
    shown = examples.iloc[kept][["place", "value", "example", "label", "text", *fields]]
    known = [alt.Tooltip("example:Q", format="d"), alt.Tooltip("label:Q", format="~g")]
    if shown["text"].notna().any():
        short = shown["text"].map(lambda text: textwrap.shorten(str(text), TOOLTIP_TEXT))
        shown = shown.assign(text=short)
        known.append(alt.Tooltip("text:N"))
    else:
        shown = shown.drop(columns="text")
    return spots(alt.Chart(rows(shown)), x=_examples_axis(), y=y, tooltip=[*known, *tooltip])
