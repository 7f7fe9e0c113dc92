"""Scores over the grid of init by order seeds, with a strip of means on two sides."""

from __future__ import annotations

import json
from typing import Literal, get_args

import altair as alt
import numpy as np
import pandas as pd

from analysis.checks import check_choice
from analysis.data.study import Study
from analysis.errors import TableError
from analysis.figures.theme import CROSS, INK, SCHEME, Chart, rows, sized, styled

Sort = Literal["mean", "best", "failures", "seed"]
STATES = {"failed": CROSS, "stopped early": "triangle-down", "no run": "circle"}
AXES = (("init_seed", "y"), ("order_seed", "x"))
MOSTLY_EMPTY = 0.5
MOST_SEEDS = 100
"""Rows and columns at most: a browser draws 10,000 cells in a second."""


def heatmap(study: Study, *, sort: Sort = "mean", title: str = "") -> Chart:
    """Heatmap of one group: init seeds down, order seeds across, means beside them.

    Parameters
    ----------
    study : Study
        One (task, model, recipe).
    sort : {"mean", "best", "failures", "seed"}
        Order of rows and columns, the best first; "seed" orders them by number.
        In HTML the reader can choose.
    title : str

    Returns
    -------
    altair chart
        A cell's selection is the parameter ``cell``, of the value "init/order",
        for which `validation_curves` listens. The strips show the means of rows
        and columns on the scale of the cells, so that contrasts can be compared.
    """
    check_choice("sort", sort, get_args(Sort))
    runs = study.runs
    if len(study.group_keys()) != 1:
        raise TableError(f"a heatmap shows one group, got {len(study.group_keys())}.")
    cells, names = heatmap_cells(study)
    metric = str(runs["metric"].iloc[0])
    up = bool(runs["higher_is_better"].iloc[0])
    shown = alt.param(
        name="sort",
        value=sort,
        bind=alt.binding_select(options=list(get_args(Sort)), name="sorted by "),
    )
    labels = [alt.param(name=f"{axis}_names", value=names[axis]) for _, axis in AXES]
    hover = alt.selection_point(
        name="cell", on="pointerover", clear="pointerout", fields=["cell"], empty=False
    )
    x, y = (_position(axis, factor, len(names[axis]["seed"])) for factor, axis in reversed(AXES))
    tooltip = [
        alt.Tooltip("init:N", title="init seed"),
        alt.Tooltip("order:N", title="order seed"),
        alt.Tooltip("score:Q", title=metric, format=".4~f"),
        alt.Tooltip("final:Q", title="final score", format=".4~f"),
        alt.Tooltip("runs:Q", title="runs"),
        alt.Tooltip("state:N", title="state"),
    ]
    base = (
        alt.Chart(rows(cells))
        .transform_calculate(x="datum['x_' + sort]", y="datum['y_' + sort]", spoken=_spoken(metric))
        .encode(x=x, y=y, tooltip=tooltip, description="spoken:N")
    )
    scale = alt.Scale(scheme=SCHEME, reverse=not up, domain=_domain(cells["score"]), nice=False)
    better = "higher is better" if up else "lower is better"
    filled = (
        base.transform_filter("isValid(datum.score)")
        .mark_rect(stroke="white", strokeWidth=0.4)
        .encode(
            color=alt.Color(
                "score:Q",
                scale=scale,
                legend=alt.Legend(
                    title=f"{metric} ({better})", gradientLength=180, format=".3~g", orient="top"
                ),
            )
        )
        .add_params(shown, *labels, hover)
    )
    present = [s for s in STATES if (cells["state"] == s).any()]
    if (cells["state"] == "no run").mean() > MOSTLY_EMPTY:
        # White says it; a mark in every empty cell would hide the runs.
        present.remove("no run")
    layers = [filled]
    if present:
        middle = float(np.mean(_domain(cells["score"])))
        dark = f"datum.score {'<' if up else '>'} {middle:.6g}"
        marked = alt.FieldOneOfPredicate(field="state", oneOf=present)
        size = float(np.clip(1600 / max(len(names["x"]["seed"]), 1), 14, 90))
        layers.append(
            base.transform_filter(marked)
            .mark_point(size=size, strokeWidth=1.4)
            .encode(
                shape=alt.Shape(
                    "state:N",
                    scale=alt.Scale(domain=present, range=[STATES[s] for s in present]),
                    legend=alt.Legend(symbolStrokeColor=INK, symbolSize=60),
                ),
                stroke=alt.condition(
                    f"datum.state == 'failed' && {dark}", alt.value("white"), alt.value(INK)
                ),
            )
        )
    layers.append(base.transform_filter(hover).mark_rect(filled=False, stroke=INK, strokeWidth=2.5))
    height = int(np.clip(17 * len(names["y"]["seed"]), 110, 460))
    chart = alt.layer(*layers).resolve_scale(shape="independent")
    return styled(sized(chart, height=height), title)


def _spoken(metric: str) -> str:
    """The words of a cell for a screen reader: its seeds, not its place on the axes."""
    score = f"{json.dumps(', ' + metric + ' ')} + format(datum.score, '.4~f')"
    return (
        "'init seed ' + datum.init + ', order seed ' + datum.order"
        f" + (isValid(datum.score) ? {score} : '') + ', ' + datum.state"
    )


def heatmap_cells(study: Study) -> tuple[pd.DataFrame, dict[str, dict[str, list[str]]]]:
    """The cells and strips with their places under every order, and the labels of the axes."""
    runs = study.runs.assign(
        failure=(study.runs["failed"] & study.runs["complete"]).astype("float64")
    )
    up = bool(runs["higher_is_better"].iloc[0])
    complete = runs.loc[runs["complete"]]
    keys = ["init_seed", "order_seed"]
    found = complete.groupby(keys).agg(
        score=("score", "mean"),
        final=("final_score", "mean"),
        runs=("run", "size"),
        failures=("failure", "sum"),
    )
    seeds = {factor: drawn_seeds(runs, factor) for factor, _ in AXES}
    index = pd.MultiIndex.from_product([seeds[k] for k in keys], names=keys)
    cells = found.reindex(index).reset_index()
    begun = pd.MultiIndex.from_frame(runs[keys]).unique()
    cells["runs"] = cells["runs"].fillna(0).astype(int)
    cells["state"] = np.where(
        cells["runs"] > 0,
        np.where(cells["failures"].fillna(0) > 0, "failed", "finished"),
        np.where(index.isin(begun), "stopped early", "no run"),
    )
    # Means over selected runs would be taken for means of a seed.
    selected = bool((runs["status"] == "stopped").any())
    names: dict[str, dict[str, list[str]]] = {}
    places = {}
    for factor, axis in AXES:
        by_seed = complete.groupby(factor)["score"]
        measures = pd.DataFrame(
            {
                "mean": by_seed.mean() * (1 if up else -1),
                "best": by_seed.max() if up else -by_seed.min(),
                "failures": -complete.groupby(factor)["failure"].mean(),
            }
        ).reindex(seeds[factor])
        names[axis] = {}
        for order in get_args(Sort):
            if order == "seed":
                ranked = list(seeds[factor])
            else:
                # Ties by mean, then by number, so that the order is always the same.
                by = list(dict.fromkeys([order, "mean"]))
                ranked = list(
                    measures.sort_values(
                        by, ascending=False, kind="stable", na_position="last"
                    ).index
                )
            place = {seed: k + 1 for k, seed in enumerate(ranked)}
            places[axis, order] = place
            cells[f"{axis}_{order}"] = cells[factor].map(place)
            names[axis][order] = [*map(str, ranked), *([] if selected else ["", "mean"])]
    strips = [
        _strip(complete, factor, axis, seeds, places) for factor, axis in AXES if not selected
    ]
    cells["cell"] = cells["init_seed"].astype("str") + "/" + cells["order_seed"].astype("str")
    cells = cells.rename(columns={"init_seed": "init", "order_seed": "order"})
    cells = cells.astype({"init": "str", "order": "str"})
    return pd.concat([cells.drop(columns="failures"), *strips], ignore_index=True), names


def drawn_seeds(runs: pd.DataFrame, factor: str) -> list[int]:
    """Seeds of the heatmap in their order: all, or 100 evenly spread over the ranking by mean."""
    there = sorted(set(runs[factor]))
    if len(there) <= MOST_SEEDS:
        return there
    means = runs.loc[runs["complete"]].groupby(factor)["score"].mean().reindex(there)
    ranked = means.sort_values(kind="stable").index
    kept = np.linspace(0, len(ranked) - 1, MOST_SEEDS).round().astype(int)
    return sorted(ranked[kept])


def _strip(
    complete: pd.DataFrame,
    factor: str,
    axis: str,
    seeds: dict[str, list[int]],
    places: dict[tuple[str, str], dict[int, int]],
) -> pd.DataFrame:
    complete = complete.loc[complete[factor].isin(seeds[factor])]
    means = complete.groupby(factor)[["score", "final_score"]].mean()
    strip = pd.DataFrame(
        {
            "score": means["score"],
            "final": means["final_score"],
            "runs": complete.groupby(factor).size(),
            "state": "mean",
            "cell": "",
        }
    ).reset_index(names="seed")
    other, other_axis = next(pair for pair in AXES if pair[0] != factor)
    end = len(seeds[other]) + 2
    for order in get_args(Sort):
        strip[f"{axis}_{order}"] = strip["seed"].map(places[axis, order])
        strip[f"{other_axis}_{order}"] = end
    mine, theirs = ("init", "order") if factor == "init_seed" else ("order", "init")
    strip[mine], strip[theirs] = strip["seed"].astype("str"), "all"
    return strip.drop(columns="seed")


def _position(axis: str, factor: str, size: int) -> alt.X | alt.Y:
    channel = alt.X if axis == "x" else alt.Y
    return channel(
        f"{axis}:O",
        title=factor.replace("_", " "),
        scale=alt.Scale(domain=list(range(1, size + 1)), padding=0),
        axis=alt.Axis(
            labelExpr=f"{axis}_names[sort][datum.value - 1]",
            labelAngle=0,
            labelOverlap=True,
            ticks=False,
            domain=False,
            grid=False,
            # A screen reader would be told its domain: places, which are no seeds.
            aria=False,
            orient="bottom" if axis == "x" else "left",
        ),
    )


def _domain(scores: pd.Series) -> list[float]:
    low, high = float(scores.min()), float(scores.max())
    air = 0.05 * max(abs(low), 1e-3)
    return [low, high] if high > low else [low - air, high + air]
