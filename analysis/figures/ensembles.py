"""What to do with k runs: expected scores of the best one, of their vote and of their average."""

from __future__ import annotations

import altair as alt
import pandas as pd

from analysis.figures.best_of import runs_axis
from analysis.figures.labels import apart
from analysis.figures.theme import (
    DASHES,
    HEIGHT,
    MUTED,
    NAVY,
    ORANGE,
    PURPLE,
    TEAL,
    WIDTH,
    Chart,
    rows,
    score_axis,
    series_scale,
    sized,
    spots,
    styled,
)

LABELS = {
    "average": "average of k runs",
    "vote": "vote of k runs",
    "ranks": "mean ranks of k runs",
    "best": "best of k on validation",
    "mean": "mean run",
}
COLOURS = dict(zip(LABELS, (NAVY, ORANGE, PURPLE, TEAL, MUTED), strict=True))
# No figure has both votes and ranks.
LOOKS = dict(zip(LABELS, (DASHES[0], DASHES[1], DASHES[1], DASHES[3], DASHES[5]), strict=True))
SHADED = "average"
LABEL_WIDTH, LABEL_HEIGHT = 130, 13


def ensemble_figure(
    table: pd.DataFrame, *, metric: str = "expected score", title: str = ""
) -> Chart:
    """Expected score against k, one line per method, each with its name at its end.

    Parameters
    ----------
    table : DataFrame
        Rows of one group and one split of `ensembles.table.ensemble_table`.

    Returns
    -------
    altair chart
        Lines end before the number of all runs, which leaves one choice and nothing to average over.
        The interval of the average's expected score is shaded where it is known.
    """
    several = table["k"] < table["n_runs"]
    if table.loc[several, "k"].nunique() > 1:
        table = table.loc[several]
    mean = table.drop_duplicates("k").assign(method="mean", score=table["mean_run"].iloc[0])
    mean = mean.assign(gain=0.0)
    lines = pd.concat([table, mean], ignore_index=True)[["k", "method", "score", "gain"]]
    names = [name for name in LABELS if (lines["method"] == name).any()]
    lines = lines.rename(columns={"k": "n"}).assign(series=lines["method"].map(LABELS))
    band = table.loc[table["method"] == SHADED].dropna(subset=["lower", "upper"])
    band = (band if len(band) > 1 else band.iloc[:0]).rename(columns={"k": "n"})
    scale = score_axis([*lines["score"], *band["lower"], *band["upper"]])
    x = runs_axis(lines, "number of runs k (logarithmic)")
    y_title, labels = metric, [LABELS[name] for name in names]
    y = alt.Y("score:Q", title=y_title, scale=scale)
    colour = alt.Color(
        "series:N", scale=series_scale(labels, [COLOURS[name] for name in names]), legend=None
    )
    layers = []
    if len(band):
        layers.append(
            alt.Chart(rows(band[["n", "lower", "upper"]]))
            .mark_area(opacity=0.15, color=COLOURS[SHADED])
            .encode(x=x, y=alt.Y("lower:Q", title=y_title, scale=scale), y2="upper:Q")
        )
    base = alt.Chart(rows(lines[["n", "series", "score", "gain"]]))
    layers.append(
        base.mark_line(strokeWidth=2.2).encode(
            x=x,
            y=y,
            color=colour,
            strokeDash=alt.StrokeDash(
                "series:N", scale=series_scale(labels, [LOOKS[name] for name in names]), legend=None
            ),
        )
    )
    tooltip = [
        alt.Tooltip("series:N", title="of k runs"),
        alt.Tooltip("n:Q", title="k"),
        alt.Tooltip("score:Q", title=metric, format=".4~f"),
        alt.Tooltip("gain:Q", title="gain over a mean run", format="+.4~f"),
    ]
    layers.append(spots(base, x=x, y=y, tooltip=tooltip))
    ends = lines.sort_values("n").drop_duplicates("method", keep="last")
    low, high = scale.domain
    places = apart(list(ends["score"]), LABEL_HEIGHT * (high - low) / HEIGHT, low, high)
    layers.append(
        alt.Chart(rows(ends[["series"]].assign(place=places)))
        .mark_text(align="left", baseline="middle", dx=6, fontSize=11)
        .encode(
            x=alt.value("width"),
            y=alt.Y("place:Q", title=y_title, scale=scale),
            text="series:N",
            color=colour,
        )
    )
    return styled(sized(alt.layer(*layers), width=WIDTH - LABEL_WIDTH), title)
