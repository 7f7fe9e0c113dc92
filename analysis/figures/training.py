"""Final loss against score, and the effect of bias correction on the first steps."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from analysis.errors import TableError
from analysis.figures.labels import LEGEND_LINE, folded, name_legend
from analysis.figures.theme import (
    CROSS,
    INK,
    MUTED,
    NAVY,
    ORANGE,
    SERIES,
    SHAPES,
    Chart,
    log_ticks,
    rows,
    score_axis,
    series_scale,
    sized,
    spots,
    styled,
)
from analysis.training.bias_correction import correction_factor

MOST_STEPS = 400


def loss_against_score(table: pd.DataFrame, *, metric: str = "score", title: str = "") -> Chart:
    """Training loss at the end against the final validation score, one point per run.

    Parameters
    ----------
    table : DataFrame
        Of `final_losses.final_losses`, with a column ``label`` that names the recipe.
    metric : str

    Returns
    -------
    altair chart
        Failed runs are crossed out. The dashed line is the majority classifier.
    """
    shown = table.dropna(subset=["train_loss", "final_score"])
    if shown.empty:
        raise TableError("no run has both a finite training loss and a final score.")
    lines_of = folded(list(shown["label"]), line=LEGEND_LINE)
    shown = shown.assign(label=shown["label"].map(lines_of))
    names = list(lines_of.values())
    x = alt.X(
        "train_loss:Q",
        title="training loss, mean of the last tenth of the steps",
        scale=score_axis(shown["train_loss"]),
    )
    majority = shown["majority"].dropna().unique()
    y = alt.Y(
        "final_score:Q",
        title=f"final {metric}",
        scale=score_axis([*shown["final_score"], *majority]),
    )
    fields = ["run", "label", "init_seed", "order_seed", "train_loss", "final_score", "failed"]
    base = alt.Chart(rows(shown[fields])).encode(x=x, y=y)
    many = len(names) > 1
    colors, shapes = series_scale(names, SERIES), series_scale(names, SHAPES)
    legend = name_legend(names) if many else None
    points = base.mark_point(size=46, filled=True, opacity=0.75).encode(
        color=alt.Color("label:N", scale=colors, legend=legend),
        shape=alt.Shape("label:N", scale=shapes, legend=legend),
        tooltip=[
            alt.Tooltip("label:N", title="recipe"),
            alt.Tooltip("init_seed:Q", title="init seed"),
            alt.Tooltip("order_seed:Q", title="order seed"),
            alt.Tooltip("train_loss:Q", title="training loss", format=".3~g"),
            alt.Tooltip("final_score:Q", title=metric, format=".4~f"),
            alt.Tooltip("failed:N"),
        ],
    )
    layers = [points]
    if shown["failed"].any():
        layers.append(
            base.transform_filter("datum.failed").mark_point(
                shape=CROSS, size=80, color=INK, strokeWidth=1.2
            )
        )
    for value in majority:
        line = pd.DataFrame({"final_score": [float(value)]})
        layers.insert(
            0,
            alt.Chart(rows(line))
            .mark_rule(color=MUTED, strokeDash=[3, 3])
            .encode(y=alt.Y("final_score:Q")),
        )
    return styled(sized(alt.layer(*layers)), title)


def correction_figure(
    steps: int, warmup: int, *, beta1: float = 0.9, beta2: float = 0.999, title: str = ""
) -> Chart:
    """The factor f(t) by which bias correction changes an update, over the steps of a run.

    Parameters
    ----------
    steps : int, at least 1
        Steps of the run.
    warmup : int
        Steps of its warm-up; marked where there are any.
    beta1, beta2 : float
        See `bias_correction.correction_factor`.
    """
    if steps < 1:
        raise TableError("a run without a step has no first update.")
    at = np.unique(np.geomspace(1, steps, MOST_STEPS).round().astype(int))
    curve = pd.DataFrame({"step": at, "factor": correction_factor(at, beta1, beta2)})
    curve["excess"] = 1.0 / curve["factor"]
    x = alt.X(
        "step:Q",
        title="update (logarithmic)",
        scale=alt.Scale(type="log", nice=False, domain=[1, max(steps, 2)]),
        axis=alt.Axis(format="~g", values=log_ticks(1, steps)),
    )
    y = alt.Y(
        "factor:Q",
        title="f(t), corrected over uncorrected step",
        scale=alt.Scale(domain=[0, max(1.0, float(curve["factor"].max()))]),
    )
    drawn = alt.Chart(rows(curve))
    tooltip = [
        alt.Tooltip("step:Q", title="update"),
        alt.Tooltip("factor:Q", title="f(t)", format=".3f"),
        alt.Tooltip("excess:Q", title="times too long", format=".2f"),
    ]
    layers = [
        drawn.mark_line(strokeWidth=2, color=NAVY).encode(x=x, y=y),
        spots(drawn, x=x, y=y, tooltip=tooltip),
    ]
    if 1 <= warmup <= steps:
        mark = pd.DataFrame({"step": [warmup], "text": [f"warm-up ends ({warmup:,})"]})
        base = alt.Chart(rows(mark)).encode(x="step:Q")
        late = warmup > np.sqrt(steps)
        layers += [
            base.mark_rule(color=ORANGE, strokeDash=[5, 3], strokeWidth=1.5),
            base.mark_text(
                align="right" if late else "left",
                baseline="top",
                dx=-5 if late else 5,
                fontSize=11,
                color=INK,
            ).encode(y=alt.value(2), text="text:N"),
        ]
    return styled(sized(alt.layer(*layers)), title)
