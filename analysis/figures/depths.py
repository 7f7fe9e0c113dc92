"""Figures by depth of the model: distances, gradient norms, similarity of representations."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from analysis.errors import TableError
from analysis.figures.labels import LEGEND_LINE, folded, name_legend
from analysis.figures.theme import (
    DASHES,
    INK,
    ORANGE,
    SCHEME,
    SERIES,
    SHAPES,
    Chart,
    log_ticks,
    rows,
    series_scale,
    sized,
    spots,
    styled,
)
from analysis.training.run_similarity import KINDS

MEASURES = {
    "cka": "CKA (unbiased)",
    "svcca": "SVCCA (.99 of the variance)",
    "procrustes": "Procrustes distance",
}
ENDS = ["embeddings", "head"]
MOST_STEPS = 120


def distance_by_depth(table: pd.DataFrame, labels: list[str], *, title: str = "") -> Chart:
    """Distance of every layer from its start at the end of training, per recipe.

    Parameters
    ----------
    table : DataFrame
        Of `layer_profiles.distances_at_end`, of models of one depth.
    labels : list of str
        The recipe of every row.

    Returns
    -------
    altair chart
        Points are medians over runs, rules their range.
    """
    lines_of = folded(labels, line=LEGEND_LINE)
    shown = table.assign(label=[lines_of[label] for label in labels])
    names = list(lines_of.values())
    return styled(
        _dodged(
            shown,
            names,
            "L2 distance from the start",
            alt.Scale(zero=True),
            [
                alt.Tooltip("label:N", title="recipe"),
                alt.Tooltip("place:N", title="layer"),
                alt.Tooltip("median:Q", title="median distance", format=".3~g"),
                alt.Tooltip("lower:Q", title="smallest", format=".3~g"),
                alt.Tooltip("upper:Q", title="largest", format=".3~g"),
                alt.Tooltip("n_runs:Q", title="runs"),
            ],
        ),
        title,
    )


def similarity_by_depth(summary: pd.DataFrame, measure: str, *, title: str = "") -> Chart:
    """Similarity of the representations of two runs, by layer and by common seeds.

    Parameters
    ----------
    summary : DataFrame
        Of `run_similarity.similarity_by_kind`.
    measure : {"cka", "svcca", "procrustes"}

    Returns
    -------
    altair chart
        Points are medians over pairs, rules their range.
    """
    shown = summary.loc[summary["measure"] == measure]
    if shown.empty:
        raise TableError(f"{MEASURES[measure]} is defined for no pair: all examples are alike.")
    shown = shown.assign(label=shown["kind"], place=shown["depth"].astype("str"))
    names = [kind for kind in KINDS if (shown["label"] == kind).any()]
    most = 2.0 if measure == "procrustes" else 1.0
    least = min(0.0, float(shown["lower"].min()))
    return styled(
        _dodged(
            shown,
            names,
            MEASURES[measure],
            alt.Scale(domain=[least, max(most, float(shown["upper"].max()))], nice=False),
            [
                alt.Tooltip("label:N", title="two runs"),
                alt.Tooltip("place:N", title="layer"),
                alt.Tooltip("median:Q", title="median", format=".3f"),
                alt.Tooltip("lower:Q", title="smallest", format=".3f"),
                alt.Tooltip("upper:Q", title="largest", format=".3f"),
                alt.Tooltip("n_pairs:Q", title="pairs"),
            ],
        ),
        title,
    )


def _dodged(
    table: pd.DataFrame,
    names: list[str],
    quantity: str,
    scale: alt.Scale,
    tooltip: list[alt.Tooltip],
) -> Chart:
    """Medians with ranges by depth, the series of a depth side by side."""
    places = list(table.sort_values("depth", kind="stable")["place"].unique())
    axis = alt.Axis(labelAngle=0, labelOverlap=True, ticks=False, grid=False)
    color = alt.Color("label:N", scale=series_scale(names, SERIES), legend=name_legend(names))
    encoded = {
        "x": alt.X("place:O", title="layer", sort=places, axis=axis),
        "xOffset": alt.XOffset("label:N", sort=names),
        "color": color,
    }
    fields = ["place", "label", "median", "lower", "upper"]
    counts = [name for name in ("n_runs", "n_pairs") if name in table]
    base = alt.Chart(rows(table[[*fields, *counts]]))
    spans = base.mark_rule(strokeWidth=1.5).encode(
        **encoded, y=alt.Y("lower:Q", title=quantity, scale=scale), y2="upper:Q"
    )
    shape = alt.Shape("label:N", scale=series_scale(names, SHAPES))
    points = base.mark_point(size=46, filled=True, opacity=1).encode(
        **encoded, y=alt.Y("median:Q", title=quantity, scale=scale), shape=shape, tooltip=tooltip
    )
    return sized(alt.layer(spans, points))


def profile_over_steps(
    table: pd.DataFrame,
    *,
    quantity: str,
    log: bool = False,
    domain: tuple[float, float] | None = None,
    title: str = "",
) -> Chart:
    """A diagnostic over the steps, one line per depth.

    Parameters
    ----------
    table : DataFrame
        Rows of one group and outcome of `layer_profiles.profile_medians`.
    quantity : str
        Title of the vertical axis.
    log : bool
        Draw logarithms; values that are not positive (frozen layers) are left out.
    domain : (low, high), optional
        Range of the vertical axis, so that several figures can be compared.

    Returns
    -------
    altair chart
        Layers from dark (the lowest) to light; embeddings and head have colours and dashes
        of their own. At most 120 steps are drawn.
    """
    steps = np.sort(table["step"].unique())
    if len(steps) > MOST_STEPS:
        steps = steps[np.unique(np.linspace(0, len(steps) - 1, MOST_STEPS).round().astype(int))]
    shown = table.loc[table["step"].isin(steps) & ((table["median"] > 0) | (not log))]
    if shown.empty:
        raise TableError(f"{quantity}: no value is above 0; every layer is frozen.")
    top = int(table["depth"].max())
    scale = alt.Scale(
        type="log" if log else "linear",
        nice=False,
        **({} if domain is None else {"domain": list(domain)}),
    )
    ends = domain or (float(shown["median"].min()), float(shown["median"].max()))
    axis = alt.Axis(format="~g", values=log_ticks(*ends)) if log else alt.Axis()
    encoded = {
        "x": alt.X("step:Q", title="step", scale=alt.Scale(nice=False)),
        "y": alt.Y("median:Q", title=quantity, scale=scale, axis=axis),
    }
    tooltip = [
        alt.Tooltip("place:N", title="layer"),
        alt.Tooltip("step:Q"),
        alt.Tooltip("median:Q", title="median", format=".3~g"),
        alt.Tooltip("n_runs:Q", title="runs"),
    ]
    fields = ["step", "depth", "place", "median", "n_runs"]
    between = shown.loc[shown["depth"].between(1, top - 1), fields]
    outer = shown.loc[shown["place"].isin(ENDS), fields]
    layers = []
    if len(between):
        # Without the palest fifth, which vanishes on white.
        shades = alt.Scale(
            scheme=alt.SchemeParams(name=SCHEME, extent=[0.0, 0.8]), domain=[1, max(top - 1, 2)]
        )
        marks = sorted({1, max(top // 2, 1), top - 1})
        legend = alt.Legend(title="layer", values=marks, format="d", gradientLength=90)
        layers.append(
            alt.Chart(rows(between))
            .mark_line(strokeWidth=1.4)
            .encode(
                **encoded,
                detail="depth:O",
                color=alt.Color("depth:Q", scale=shades, legend=legend),
            )
        )
    if len(outer):
        names = [name for name in ENDS if (outer["place"] == name).any()]
        looks = {"embeddings": (INK, DASHES[2]), "head": (ORANGE, DASHES[1])}
        layers.append(
            alt.Chart(rows(outer))
            .mark_line(strokeWidth=2)
            .encode(
                **encoded,
                color=alt.Color(
                    "place:N",
                    scale=alt.Scale(domain=names, range=[looks[n][0] for n in names]),
                    legend=alt.Legend(symbolType="stroke"),
                ),
                strokeDash=alt.StrokeDash(
                    "place:N", scale=alt.Scale(domain=names, range=[looks[n][1] for n in names])
                ),
            )
        )
    layers.append(spots(alt.Chart(rows(shown[fields])), **encoded, tooltip=tooltip))
    chart = alt.layer(*layers).resolve_scale(color="independent", strokeDash="independent")
    return styled(sized(chart), title)
