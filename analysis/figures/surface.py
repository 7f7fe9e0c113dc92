"""The loss on a plane of weight space, and on the line between two runs."""

from __future__ import annotations

import altair as alt
import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.data.loss_surfaces import barrier_height, worseness
from analysis.errors import TableError
from analysis.figures.theme import (
    INK,
    MUTED,
    NAVY,
    ORANGE,
    SCHEME,
    Chart,
    rows,
    score_axis,
    sized,
    styled,
)

LEVELS = 9
SIZE = 340


def loss_surface(surface: pd.DataFrame, *, title: str = "") -> Chart:
    """The training loss around the start and the ends of two runs, in steps like contours.

    Parameters
    ----------
    surface : DataFrame
        Of `loss_surfaces.read_surface`.
    title : str

    Returns
    -------
    altair chart
        Levels of the loss are evenly spaced in its logarithm; dark is low. Losses that are
        not finite leave white cells.
    """
    shown = surface.dropna(subset="loss")
    shown = shown.loc[shown["loss"] > 0]
    if shown.empty:
        raise TableError("the surface holds no finite loss.")
    edges = {name: _edges(surface[name]) for name in ("a", "b")}
    cells = shown[["a", "b", "loss"]].copy()
    for name, (low, high) in edges.items():
        cells[f"{name}_low"], cells[f"{name}_high"] = shown[name].map(low), shown[name].map(high)
    levels = contour_levels(shown["loss"])
    ends = [[min(low.values()), max(high.values())] for low, high in edges.values()]
    x, y = (
        alt.X("a_low:Q", title="a, towards the failed run", scale=_exactly(ends[0])),
        alt.Y("b_low:Q", title="b, towards the successful run", scale=_exactly(ends[1])),
    )
    legend = alt.Legend(title="loss", format=".2~g", columns=3)
    heat = (
        alt.Chart(rows(cells))
        # Cells overlap by a hair, else white lines show between them.
        .mark_rect(strokeWidth=0.6)
        .encode(
            x=x,
            x2="a_high:Q",
            y=y,
            y2="b_high:Q",
            color=_shade("color", levels, legend),
            stroke=_shade("stroke", levels, None),
            tooltip=[
                alt.Tooltip("a:Q", format=".2f"),
                alt.Tooltip("b:Q", format=".2f"),
                alt.Tooltip("loss:Q", format=".3~g"),
            ],
        )
    )
    named = surface.loc[surface["point"] != "", ["a", "b", "point", "loss"]]
    text = named["point"] + " " + named["loss"].map("{:.2f}".format)
    marks = alt.Chart(rows(named.assign(text=text))).encode(
        x=alt.X("a:Q", title="a, towards the failed run", scale=_exactly(ends[0])),
        y=alt.Y("b:Q", title="b, towards the successful run", scale=_exactly(ends[1])),
    )
    # A halo, because the cells behind may be of any shade.
    style = {"dx": 0, "dy": -12, "fontSize": 11, "fontWeight": "bold"}
    layers = [
        heat,
        marks.mark_point(
            shape="circle", filled=True, size=60, color="white", stroke=INK, opacity=1
        ),
        marks.mark_text(
            **style, stroke="white", strokeWidth=3, strokeJoin="round", color="white"
        ).encode(text="text:N"),
        marks.mark_text(**style, color=INK).encode(text="text:N"),
    ]
    return styled(sized(alt.layer(*layers), height=SIZE), title)


def loss_barrier(
    line: pd.DataFrame, quantity: str = "loss", *, name: str = "", title: str = ""
) -> Chart:
    """Loss or score on the straight line between two runs, with the barrier's height.

    Parameters
    ----------
    line : DataFrame
        Of `loss_surfaces.read_barrier`.
    quantity : {"loss", "score"}
    name : str
        Title of the vertical axis.
    title : str

    Returns
    -------
    altair chart
        The dashed line is the mean of the two ends. The upright rule is the barrier: from there to
        the worst value.
    """
    if line[quantity].isna().all():
        raise TableError(f"the line holds no finite {quantity}.")
    x = alt.X(
        "at:Q",
        title="t, from the first run (0) to the second (1)",
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(format=".1f", values=[0, 0.2, 0.4, 0.6, 0.8, 1]),
    )
    y = alt.Y(f"{quantity}:Q", title=name or quantity, scale=score_axis(line[quantity], pad=0.12))
    drawn = alt.Chart(rows(line[["at", quantity]])).encode(x=x, y=y)
    layers = [
        drawn.mark_line(strokeWidth=2, color=NAVY),
        drawn.mark_point(size=50, filled=True, color=NAVY, opacity=1).encode(
            tooltip=[
                alt.Tooltip("at:Q", title="t", format=".2f"),
                alt.Tooltip(f"{quantity}:Q", title=name or quantity, format=".4~f"),
            ]
        ),
    ]
    if line[quantity].notna().all():
        layers = [*_height(line, quantity), *layers]
    return styled(sized(alt.layer(*layers)), title)


def _height(line: pd.DataFrame, quantity: str) -> list[Chart]:
    """The mean of the ends, and the rule from there to the worst value."""
    worst = int(worseness(line, quantity).argmax())
    ends = (line[quantity].iloc[0] + line[quantity].iloc[-1]) / 2
    at, value = float(line["at"].iloc[worst]), float(line[quantity].iloc[worst])
    mark = pd.DataFrame({"at": [at], "mean": [ends], "worst": [value]})
    base = alt.Chart(rows(mark.assign(text=f"barrier {barrier_height(line, quantity):.2g}")))
    # The text lies on the side of the mean on which the curve is not.
    below = value >= ends
    text = base.encode(x="at:Q", y="mean:Q", text="text:N")
    style = {
        "align": "left" if at < 0.2 else "right" if at > 0.8 else "center",
        "baseline": "top" if below else "bottom",
        "dy": 5 if below else -5,
        "fontSize": 11,
    }
    halo = {"stroke": "white", "strokeWidth": 3, "strokeJoin": "round"}
    return [
        base.mark_rule(color=MUTED, strokeDash=[3, 3]).encode(y="mean:Q"),
        base.mark_rule(color=ORANGE, strokeWidth=2).encode(x="at:Q", y="mean:Q", y2="worst:Q"),
        text.mark_text(**style, **halo, color="white"),
        text.mark_text(**style, color=INK),
    ]


def contour_levels(losses: pd.Series) -> list[float]:
    """Bounds between the shades: evenly spaced logarithms, rounded to two digits."""
    # The far corners may be orders of magnitude higher than anything of interest.
    low, high = float(losses.min()), float(losses.quantile(0.95))
    if high <= low * 1.02:
        return [float(f"{low:.3g}")]
    inner = np.geomspace(low, high, LEVELS + 1)[1:-1]
    return sorted({float(f"{level:.2g}") for level in inner})


def _shade(channel: str, levels: list[float], legend: alt.Legend | None) -> alt.Color | alt.Stroke:
    scale = alt.Scale(type="threshold", domain=levels, scheme=SCHEME)
    made = alt.Color if channel == "color" else alt.Stroke
    return made("loss:Q", scale=scale, legend=legend)


def _edges(values: pd.Series) -> tuple[dict[float, float], dict[float, float]]:
    """Lower and upper edge of the cell of every value: half-way to its neighbours."""
    at: npt.NDArray[np.float64] = np.sort(values.unique())
    middle = (at[1:] + at[:-1]) / 2
    low = np.concatenate([[2 * at[0] - middle[0]], middle])
    high = np.concatenate([middle, [2 * at[-1] - middle[-1]]])
    keys = at.tolist()
    return (
        dict(zip(keys, low.tolist(), strict=True)),
        dict(zip(keys, high.tolist(), strict=True)),
    )


def _exactly(domain: list[float]) -> alt.Scale:
    return alt.Scale(domain=domain, nice=False, zero=False)
