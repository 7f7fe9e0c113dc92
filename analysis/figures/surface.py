"""The loss on a plane of weight space."""

from __future__ import annotations

import altair as alt
import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.errors import TableError
from analysis.figures.theme import INK, SCHEME, Chart, rows, sized, styled

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
