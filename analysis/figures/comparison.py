"""Recipes or models against each other, over tasks, and where their predictions differ."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from analysis.figures.labels import LEGEND_LINE, folded, name_axis, name_legend, tallest
from analysis.figures.theme import (
    DASHES,
    INK,
    MUTED,
    NAVY,
    ORANGE,
    PURPLE,
    SERIES,
    TEAL,
    Chart,
    log_ticks,
    rows,
    series_scale,
    sized,
    spots,
    styled,
)

MEASURES = {
    "disagreement": ("pairwise disagreement", NAVY, "circle"),
    "fleiss": ("1 - Fleiss' kappa", ORANGE, "triangle-up"),
    "divergence": ("Jensen-Shannon divergence (bits)", TEAL, "square"),
    "sd_score": ("sd of the score", PURPLE, "diamond"),
}

SIGNAL = {
    "signal": ("between recipes (signal)", NAVY, "diamond"),
    "noise_steps": ("noise of late evaluations", ORANGE, "circle"),
}


def improvement(table: pd.DataFrame, *, title: str = "") -> Chart:
    """The probability that B beats A, for every comparison, with its interval.

    Parameters
    ----------
    table : DataFrame
        `compare.compare` with a column ``label`` that names the comparison.
    """
    names = ["meaningful", "significant only", "undecided"]
    verdict = [
        names[0] if m else (names[1] if s else names[2])
        for m, s in zip(
            table["meaningful"] | table["meaningful_reverse"],
            table["significant"] | table["significant_reverse"],
            strict=True,
        )
    ]
    lines_of = folded(list(table["label"]), line=34)
    crossed = table["crossed_difference"].where(table["crossed_p"].notna())
    shown = table.assign(
        verdict=verdict,
        label=table["label"].map(lines_of),
        # That of the test which the tables name: of pairs, where there are some.
        difference=crossed.fillna(table["paired_difference"]).fillna(table["welch_difference"]),
    )
    y = alt.Y("label:N", title=None, sort=None, axis=name_axis())
    x = alt.X(
        "improvement:Q",
        title="probability that B beats A (95% interval)",
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(values=[0, 0.25, 0.5, 0.75, 1], format=".2f"),
    )
    color = alt.Color(
        "verdict:N",
        scale=alt.Scale(domain=names, range=[NAVY, TEAL, MUTED]),
        legend=alt.Legend(columns=1),
    )
    shape = alt.Shape(
        "verdict:N", scale=alt.Scale(domain=names, range=["circle", "triangle-up", "square"])
    )
    fields = ["label", "improvement", "improvement_lower", "improvement_upper", "verdict"]
    fields += ["difference", "n_a", "n_b", "n_pairs"]
    base = alt.Chart(rows(shown[fields]))
    marks = pd.DataFrame({"at": [0.5, 0.75]})
    lines = (
        alt.Chart(rows(marks))
        .mark_rule(color=INK, strokeDash=[3, 3], strokeWidth=1)
        .encode(x="at:Q")
    )
    interval = base.mark_rule(strokeWidth=2).encode(
        x=alt.X("improvement_lower:Q", title="probability that B beats A (95% interval)"),
        x2="improvement_upper:Q",
        y=y,
        color=color,
    )
    point = base.mark_point(size=60, filled=True, opacity=1).encode(
        x=x,
        y=y,
        color=color,
        shape=shape,
        tooltip=[
            alt.Tooltip("label:N", title="comparison"),
            alt.Tooltip("improvement:Q", title="P(B beats A)", format=".2f"),
            alt.Tooltip("difference:Q", title="difference of means", format="+.4~f"),
            alt.Tooltip("n_a:Q", title="runs of A"),
            alt.Tooltip("n_b:Q", title="runs of B"),
            alt.Tooltip("n_pairs:Q", title="pairs"),
        ],
    )
    row = max(32, tallest(list(shown["label"])) + 8)
    return styled(sized(alt.layer(lines, interval, point), height=max(60, row * len(shown))), title)


def profiles(table: pd.DataFrame, *, title: str = "") -> Chart:
    """Performance profiles: the share of runs above each score, averaged over tasks.

    Parameters
    ----------
    table : DataFrame
        Rows of one metric of `robust_scores.profile_table` with a column ``label``.
    """
    lines_of = folded(list(table["label"]), line=LEGEND_LINE)
    table = table.assign(label=table["label"].map(lines_of))
    names = list(dict.fromkeys(table["label"]))
    x = alt.X(
        "threshold:Q", title=f"{table['metric'].iloc[0]}", scale=alt.Scale(zero=False, nice=False)
    )
    color = alt.Color(
        "label:N",
        scale=series_scale(names, SERIES),
        legend=name_legend(names, symbolType="stroke", symbolOpacity=1),
    )
    axis = alt.Axis(format=".0%", tickCount=5)
    base = alt.Chart(rows(table[["label", "threshold", "share", "lower", "upper"]]))
    band = base.mark_area(opacity=0.18).encode(
        x=x, y=alt.Y("lower:Q", title="share of runs beyond", axis=axis), y2="upper:Q", color=color
    )
    line = base.mark_line(strokeWidth=2).encode(
        x=x,
        y=alt.Y("share:Q", title="share of runs beyond", axis=axis),
        color=color,
        strokeDash=alt.StrokeDash("label:N", scale=series_scale(names, DASHES)),
    )
    hover = spots(
        base,
        x=x,
        y=alt.Y("share:Q", title="share of runs beyond", axis=axis),
        tooltip=[
            alt.Tooltip("label:N", title="recipe"),
            alt.Tooltip("threshold:Q", title="score", format=".4~f"),
            alt.Tooltip("share:Q", title="runs beyond", format=".0%"),
        ],
    )
    return styled(sized(alt.layer(band, line, hover)), title)


def instability_figure(table: pd.DataFrame, labels: list[str], *, title: str = "") -> Chart:
    """Instability of predictions, and the standard deviation of scores.

    Parameters
    ----------
    table : DataFrame
        `instability.instability`.
    labels : list of str
        One per row of `table`.
    """
    lines_of = folded(labels)
    long = (
        table.assign(label=[lines_of[label] for label in labels])
        .melt(
            id_vars=["label", "n_runs", "n_examples"],
            value_vars=list(MEASURES),
            var_name="measure",
            value_name="value",
        )
        .dropna(subset="value")
    )
    names = [v[0] for k, v in MEASURES.items() if (long["measure"] == k).any()]
    looks = {v[0]: v for v in MEASURES.values()}
    long["measure"] = long["measure"].map({k: v[0] for k, v in MEASURES.items()})
    chart = (
        alt.Chart(rows(long))
        .mark_point(size=70, filled=True, opacity=1)
        .encode(
            x=alt.X("value:Q", title="value (0: all runs alike)", scale=alt.Scale(domainMin=0)),
            y=alt.Y(
                "label:N",
                title=None,
                sort=None,
                axis=name_axis(grid=True),
            ),
            color=alt.Color(
                "measure:N", scale=alt.Scale(domain=names, range=[looks[n][1] for n in names])
            ),
            shape=alt.Shape(
                "measure:N", scale=alt.Scale(domain=names, range=[looks[n][2] for n in names])
            ),
            tooltip=["label:N", "measure:N", alt.Tooltip("value:Q", format=".4~f"), "n_runs:Q"],
        )
    )
    row = max(34, tallest(list(long["label"])) + 6)
    return styled(sized(chart, height=max(60, row * len(table))), title)


def signal_and_noise(table: pd.DataFrame, *, title: str = "") -> Chart:
    """Spread between recipes, and noise of late evaluations, in units of the spread over seeds.

    Parameters
    ----------
    table : DataFrame
        ``label, signal, noise_steps, noise_seeds``, one row per line of the figure. What is 0 or
        unknown has no point, as the axis is logarithmic.
    """
    lines_of = folded(list(table["label"]))
    long = table.assign(label=table["label"].map(lines_of)).melt(
        id_vars=["label", "noise_seeds"], value_vars=list(SIGNAL), var_name="kind", value_name="sd"
    )
    long["kind"] = long["kind"].map({name: look[0] for name, look in SIGNAL.items()})
    long["ratio"] = long["sd"] / long["noise_seeds"]
    long = long.loc[(long["ratio"] > 0) & np.isfinite(long["ratio"])]
    low, high = min(0.5, long["ratio"].min()) / 1.15, max(2.0, long["ratio"].max()) * 1.15
    names = [look[0] for look in SIGNAL.values() if (long["kind"] == look[0]).any()]
    looks = {look[0]: look for look in SIGNAL.values()}
    x = alt.X(
        "ratio:Q",
        title="times the spread over seeds",
        scale=alt.Scale(type="log", nice=False, domain=[low, high]),
        axis=alt.Axis(format="~g", values=log_ticks(low, high)),
    )
    y = alt.Y("label:N", title=None, sort=None, axis=name_axis(grid=True))
    points = (
        alt.Chart(rows(long))
        .mark_point(size=80, filled=True, opacity=1)
        .encode(
            x=x,
            y=y,
            color=alt.Color(
                "kind:N", scale=alt.Scale(domain=names, range=[looks[n][1] for n in names])
            ),
            shape=alt.Shape(
                "kind:N", scale=alt.Scale(domain=names, range=[looks[n][2] for n in names])
            ),
            tooltip=[
                alt.Tooltip("label:N", title="task"),
                alt.Tooltip("kind:N", title="what"),
                alt.Tooltip("sd:Q", title="standard deviation", format=".3~g"),
                alt.Tooltip("noise_seeds:Q", title="spread over seeds", format=".3~g"),
                alt.Tooltip("ratio:Q", title="times the spread over seeds", format=".2~f"),
            ],
        )
    )
    one = alt.Chart(pd.DataFrame({"ratio": [1.0]})).mark_rule(color=INK).encode(x=x)
    shown = list(dict.fromkeys(long["label"]))
    row = max(34, tallest(shown) + 6)
    return styled(sized(alt.layer(one, points), height=max(60, row * len(shown))), title)
