"""Disagreement of two runs by the seeds that they share."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from analysis.figures.labels import folded, name_axis, tallest
from analysis.figures.theme import NAVY, ORANGE, PURPLE, TEAL, Chart, rows, sized, styled

KINDS = {
    "no seed": ("no common seed", NAVY, "circle"),
    "init seed": ("the same init seed", ORANGE, "triangle-up"),
    "order seed": ("the same order seed", TEAL, "square"),
    "both seeds": ("both seeds the same", PURPLE, "diamond"),
}
KIND_ROW = 15
"""Pixels for each kind of pairs."""


def shared_seeds_figure(tables: list[tuple[str, pd.DataFrame]], *, title: str = "") -> Chart:
    """Disagreement of two runs by the seeds that they share, with intervals, per group.

    Parameters
    ----------
    tables : list of (label, DataFrame)
        `shared_seeds.shared_seed_table` of groups with one measure.
    """
    lines_of = folded([label for label, _ in tables])
    shown = pd.concat([table.assign(label=lines_of[label]) for label, table in tables])
    shares = shown["measure"].iloc[0] == "share of examples"
    names = [look[0] for kind, look in KINDS.items() if (shown["shared"] == kind).any()]
    looks = {look[0]: look for look in KINDS.values()}
    shown["kind"] = shown["shared"].map({kind: look[0] for kind, look in KINDS.items()})
    measure = "disagreement of two runs" if shares else "mean absolute difference of two runs"
    heading = f"{measure} (95% interval)"
    ends = shown[["disagreement", "lower", "upper"]].to_numpy(dtype=np.float64)
    scale = alt.Scale(domain=[0, 1.05 * float(np.nanmax(ends)) or 1.0], nice=False)
    axis = alt.Axis(format=".1~%" if shares else "~g", tickCount=6)
    x = alt.X("disagreement:Q", title=heading, scale=scale, axis=axis)
    y = alt.Y("label:N", title=None, sort=None, axis=name_axis())
    offset = alt.YOffset("kind:N", sort=names, scale=alt.Scale(domain=names, paddingOuter=0.5))
    color = alt.Color(
        "kind:N", scale=alt.Scale(domain=names, range=[looks[name][1] for name in names])
    )
    shape = alt.Shape(
        "kind:N", scale=alt.Scale(domain=names, range=[looks[name][2] for name in names])
    )
    fields = ["label", "kind", "disagreement", "lower", "upper", "difference", "n_pairs"]
    base = alt.Chart(rows(shown[fields]))
    known = "isValid(datum.lower)"
    interval = (
        base.transform_filter(known)
        .mark_rule(strokeWidth=2)
        .encode(
            x=alt.X("lower:Q", title=heading, scale=scale, axis=axis),
            x2="upper:Q",
            y=y,
            yOffset=offset,
            color=color,
        )
    )
    digits = ".2%" if shares else ".4~g"
    point = base.mark_point(size=60, filled=True, opacity=1).encode(
        x=x,
        y=y,
        yOffset=offset,
        color=color,
        shape=shape,
        tooltip=[
            alt.Tooltip("label:N", title="runs of"),
            alt.Tooltip("kind:N", title="two runs with"),
            alt.Tooltip("disagreement:Q", format=digits),
            alt.Tooltip("lower:Q", format=digits),
            alt.Tooltip("upper:Q", format=digits),
            alt.Tooltip("difference:Q", title="minus that without a common seed", format=digits),
            alt.Tooltip("n_pairs:Q", title="pairs of runs"),
        ],
    )
    row = max(KIND_ROW * (len(names) + 1), tallest(list(shown["label"])) + 8)
    return styled(sized(alt.layer(interval, point), height=row * len(tables)), title)
