"""Learning rates over the steps, a line for every group of depths, with a tooltip per step."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.errors import TableError
from analysis.figures.labels import LEGEND_LINE, folded, name_legend
from analysis.figures.theme import (
    DASHES,
    INK,
    MUTED,
    ORANGE,
    SCHEME,
    SERIES,
    WIDTH,
    Chart,
    rows,
    series_scale,
    sized,
    styled,
)

MOST_STEPS = 400
MOST_LINES = 6
"""Lines with a look of their own; more are shaded by depth."""
Floats = npt.NDArray[np.float64]


def depth_lines(rates: Floats) -> list[tuple[str, Floats]]:
    """Neighbouring depths with equal rates as one line, named: ``layers 1-4``, ``head``.

    Parameters
    ----------
    rates : (step, depth) array
        Depth 0 is the embeddings, the last one head and pooler; a single one holds for all. A
        depth whose rate is always 0 is frozen.

    Returns
    -------
    list of (name, rates by step)
    """
    if rates.ndim != 2 or not rates.size:
        raise TableError("there are no learning rates; export the study again.")
    n_depths = rates.shape[1]
    if n_depths == 1:
        return [("all depths", rates[:, 0])]
    found: list[tuple[int, int]] = []
    for depth in range(n_depths):
        if found and np.array_equal(rates[:, found[-1][0]], rates[:, depth]):
            found[-1] = (found[-1][0], depth)
        else:
            found.append((depth, depth))
    return [(_name(first, last, n_depths, rates), rates[:, first]) for first, last in found]


def _name(first: int, last: int, n_depths: int, rates: Floats) -> str:
    head = n_depths - 1
    if first == last:
        name = "embeddings" if first == 0 else "head" if first == head else f"layer {first}"
    elif (first, last) == (0, head):
        name = "all depths"
    elif first == 0:
        name = f"embeddings to layer {last}"
    else:
        name = f"layer {first} to head" if last == head else f"layers {first}-{last}"
    return name if rates[:, first].any() else f"{name} (frozen)"


def rate_figure(lines: Sequence[tuple[str, Floats]], *, title: str = "") -> Chart:
    """Learning rates over the steps, one line per name.

    Parameters
    ----------
    lines : sequence of (name, rates by step)
        Of `depth_lines`, or one schedule per recipe; different names. Steps are counted from 1.
    title : str

    Returns
    -------
    altair chart
        The tooltip of a step has the rates of all lines. Up to 6 lines have looks of their own;
        more are shaded in their order, the first and the last set apart. Of more than 400 steps
        400 are drawn, evenly spread, the last one among them.
    """
    steps = max(len(values) for _, values in lines)
    drawn = np.unique(np.linspace(1, steps, min(steps, MOST_STEPS)).round().astype(int))
    names = [name for name, _ in lines]
    looks = folded(names, line=LEGEND_LINE)
    parts = [
        pd.DataFrame({"step": at, "rate": values[at - 1], "name": looks[name], "place": place})
        for place, (name, values) in enumerate(lines)
        if len(at := drawn[drawn <= len(values)])
    ]
    long = pd.concat(parts, ignore_index=True)
    x = alt.X("step:Q", title="step", scale=alt.Scale(domain=[1, max(steps, 2)], nice=False))
    highest = float(long["rate"].max())
    form = "~e" if highest < 1e-2 else "~g"
    zero = f"datum.value === 0 ? '0' : format(datum.value, '{form}')"
    axis = alt.Axis(labelExpr=zero, tickCount=5)
    y = alt.Y("rate:Q", title="learning rate", axis=axis)
    base = alt.Chart(rows(long)).encode(x=x, y=y)
    layers = (
        _distinct(base, list(looks.values())) if len(lines) <= MOST_LINES else _shaded(base, looks)
    )
    # A field's name may hold no dots or brackets, so lines are numbered.
    wide = long.pivot(index="step", columns="place", values="rate").add_prefix("r").reset_index()
    tooltip = [
        alt.Tooltip("step:Q", format=",d"),
        *(alt.Tooltip(f"r{k}:Q", title=name, format=".3~e") for k, name in enumerate(names)),
    ]
    over = alt.selection_point(
        name="step", on="pointerover", clear="pointerout", fields=["step"], empty=False
    )
    rule = (
        alt.Chart(rows(wide))
        .mark_rule(strokeWidth=max(2.0, WIDTH / len(drawn)), color=MUTED)
        .encode(x=x, tooltip=tooltip, opacity=alt.condition(over, alt.value(0.35), alt.value(0)))
        .add_params(over)
    )
    chart = alt.layer(*layers, rule).resolve_scale(color="independent", strokeDash="independent")
    return styled(sized(chart), title)


def _distinct(base: Chart, names: list[str]) -> list[Chart]:
    return [
        base.mark_line(strokeWidth=2).encode(
            color=alt.Color("name:N", scale=series_scale(names, SERIES), legend=name_legend(names)),
            strokeDash=alt.StrokeDash("name:N", scale=series_scale(names, DASHES)),
        )
    ]


def _shaded(base: Chart, looks: dict[str, str]) -> list[Chart]:
    """The first and the last line have looks of their own, the others shades from dark to light."""
    texts = list(looks.values())
    ends = [texts[0], texts[-1]]
    last = len(texts) - 1
    shades = alt.Scale(
        scheme=alt.SchemeParams(name=SCHEME, extent=[0.0, 0.8]), domain=[1, max(last - 1, 2)]
    )
    # Lines between are layers, one each, so that their place is the layer's number.
    legend = alt.Legend(title="layer", format="d", gradientLength=90, tickMinStep=1)
    between = base.transform_filter(f"datum.place > 0 && datum.place < {last}")
    outer = base.transform_filter(f"datum.place === 0 || datum.place === {last}")
    return [
        between.mark_line(strokeWidth=1.4).encode(
            detail="place:O", color=alt.Color("place:Q", scale=shades, legend=legend)
        ),
        outer.mark_line(strokeWidth=2).encode(
            color=alt.Color(
                "name:N",
                scale=alt.Scale(domain=ends, range=[INK, ORANGE]),
                legend=alt.Legend(symbolType="stroke"),
            ),
            strokeDash=alt.StrokeDash(
                "name:N", scale=alt.Scale(domain=ends, range=[DASHES[2], DASHES[1]])
            ),
        ),
    ]
