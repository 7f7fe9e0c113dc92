"""Value of early stopping per budget, and rank correlation of early and late scores."""

from __future__ import annotations

import altair as alt
import pandas as pd

from analysis.figures.theme import (
    DASHES,
    INK,
    MUTED,
    NAVY,
    ORANGE,
    PALE,
    SCHEME,
    SHAPES,
    TEAL,
    Chart,
    rows,
    score_axis,
    sized,
    styled,
)

VALUES = {
    "expected_best": "best plan with early stopping",
    "split_half": "the same, chosen on the other half",
    "baseline": "the same budget, no stopping",
}


def stopping_value(table: pd.DataFrame, *, metric: str = "score", title: str = "") -> Chart:
    """Expected best score over the budget: with early stopping and without.

    Parameters
    ----------
    table : DataFrame
        Rows of one task and recipe of `value.early_stopping_table`.
    """
    long = table.melt(
        id_vars=["budget", "started", "fraction", "continued"],
        value_vars=list(VALUES),
        var_name="series",
        value_name="value",
    ).dropna(subset="value")
    long["series"] = long["series"].map(VALUES)
    present = [name for name in VALUES.values() if (long["series"] == name).any()]
    colors = dict(zip(VALUES.values(), (NAVY, TEAL, ORANGE), strict=True))
    marks = {name: k for k, name in enumerate(VALUES.values())}
    encoded = {
        "x": _budgets(table["budget"]),
        "y": alt.Y("value:Q", title=f"expected best {metric}", scale=score_axis(long["value"])),
        "color": alt.Color(
            "series:N",
            scale=alt.Scale(domain=present, range=[colors[p] for p in present]),
            # Without a stroke, which would have the dashes of the line.
            legend=alt.Legend(columns=1, symbolStrokeWidth=0, symbolOpacity=1),
        ),
    }
    tooltip = [
        alt.Tooltip("series:N", title="value"),
        alt.Tooltip("budget:Q"),
        alt.Tooltip("value:Q", title=metric, format=".4~f"),
        alt.Tooltip("started:Q", title="runs started"),
        alt.Tooltip("fraction:Q", title="stopped after", format=".0%"),
        alt.Tooltip("continued:Q", title="runs continued"),
    ]
    base = alt.Chart(rows(long))
    dash = alt.StrokeDash(
        "series:N", scale=alt.Scale(domain=present, range=[DASHES[marks[p]] for p in present])
    )
    shape = alt.Shape(
        "series:N", scale=alt.Scale(domain=present, range=[SHAPES[marks[p]] for p in present])
    )
    lines = base.mark_line(strokeWidth=2).encode(**encoded, strokeDash=dash)
    points = base.mark_point(size=34, filled=True, opacity=1).encode(
        **encoded, shape=shape, tooltip=tooltip
    )
    return styled(sized(alt.layer(lines, points)), title)


def stopping_plans(table: pd.DataFrame, *, title: str = "") -> Chart:
    """The best plan of every budget: runs started, runs continued, share before the stop.

    Parameters
    ----------
    table : DataFrame
        As for `stopping_value`.
    """
    most = float(table["started"].max())
    x = _budgets(table["budget"])
    # Room above for the labels, which are turned upright.
    scale = alt.Scale(type="log", nice=False, domain=[0.8, 3 * most])
    axis = alt.Axis(format="~g", values=[v for v in (1, 2, 5, 10, 20, 50, 100, 200) if v <= most])
    tooltip = [
        alt.Tooltip("budget:Q"),
        alt.Tooltip("started:Q", title="runs started"),
        alt.Tooltip("fraction:Q", title="stopped after", format=".0%"),
        alt.Tooltip("continued:Q", title="runs continued"),
    ]
    base = alt.Chart(rows(table[["budget", "started", "fraction", "continued"]])).encode(
        x=x, tooltip=tooltip
    )
    span = base.mark_rule(strokeWidth=3, color=PALE).encode(
        y=alt.Y("started:Q", title="runs (logarithmic)", scale=scale, axis=axis), y2="continued:Q"
    )
    share = base.mark_text(angle=270, align="left", dx=7, fontSize=9, color=INK).encode(
        y=alt.Y("started:Q", scale=scale), text=alt.Text("fraction:Q", format=".0%")
    )
    names = {
        "started": "runs started, stopped after the share shown",
        "continued": "runs continued",
    }
    long = table.melt(
        id_vars=["budget", "fraction"], value_vars=list(names), var_name="series", value_name="runs"
    )
    long["series"] = long["series"].map(names)
    kinds = list(names.values())
    points = (
        alt.Chart(rows(long))
        .mark_point(size=40, filled=True, opacity=1)
        .encode(
            x=x,
            y=alt.Y("runs:Q", scale=scale),
            color=alt.Color(
                "series:N",
                scale=alt.Scale(domain=kinds, range=[NAVY, ORANGE]),
                legend=alt.Legend(columns=1),
            ),
            shape=alt.Shape(
                "series:N", scale=alt.Scale(domain=kinds, range=["triangle-up", "circle"])
            ),
            tooltip=[
                alt.Tooltip("series:N", title="runs"),
                alt.Tooltip("runs:Q", title="number"),
                alt.Tooltip("budget:Q"),
                alt.Tooltip("fraction:Q", title="stopped after", format=".0%"),
            ],
        )
    )
    return styled(sized(alt.layer(span, points, share)), title)


def rank_heatmap(table: pd.DataFrame, *, title: str = "") -> Chart:
    """Spearman correlation between the scores at every two shares of training.

    Parameters
    ----------
    table : DataFrame
        Rows of one task and recipe of `rank_correlation.fraction_correlations`.
    """
    times = sorted(set(table["fraction"]))
    # Counted from the end, so that 100% is labelled.
    labelled = [float(f"{t:.6g}") for t in times][:: -max(len(times) // 6, 1)]
    axis = alt.Axis(
        format=".0%", values=labelled, labelAngle=0, ticks=False, domain=False, grid=False
    )
    lowest = float(table["spearman"].min())
    chart = (
        alt.Chart(rows(table[["fraction", "other_fraction", "spearman"]]))
        .mark_rect()
        .encode(
            x=alt.X("fraction:O", title="share of training", axis=axis, scale=alt.Scale(padding=0)),
            y=alt.Y(
                "other_fraction:O",
                title="share of training",
                sort="descending",
                axis=axis,
                scale=alt.Scale(padding=0),
            ),
            color=alt.Color(
                "spearman:Q",
                scale=alt.Scale(scheme=SCHEME, domain=[min(lowest, 0.0), 1.0]),
                legend=alt.Legend(
                    title="Spearman correlation", gradientLength=180, format=".1f", orient="top"
                ),
            ),
            tooltip=[
                alt.Tooltip("fraction:Q", title="scores at", format=".0%"),
                alt.Tooltip("other_fraction:Q", title="and at", format=".0%"),
                alt.Tooltip("spearman:Q", title="Spearman", format=".2f"),
            ],
        )
    )
    return styled(sized(chart, height=max(140, min(360, 14 * len(times)))), title)


def replay_values(table: pd.DataFrame, *, metric: str = "score", title: str = "") -> Chart:
    """Expected best score of Optuna's pruners on the recorded curves, and of plain runs.

    Parameters
    ----------
    table : DataFrame
        Rows of one task and recipe of `replay.replay_table`.
    """
    spent = table.loc[table["cost"] >= 0.95 * table["budget"]]
    names = list(dict.fromkeys(spent["policy"]))
    plain = spent.drop_duplicates("budget").assign(policy="no stopping", standard_error=0.0)
    plain["expected_best"] = plain["baseline"]
    long = pd.concat([spent, plain], ignore_index=True)
    long["policy"] = long["policy"].str.replace("_", " ")
    long["lower"] = long["expected_best"] - 2 * long["standard_error"]
    long["upper"] = long["expected_best"] + 2 * long["standard_error"]
    order = [*(name.replace("_", " ") for name in names), "no stopping"]
    colors = [*(NAVY, TEAL, MUTED, INK)[: len(names)], ORANGE]
    # Side by side, because bars of one budget would hide each other.
    place = {name: k - (len(order) - 1) / 2 for k, name in enumerate(order)}
    gap = 0.012 * float(long["budget"].max() + 1)
    long["x"] = long["budget"] + gap * long["policy"].map(place)
    x = _budgets(long["budget"], "x")
    y = alt.Y(
        "expected_best:Q",
        title=f"expected best {metric}",
        scale=score_axis([*long["lower"], *long["upper"]]),
    )
    color = alt.Color(
        "policy:N",
        scale=alt.Scale(domain=order, range=colors),
        legend=alt.Legend(symbolStrokeWidth=0, symbolOpacity=1),
    )
    base = alt.Chart(rows(long[["policy", "budget", "x", "expected_best", "lower", "upper"]]))
    line = base.mark_line(strokeWidth=1.5).encode(
        x=x,
        y=y,
        color=color,
        strokeDash=alt.StrokeDash(
            "policy:N", scale=alt.Scale(domain=order, range=list(DASHES[: len(order)]))
        ),
    )
    # A pruner that has used up the runs after one budget has a point and no line.
    point = base.mark_point(size=34, filled=True, opacity=1).encode(
        x=x,
        y=y,
        color=color,
        shape=alt.Shape(
            "policy:N", scale=alt.Scale(domain=order, range=list(SHAPES[: len(order)]))
        ),
        tooltip=[
            "policy:N",
            "budget:Q",
            alt.Tooltip("expected_best:Q", title="expected best", format=".4~f"),
            alt.Tooltip("lower:Q", title="minus 2 se", format=".4~f"),
            alt.Tooltip("upper:Q", title="plus 2 se", format=".4~f"),
        ],
    )
    error = base.mark_rule(strokeWidth=1).encode(x=x, y=alt.Y("lower:Q"), y2="upper:Q", color=color)
    return styled(sized(alt.layer(error, line, point)), title)


def _budgets(values: pd.Series, field: str = "budget") -> alt.X:
    return alt.X(
        f"{field}:Q",
        title="budget (full trainings)",
        axis=alt.Axis(tickMinStep=1, grid=False),
        scale=alt.Scale(domain=[0.3, float(values.max()) + 0.7], nice=False),
    )
