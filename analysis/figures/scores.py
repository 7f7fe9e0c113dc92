"""Scores of all runs per recipe, the noise floor of the test set, and failure rates."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from analysis.data.labels import group_labels
from analysis.data.study import GROUP_COLUMNS, Group, Study
from analysis.errors import TableError
from analysis.figures.labels import folded, name_axis, tallest
from analysis.figures.theme import (
    CROSS,
    INK,
    MUTED,
    NAVY,
    ORANGE,
    PURPLE,
    TEAL,
    Chart,
    rows,
    score_axis,
    sized,
    styled,
)

FLOORS = {
    "floor_sd": "noise floor of equally good runs (mean ± 1 sd)",
    "sampling_sd": "sampling error of the test set (mean ± 1 se)",
}
ROW, LOW_ROW = 84, 56
MANY_ROWS = 5
MOST_POINTS = 1_000


def score_strips(study: Study, floors: pd.DataFrame | None = None, *, title: str = "") -> Chart:
    """Every run of one task as a point, a box per recipe and model, and reference values.

    Parameters
    ----------
    study : Study
        One task; its groups become rows. The axis names the test set where test scores are drawn.
    floors : DataFrame, optional
        Rows of `noise_floor.noise_floor` for this task.
    title : str

    Returns
    -------
    altair chart
        Failed runs are crosses; vertical lines mark the majority classifier (of the validation
        set, so not beside test scores) and the best score; the two kinds of test-set noise are bars below the points.
        Points of (nearly) equal scores are stacked, so that their height is a histogram.
    """
    runs = study.complete_runs()
    if runs.empty:
        raise TableError("there is no complete run to draw.")
    tested = study.score == "test"
    metric = f"{runs['metric'].iloc[0]} on the test set" if tested else str(runs["metric"].iloc[0])
    up = bool(runs["higher_is_better"].iloc[0])
    labels = group_labels(study)
    task = set(runs["task"])
    if len(task) > 1:
        raise TableError(f"scores of one task share an axis, got {len(task)} tasks.")
    short = {key: label.removeprefix(f"{key.task}, ") for key, label in labels.items()}
    lines_of = folded(list(short.values()))
    names = {key: lines_of[name] for key, name in short.items()}
    columns = (runs[column].astype("str") for column in GROUP_COLUMNS)
    keys = [Group(*key) for key in zip(*columns, strict=True)]
    points = pd.DataFrame(
        {
            "group": [names[key] for key in keys],
            "score": runs["score"],
            "state": np.where(runs["failed"], "failed run", "run"),
            "seeds": runs["init_seed"].astype("str") + "/" + runs["order_seed"].astype("str"),
        }
    )
    drawn = _drawn(points)
    drawn["lane"] = _lanes(drawn)
    order = list(dict.fromkeys(points["group"]))
    values = list(points["score"])
    majority = runs["majority"].dropna().iloc[: 0 if tested else 1]
    best = float(points["score"].max() if up else points["score"].min())
    lines = [(best, f"best {best:.4g}")]
    if len(majority):
        lines.append((float(majority.iloc[0]), f"majority {float(majority.iloc[0]):.4g}"))
    values += [value for value, _ in lines]
    bars = _floor_bars(floors, names)
    if bars is not None:
        values += [*bars["low"], *bars["high"]]
    x = alt.X("score:Q", title=metric, scale=score_axis(values))
    y = alt.Y("group:N", title=None, sort=order, axis=name_axis())
    offset = alt.YOffset("lane:Q", scale=alt.Scale(domain=[-1.05, 1.05]))
    states = [s for s in ("run", "failed run") if (points["state"] == s).any()]
    strip = (
        alt.Chart(rows(drawn))
        .mark_point(size=16, opacity=1, strokeOpacity=0.7, strokeWidth=1)
        .encode(
            x=x,
            y=y,
            yOffset=offset,
            shape=alt.Shape(
                "state:N",
                scale=alt.Scale(
                    domain=states, range=["circle" if s == "run" else CROSS for s in states]
                ),
            ),
            color=alt.Color(
                "state:N",
                scale=alt.Scale(
                    domain=states, range=[NAVY if s == "run" else ORANGE for s in states]
                ),
            ),
            tooltip=[
                alt.Tooltip("seeds:N", title="init/order seed"),
                alt.Tooltip("score:Q", title=metric, format=".4~f"),
                alt.Tooltip("state:N"),
            ],
        )
    )
    layers = [*_lines(lines, score_axis(values), metric), strip, *_boxes(points, x, y, offset)]
    if bars is not None:
        kinds = [name for name in FLOORS.values() if (bars["series"] == name).any()]
        layers.append(
            alt.Chart(rows(bars))
            .mark_bar(height=4)
            .encode(
                x=alt.X("low:Q", title=metric, scale=score_axis(values)),
                x2="high:Q",
                y=y,
                yOffset=offset,
                fill=alt.Fill(
                    "series:N",
                    scale=alt.Scale(domain=kinds, range=[TEAL, PURPLE][-len(kinds) :]),
                    legend=alt.Legend(columns=1),
                ),
                tooltip=["series:N", alt.Tooltip("sd:Q", title="sd", format=".4~f")],
            )
        )
    chart = alt.layer(*layers)
    row = ROW if len(order) <= MANY_ROWS else LOW_ROW
    return styled(sized(chart, height=max(130, max(row, tallest(order)) * len(order))), title)


def _drawn(points: pd.DataFrame) -> pd.DataFrame:
    """All points, or of a larger group 1,000 that are evenly spread over its ranking."""
    if points["group"].value_counts().max() <= MOST_POINTS:
        return points.copy()
    parts = []
    for _, part in points.groupby("group", sort=False):
        ranked = part.sort_values("score", kind="stable")
        kept = np.linspace(0, len(ranked) - 1, min(len(ranked), MOST_POINTS)).round().astype(int)
        parts.append(ranked.iloc[kept])
    return pd.concat(parts)


def _lanes(points: pd.DataFrame) -> pd.Series:
    """Heights from -0.1 up to -1: the place of each point in the stack of its score."""
    low, high = float(points["score"].min()), float(points["score"].max())
    part = ((points["score"] - low) / ((high - low) / 70 or 1.0)).round()
    place = points.groupby([points["group"], part]).cumcount()
    return -0.1 - 0.9 * place / max(float(place.max()), 6.0)


def _lines(lines: list[tuple[float, str]], scale: alt.Scale, metric: str) -> list[Chart]:
    frame = pd.DataFrame(lines, columns=["score", "text"])
    middle = float(np.mean(scale["domain"]))
    frame["right"] = frame["score"] > middle
    base = alt.Chart(rows(frame))
    x = alt.X("score:Q", title=metric, scale=scale)
    rule = base.mark_rule(strokeDash=[5, 3], color=MUTED, strokeWidth=1.2).encode(x=x)
    texts = [
        base.transform_filter(f"{'' if right else '!'}datum.right")
        .mark_text(align="right" if right else "left", dx=-4 if right else 4, dy=9, fontSize=10)
        .encode(x=x, y=alt.value(0), text="text:N", color=alt.value(INK))
        for right in (True, False)
    ]
    return [rule, *texts]


def _boxes(points: pd.DataFrame, x: alt.X, y: alt.Y, offset: alt.YOffset) -> list[Chart]:
    scores = points.groupby("group", sort=False)["score"]
    boxes = pd.DataFrame(
        {
            "low": scores.quantile(0.25),
            "score": scores.median(),
            "high": scores.quantile(0.75),
            "mean": scores.mean(),
            "lane": 0.12,
        }
    ).reset_index()
    base = alt.Chart(rows(boxes))
    tooltip = [
        alt.Tooltip("low:Q", title="lower quartile", format=".4~f"),
        alt.Tooltip("score:Q", title="median", format=".4~f"),
        alt.Tooltip("high:Q", title="upper quartile", format=".4~f"),
        alt.Tooltip("mean:Q", title="mean", format=".4~f"),
    ]
    box = base.mark_bar(height=9, color="#c9c9c9", stroke=INK, strokeWidth=0.8).encode(
        x=alt.X("low:Q", title=x.to_dict().get("title"), scale=x["scale"]),
        x2="high:Q",
        y=y,
        yOffset=offset,
        tooltip=tooltip,
    )
    median = base.mark_tick(thickness=2.5, height=11, color=INK).encode(x=x, y=y, yOffset=offset)
    at_mean = base.mark_point(shape="diamond", size=34, filled=True, color=INK).encode(
        x=alt.X("mean:Q", scale=x["scale"]), y=y, yOffset=offset, tooltip=tooltip
    )
    return [box, median, at_mean]


def _floor_bars(floors: pd.DataFrame | None, names: dict[Group, str]) -> pd.DataFrame | None:
    if floors is None or floors.empty:
        return None
    bars = []
    for row in floors.to_dict("records"):
        mean = 1.0 - float(row["error"])
        for k, (column, series) in enumerate(FLOORS.items()):
            sd = float(row[column])
            if np.isfinite(sd):
                name = names[Group(row["task"], row["model"], row["recipe"])]
                lane = 0.5 + 0.28 * k
                bars.append((name, mean - sd, mean + sd, sd, series, lane))
    return pd.DataFrame(bars, columns=["group", "low", "high", "sd", "series", "lane"])


def failure_figure(rates: pd.DataFrame, labels: list[str], *, title: str = "") -> Chart:
    """Failure rate of every group with its Wilson interval.

    Parameters
    ----------
    rates : DataFrame
        `failure_rates.failure_rates`; rows that cannot be judged are left out.
    labels : list of str
        One per row of `rates`.
    """
    lines_of = folded(labels)
    shown = rates.assign(label=[lines_of[label] for label in labels])
    shown = shown.loc[shown["judged"] & shown["rate"].notna()]
    if shown.empty:
        raise TableError("no group's failures can be judged; give the majority value.")
    top = min(1.0, max(0.1, 1.1 * float(shown["upper"].max())))
    y = alt.Y("label:N", title=None, sort=None, axis=name_axis())
    x = alt.X(
        "rate:Q",
        title="share of failed runs (95% interval)",
        scale=alt.Scale(domain=[0, top], nice=False),
        axis=alt.Axis(format=".0%", tickCount=5),
    )
    base = alt.Chart(rows(shown[["label", "rate", "lower", "upper", "n_failed", "n_runs"]]))
    tooltip = [
        alt.Tooltip("n_failed:Q", title="failed"),
        alt.Tooltip("n_runs:Q", title="of runs"),
        alt.Tooltip("rate:Q", format=".1%"),
        alt.Tooltip("lower:Q", format=".1%"),
        alt.Tooltip("upper:Q", format=".1%"),
    ]
    interval = base.mark_rule(strokeWidth=2, color=NAVY).encode(
        x=alt.X("lower:Q", title="share of failed runs (95% interval)"), x2="upper:Q", y=y
    )
    point = base.mark_point(size=60, filled=True, color=NAVY, opacity=1).encode(
        x=x, y=y, tooltip=tooltip
    )
    row = max(30, tallest(list(shown["label"])) + 6)
    return styled(sized(alt.layer(interval, point), height=max(60, row * len(shown))), title)
