"""The price of choosing: validation and test score of the best of n runs."""

from __future__ import annotations

import altair as alt
import pandas as pd

from analysis.figures.best_of import runs_axis
from analysis.figures.theme import (
    DASHES,
    MUTED,
    NAVY,
    ORANGE,
    Chart,
    rows,
    score_axis,
    series_scale,
    sized,
    styled,
)

DEV, TEST, MEAN = "on the validation set", "on the test set", "mean of all runs on the test set"


def price_of_choosing(
    table: pd.DataFrame,
    *,
    metric: str = "score",
    title: str = "",
    unit: str = "runs",
    mean: str = MEAN,
) -> Chart:
    """Expected scores of the best on the validation set among n.

    Parameters
    ----------
    table : DataFrame
        Rows of one group of `choosing_table.choosing_table`, or of a table with its columns.
    unit : str
        Plural of what is chosen.
    mean : str
        Name of the line of column ``mean_test``: the test score without a choice.

    Returns
    -------
    altair chart
        The interval of the expected test score is shaded where it is known.
    """
    names = [DEV, TEST, mean]
    columns = dict(zip(("expected_dev", "expected_test", "mean_test"), names, strict=True))
    lines = table.rename(columns=columns).melt("n", names, var_name="series", value_name="score")
    lines = lines.merge(table[["n", "gap"]], on="n")
    band = table.dropna(subset=["test_lower", "test_upper"])
    if len(band) < 2:
        band = band.iloc[:0]
    scale = score_axis([*lines["score"], *band["test_lower"], *band["test_upper"]])
    x, y = runs_axis(table, f"number of {unit} n (logarithmic)"), f"{metric} of the choice"
    layers = []
    if len(band):
        layers.append(
            alt.Chart(rows(band[["n", "test_lower", "test_upper"]]))
            .mark_area(opacity=0.2, color=ORANGE)
            .encode(x=x, y=alt.Y("test_lower:Q", title=y, scale=scale), y2="test_upper:Q")
        )
    layers.append(
        alt.Chart(rows(lines))
        .mark_line(strokeWidth=2.2)
        .encode(
            x=x,
            y=alt.Y("score:Q", title=y, scale=scale),
            color=alt.Color(
                "series:N",
                scale=series_scale(names, (NAVY, ORANGE, MUTED)),
                legend=alt.Legend(symbolType="stroke", columns=1),
            ),
            strokeDash=alt.StrokeDash("series:N", scale=series_scale(names, DASHES)),
            tooltip=[
                alt.Tooltip("series:N", title="score"),
                alt.Tooltip("n:Q", title=f"{unit} to choose from"),
                alt.Tooltip("score:Q", title=metric, format=".4~f"),
                alt.Tooltip("gap:Q", title="validation minus test", format="+.4~f"),
            ],
        )
    )
    return styled(sized(alt.layer(*layers)), title)
