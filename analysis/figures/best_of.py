"""The best of n runs: expectation under several schedules, and the band that the data allow."""

from __future__ import annotations

import math

import altair as alt
import numpy as np
import pandas as pd

from analysis.best_of_n.compute_table import STOPPED
from analysis.figures.labels import LEGEND_LINE, folded, name_legend
from analysis.figures.theme import (
    DASHES,
    HEIGHT,
    INK,
    MUTED,
    NAVY,
    SERIES,
    Chart,
    log_ticks,
    rows,
    score_axis,
    series_scale,
    sized,
    spots,
    styled,
)

SCHEDULES = {
    "every": "best evaluation after step 0",
    "epoch": "one evaluation per epoch",
    "final": "score at the end only",
}
MOST_POINTS = 70
MOST_BANDS = 5
COST_TITLES = {
    "updates": "updates in all runs",
    "seconds": "time of all runs",
    "gpu_hours": "GPU-hours of all runs",
}
UNITS = ((3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))


def expected_best(table: pd.DataFrame, *, metric: str = "score", title: str = "") -> Chart:
    """Expected best of n runs, one line per schedule, with the band of the median.

    Parameters
    ----------
    table : DataFrame
        Rows of one task and recipe of `expected_max_table.expected_max_table`.
        The unbiased estimate is drawn; the plug-in one is in the tooltip.

    Returns
    -------
    altair chart
        The band belongs to the median of the best of n of the richest schedule
        (drawn dotted). It ends where it is no longer informative, marked by a
        vertical line.
    """
    names = [name for name in SCHEDULES if (table["schedule"] == name).any()]
    lines = _logarithmic(table).assign(series=lambda t: t["schedule"].map(SCHEDULES))
    present = [SCHEDULES[name] for name in names]
    main = lines.loc[lines["schedule"] == names[0]]
    band = main.dropna(subset=["band_lower", "band_upper"])
    band = band.loc[np.isfinite(band["band_lower"]) & np.isfinite(band["band_upper"])]
    if len(band) < 2:
        # A band at n = 1 alone has no width to draw.
        band = band.iloc[:0]
    scale = score_axis([*lines["unbiased"], *band["band_lower"], *band["band_upper"]])
    x = runs_axis(table)
    tooltip = [
        alt.Tooltip("series:N", title="schedule"),
        alt.Tooltip("n:Q"),
        alt.Tooltip("unbiased:Q", title="expected best (unbiased)", format=".4~f"),
        alt.Tooltip("plugin:Q", title="expected best (plug-in)", format=".4~f"),
        alt.Tooltip("spread:Q", title="sd of the best", format=".4~f"),
        alt.Tooltip("median:Q", title="median best", format=".4~f"),
    ]
    layers = []
    if len(band):
        level, last = float(band["band_level"].iloc[0]), int(band["n"].max())
        name = f"{level:.0%} band of the median (dotted)"
        end = pd.DataFrame({"n": [last], "text": [f"band ends at n = {last}"]})
        layers += [
            alt.Chart(rows(band[["n", "band_lower", "band_upper"]].assign(series=name)))
            .mark_area(opacity=0.2, interpolate="monotone")
            .encode(
                x=x,
                y=alt.Y("band_lower:Q", title=f"best {metric} of n runs", scale=scale),
                y2="band_upper:Q",
                fill=alt.Fill(
                    "series:N",
                    scale=alt.Scale(domain=[name], range=[NAVY]),
                    legend=alt.Legend(symbolOpacity=0.3, symbolStrokeWidth=0, symbolType="square"),
                ),
            ),
            alt.Chart(rows(main.loc[main["n"] <= last, ["n", "median"]]))
            .mark_line(strokeDash=[1, 2], strokeWidth=1.4, color=NAVY)
            .encode(x=x, y=alt.Y("median:Q", scale=scale)),
            alt.Chart(rows(end)).mark_rule(color=MUTED, strokeDash=[3, 3]).encode(x=x),
            alt.Chart(rows(end))
            .mark_text(align="left", dx=4, dy=-4, baseline="bottom", color=INK, fontSize=10)
            .encode(x=x, y=alt.value("height"), text="text:N"),
        ]
    base = alt.Chart(rows(lines[["n", "series", "unbiased", "plugin", "spread", "median"]]))
    y = alt.Y("unbiased:Q", title=f"best {metric} of n runs", scale=scale)
    layers += [
        base.mark_line(strokeWidth=2.2).encode(
            x=x,
            y=y,
            color=alt.Color(
                "series:N",
                scale=alt.Scale(domain=present, range=list(SERIES[: len(present)])),
                legend=alt.Legend(symbolType="stroke", columns=1),
            ),
            strokeDash=alt.StrokeDash(
                "series:N", scale=alt.Scale(domain=present, range=list(DASHES[: len(present)]))
            ),
        ),
        spots(base, x=x, y=y, tooltip=tooltip),
    ]
    return styled(sized(alt.layer(*layers)), title)


def best_of_recipes(table: pd.DataFrame, *, metric: str = "score", title: str = "") -> Chart:
    """Expected best of n runs of several recipes (or models) on one task, with their bands.

    Parameters
    ----------
    table : DataFrame
        Rows of one task and one schedule of the table of expected maxima.
    """
    lines_of = folded(list(table["recipe"]), line=LEGEND_LINE)
    names = list(lines_of.values())
    lines = _logarithmic(table).assign(recipe=lambda part: part["recipe"].map(lines_of))
    band = lines.dropna(subset=["band_lower", "band_upper"])
    band = band.loc[np.isfinite(band["band_lower"]) & np.isfinite(band["band_upper"])]
    scale = score_axis([*lines["unbiased"], *band["band_lower"], *band["band_upper"]])
    x = runs_axis(table)
    color = alt.Color(
        "recipe:N",
        scale=series_scale(names, SERIES),
        legend=name_legend(names, symbolType="stroke", symbolOpacity=1),
    )
    y = f"best {metric} of n runs"
    shaded = (
        alt.Chart(rows(band[["recipe", "n", "band_lower", "band_upper"]]))
        .mark_area(opacity=0.15, interpolate="monotone")
        .encode(x=x, y=alt.Y("band_lower:Q", title=y, scale=scale), y2="band_upper:Q", color=color)
    )
    base = alt.Chart(rows(lines[["recipe", "n", "unbiased"]]))
    best = alt.Y("unbiased:Q", title=y, scale=scale)
    drawn = base.mark_line(strokeWidth=2.2).encode(
        x=x,
        y=best,
        color=color,
        strokeDash=alt.StrokeDash("recipe:N", scale=series_scale(names, DASHES)),
    )
    tooltip = [
        "recipe:N",
        "n:Q",
        alt.Tooltip("unbiased:Q", title="expected best", format=".4~f"),
    ]
    hover = spots(base, x=x, y=best, tooltip=tooltip)
    # Bands that lie over each other show nothing; every recipe's own figure has its band.
    bands = [shaded] if len(names) <= MOST_BANDS else []
    return styled(sized(alt.layer(*bands, drawn, hover)), title)


def best_of_compute(
    table: pd.DataFrame, cost: str, *, metric: str = "score", title: str = ""
) -> Chart:
    """Expected best score of several recipes against cumulative cost.

    Parameters
    ----------
    table : DataFrame
        Rows of one task of `compute_table.best_of_compute`.
    cost : {"updates", "seconds", "gpu_hours"}
        Recipes without it are left out.

    Returns
    -------
    altair chart
        Lines are steps, because a part of a run gives no score. A study that stopped runs early
        is a diamond.
    """
    lines_of = folded(list(table["recipe"]), line=LEGEND_LINE)
    names = list(lines_of.values())
    shown = table.assign(recipe=table["recipe"].map(lines_of))
    shown = shown.loc[shown["n"].isin(_drawn_ns(int(shown["n"].max())))]
    scale = score_axis([*shown["expected_best"], *_finite_band(shown)[["lower", "upper"]].stack()])
    return styled(_cost_panel(shown.dropna(subset=[cost]), cost, names, scale, metric), title)


def _cost_panel(
    part: pd.DataFrame, cost: str, names: list[str], scale: alt.Scale, metric: str
) -> Chart:
    low, high = float(part[cost].min()), float(part[cost].max())
    divisor, unit = next((u for u in UNITS if high >= 3 * u[0]), UNITS[-1])
    divisor, unit = (
        (divisor, f" ({unit}, logarithmic)") if cost == "seconds" else (1.0, " (logarithmic)")
    )
    part = part.assign(cost=part[cost] / divisor)
    low, high = low / divisor, high / divisor
    x = alt.X(
        "cost:Q",
        title=COST_TITLES[cost] + unit,
        scale=alt.Scale(type="log", nice=False, domain=[low, max(high, 1.1 * low)]),
        axis=alt.Axis(
            format="~s" if high >= 10_000 else ",~g", values=log_ticks(low, high) or [low]
        ),
    )
    y = alt.Y("expected_best:Q", title=f"best {metric} of the runs", scale=scale)
    legend = name_legend(names, symbolType="stroke", symbolOpacity=1)
    color = alt.Color("recipe:N", scale=series_scale(names, SERIES), legend=legend)
    dash = alt.StrokeDash("recipe:N", scale=series_scale(names, DASHES), legend=legend)
    tooltip = [
        "recipe:N",
        alt.Tooltip("n:Q", title="runs"),
        alt.Tooltip(
            "cost:Q", title=COST_TITLES[cost] + unit.replace(", logarithmic", ""), format=",.4~g"
        ),
        alt.Tooltip("expected_best:Q", title="expected best", format=".4~f"),
    ]
    columns = ["recipe", "n", "cost", "expected_best"]
    curves = part.loc[part["schedule"] != STOPPED]
    band = _closed(_finite_band(curves))
    layers = []
    if len(names) <= MOST_BANDS and len(band):
        layers.append(
            alt.Chart(rows(band[["recipe", "cost", "lower", "upper"]]))
            .mark_area(opacity=0.15, interpolate="step-after", clip=True)
            .encode(x=x, y=alt.Y("lower:Q", scale=scale), y2="upper:Q", color=color)
        )
    base = alt.Chart(rows(curves[columns]))
    layers.append(
        alt.Chart(rows(_closed(curves)[columns]))
        .mark_line(strokeWidth=2.2, interpolate="step-after", clip=True)
        .encode(x=x, y=y, color=color, strokeDash=dash)
    )
    layers.append(spots(base, x=x, y=y, tooltip=tooltip))
    stopped = part.loc[part["schedule"] == STOPPED]
    if len(stopped):
        layers.append(
            alt.Chart(rows(stopped[columns]))
            .mark_point(shape="diamond", size=90, filled=True, opacity=1)
            .encode(x=x, y=y, color=color, tooltip=tooltip)
        )
    return sized(alt.layer(*layers), height=HEIGHT)


def _closed(curves: pd.DataFrame) -> pd.DataFrame:
    """Curves with the end of every recipe's last step, where one more run begins."""
    last = curves.loc[curves.groupby("recipe")["n"].idxmax()]
    return pd.concat([curves, last.assign(cost=last["cost"] * (1 + 1 / last["n"]))])


def _finite_band(table: pd.DataFrame) -> pd.DataFrame:
    finite = np.isfinite(table[["lower", "upper"]].to_numpy(dtype=np.float64)).all(axis=1)
    return table.loc[pd.Series(finite, index=table.index)]


def _drawn_ns(most: int) -> set[int]:
    """All n up to 100, and beyond about one in a hundred more: steps that can be seen."""
    beyond = np.geomspace(
        100, max(most, 100), max(1, math.ceil(100 * math.log(max(most, 100) / 100)))
    )
    return {*range(1, min(most, 100) + 1), *beyond.round().astype(int).tolist(), most}


def _logarithmic(table: pd.DataFrame) -> pd.DataFrame:
    """Rows at about 70 values of n, evenly on the logarithmic axis; the band's end is kept."""
    most = int(table["n"].max())
    kept = set(np.unique(np.geomspace(1, max(most, 1), MOST_POINTS).round().astype(int)))
    kept |= set(table.loc[table["band_upper"].notna()].groupby(["recipe", "schedule"])["n"].max())
    kept |= set(table.groupby(["recipe", "schedule"])["n"].max())
    return table.loc[table["n"].isin(kept)]


def runs_axis(table: pd.DataFrame, title: str = "number of runs n (logarithmic)") -> alt.X:
    """Logarithmic axis of the numbers of runs in column ``n``."""
    most = int(table["n"].max())
    return alt.X(
        "n:Q",
        title=title,
        scale=alt.Scale(type="log", nice=False, domain=[1, max(most, 2)]),
        axis=alt.Axis(
            format="~g",
            values=[m * 10**k for k in range(6) for m in (1, 2, 5) if m * 10**k <= most],
        ),
    )
