"""Training losses of several recipes in one figure."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd

from analysis.errors import TableError
from analysis.figures.curves import MOST_BINS, binned_losses
from analysis.figures.labels import LEGEND_LINE, folded, name_legend
from analysis.figures.theme import (
    DASHES,
    SERIES,
    Chart,
    rows,
    series_scale,
    sized,
    spots,
    styled,
)

MIDDLE = (0.1, 0.9)
"""Quantiles of the band: the middle 80 % of the runs."""
MOST_RECIPES = 6


def loss_quantiles(steps: pd.DataFrame, recipe_of: pd.Series) -> pd.DataFrame:
    """Median and middle 80 % of the training losses of every recipe.

    Parameters
    ----------
    steps : DataFrame
        ``run, step, train_loss``.
    recipe_of : Series of str
        The recipe of every run, by run; the steps of other runs are left out.

    Returns
    -------
    DataFrame
        ``recipe, step, n_runs, median, lower, upper``, in the order of `recipe_of`. A run's losses
        are averaged within at most 150 equal parts of the steps. Losses that are not finite are
        left out, so `n_runs` falls where runs diverge. Quantiles are numpy's (linear).
    """
    known = steps.loc[steps["run"].isin(recipe_of.index)]
    binned = binned_losses(known, MOST_BINS)
    binned = binned.loc[np.isfinite(binned["loss"].to_numpy(np.float64))]
    if binned.empty:
        raise TableError("no training loss is finite; there is nothing to draw.")
    named = binned.assign(recipe=binned["run"].map(recipe_of))
    by_step = named.groupby(["recipe", "step"], sort=True)["loss"]
    table = by_step.agg(n_runs="size", median="median").reset_index()
    for column, share in zip(("lower", "upper"), MIDDLE, strict=True):
        table[column] = by_step.quantile(share).to_numpy(np.float64)
    order = {name: k for k, name in enumerate(dict.fromkeys(recipe_of))}
    ordered: pd.DataFrame = table.sort_values(
        "recipe", key=lambda names: names.map(order), kind="stable"
    )
    return ordered.reset_index(drop=True)


def drawn_recipes(table: pd.DataFrame) -> list[str]:
    """The recipes of a figure: all, or 6 that are evenly spread over the ranking of last losses."""
    last = table.drop_duplicates("recipe", keep="last")
    if len(last) <= MOST_RECIPES:
        return list(last["recipe"])
    ranked = last.sort_values("median", kind="stable")["recipe"]
    kept = set(ranked.iloc[np.linspace(0, len(ranked) - 1, MOST_RECIPES).round().astype(int)])
    return [name for name in last["recipe"] if name in kept]


def recipe_losses(table: pd.DataFrame, names: Sequence[str], *, title: str = "") -> Chart:
    """Training losses of recipes: a line for the median, a band for the middle 80 % of the runs.

    Parameters
    ----------
    table : DataFrame
        Of `loss_quantiles`.
    names : sequence of str
        Recipes to draw, at most 6 for distinct looks.
    title : str
    """
    lines_of = folded(names, line=LEGEND_LINE)
    shown = table.loc[table["recipe"].isin(names)]
    shown = shown.assign(label=shown["recipe"].map(lines_of))
    looks = list(lines_of.values())
    color = alt.Color(
        "label:N",
        scale=series_scale(looks, SERIES),
        legend=name_legend(looks, symbolType="stroke", symbolStrokeWidth=3, symbolOpacity=1),
    )
    columns = ["label", "step", "n_runs", "median", "lower", "upper"]
    base = alt.Chart(rows(shown[columns])).encode(
        x=alt.X("step:Q", title="step", scale=alt.Scale(nice=False))
    )
    y = alt.Y("median:Q", title="training loss", scale=alt.Scale(zero=False))
    bands = base.mark_area(opacity=0.16).encode(
        y=alt.Y("lower:Q", title="training loss", scale=alt.Scale(zero=False)),
        y2="upper:Q",
        color=color,
    )
    dash = alt.StrokeDash("label:N", scale=series_scale(looks, DASHES))
    lines = base.mark_line(strokeWidth=2).encode(y=y, color=color, strokeDash=dash)
    hover = spots(
        base,
        y=y,
        tooltip=[
            alt.Tooltip("label:N", title="recipe"),
            alt.Tooltip("step:Q", format=".0f"),
            alt.Tooltip("median:Q", title="median loss", format=".4~f"),
            alt.Tooltip("lower:Q", title="10% below", format=".4~f"),
            alt.Tooltip("upper:Q", title="90% below", format=".4~f"),
            alt.Tooltip("n_runs:Q", title="runs"),
        ],
    )
    return styled(sized(alt.layer(bands, lines, hover)), title)
