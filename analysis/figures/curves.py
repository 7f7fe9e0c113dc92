"""Validation curves of all runs, and training losses as bands."""

from __future__ import annotations

import altair as alt
import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.data.study import Study
from analysis.errors import TableError
from analysis.figures.theme import (
    INK,
    MUTED,
    NAVY,
    ORANGE,
    PURPLE,
    TEAL,
    Chart,
    rows,
    score_axis,
    sized,
    spots,
    styled,
)

MOST_POINTS = 60
MOST_BINS = 150
MOST_FAILED_LINES = 20
MOST_LINES = 200
PICKED = ["best run", "worst run", "majority"]


def validation_curves(study: Study, *, chosen: str = "", title: str = "") -> Chart:
    """Score over training for every run of one group, the best and the worst highlighted.

    Parameters
    ----------
    study : Study
        One group with curves. Runs that were stopped early are drawn up to their
        last evaluation.
    chosen : str
        The cell "init/order" whose curves are drawn on top: the parameter
        ``chosen``, which the report sets from the heatmap.
    title : str

    Returns
    -------
    altair chart
        Curves are thinned to 60 evaluations, the last one always kept. Of more
        than 200 runs, 200 that are evenly spread over the ranking are drawn; all
        can be chosen.
    """
    if study.curves is None:
        raise TableError("there are no evaluations during training; export or record them.")
    runs = study.runs
    up = bool(runs["higher_is_better"].iloc[0])
    metric = str(runs["metric"].iloc[0])
    points = _thinned(study.curves)
    by_run = runs.set_index("run")
    points["cell"] = points["run"].map(
        by_run["init_seed"].astype("str") + "/" + by_run["order_seed"].astype("str")
    )
    points["failed"] = points["run"].map(by_run["failed"])
    points["drawn"] = points["run"].isin(drawn_runs(runs))
    picked = []
    ends = study.complete_runs()
    if len(ends) > 1:
        # The first of equals, as in the report's sentence.
        high, low = (
            ends["run"].iloc[int(at)] for at in (ends["score"].argmax(), ends["score"].argmin())
        )
        best, worst = (high, low) if up else (low, high)
        for name, run in zip(PICKED, (best, worst), strict=False):
            picked.append(points.loc[points["run"] == run].assign(which=name))
    majority = runs["majority"].dropna()
    if len(majority):
        line = pd.DataFrame({"fraction": [0.0, 1.0], "score": float(majority.iloc[0])})
        picked.append(line.assign(which="majority", run="", cell=""))
    param = alt.param(name="chosen", value=chosen)
    x = alt.X(
        "fraction:Q",
        title="share of training",
        axis=alt.Axis(format="%", tickCount=5),
        scale=alt.Scale(domain=[0, 1], nice=False),
    )
    y = alt.Y("score:Q", title=metric, scale=score_axis([*points["score"], *majority]))
    tooltip = [
        alt.Tooltip("cell:N", title="init/order seed"),
        alt.Tooltip("fraction:Q", title="share of training", format=".0%"),
        alt.Tooltip("score:Q", title=metric, format=".4~f"),
    ]
    base = alt.Chart(rows(points[["run", "cell", "failed", "drawn", "fraction", "score"]]))
    seeds = alt.Tooltip("cell:N", title="init/order seed")
    opacity = float(np.clip(25 / max(len(runs), 1), 0.2, 0.7))
    # Failed runs leave the bundle of curves: dashes and colour mark them.
    # strokeOpacity, not opacity, which makes every line a layer of its own in the SVG.
    bundle = base.transform_filter("datum.drawn") if len(runs) > MOST_LINES else base
    every = bundle.mark_line(strokeWidth=0.8, strokeOpacity=opacity).encode(
        x=x,
        y=y,
        detail="run:N",
        color=alt.condition("datum.failed", alt.value(ORANGE), alt.value(MUTED)),
        strokeDash=alt.condition("datum.failed", alt.value([3, 2]), alt.value([1, 0])),
        tooltip=seeds,
    )
    layers = [every]
    if picked:
        drawn = pd.concat(picked, ignore_index=True)
        layers += _picked_lines(drawn, dict(zip(runs["run"], runs["failed"], strict=True)), x, y)
    light = base.transform_filter("datum.cell === chosen")
    layers += [
        light.mark_line(strokeWidth=3, color=TEAL).encode(x=x, y=y, detail="run:N"),
        light.mark_point(filled=True, opacity=1, color=TEAL, size=18).encode(
            x=x, y=y, tooltip=tooltip
        ),
    ]
    chart = alt.layer(*layers).add_params(param)
    return styled(sized(chart), title)


def _picked_lines(drawn: pd.DataFrame, failed: dict[str, bool], x: alt.X, y: alt.Y) -> list[Chart]:
    """The best and the worst run, and the majority. A run is dashed where it failed, only."""
    present = [name for name in PICKED if (drawn["which"] == name).any()]
    run_of = dict(zip(drawn["which"], drawn["run"], strict=True))
    lost = {name: bool(failed.get(run_of[name], False)) for name in present}
    colors = {
        "best run": ORANGE if lost.get("best run") else NAVY,
        "worst run": ORANGE if lost.get("worst run") else PURPLE,
        "majority": INK,
    }
    if all(lost.get(name) for name in PICKED[:2]):
        colors["best run"] = NAVY
    dashes = {name: [6, 3] if lost[name] else [1, 0] for name in present} | {"majority": [1, 3]}
    shapes = {"best run": "circle", "worst run": "triangle-down", "majority": "stroke"}
    looks = [
        alt.Scale(domain=present, range=[look[name] for name in present])
        for look in (colors, dashes, shapes)
    ]
    base = alt.Chart(rows(drawn[["run", "cell", "which", "fraction", "score"]]))
    color = alt.Color("which:N", scale=looks[0], legend=alt.Legend(columns=3))
    of_runs = base.transform_filter("datum.which !== 'majority'")
    tooltip = [
        alt.Tooltip("which:N", title="run"),
        alt.Tooltip("cell:N", title="init/order seed"),
        alt.Tooltip("fraction:Q", title="share of training", format=".0%"),
        alt.Tooltip("score:Q", format=".4~f"),
    ]
    return [
        base.mark_line(strokeWidth=2.2).encode(
            x=x, y=y, color=color, strokeDash=alt.StrokeDash("which:N", scale=looks[1])
        ),
        # Marked at every evaluation, so that the two differ on a grey print.
        of_runs.mark_point(size=22, filled=True, opacity=1).encode(
            x=x, y=y, color=color, shape=alt.Shape("which:N", scale=looks[2]), tooltip=tooltip
        ),
    ]


def drawn_runs(runs: pd.DataFrame) -> pd.Series:
    """The runs whose curves are drawn: all, or 200 evenly spread over the ranking."""
    ranked = runs.sort_values("score", kind="stable")["run"]
    if len(ranked) <= MOST_LINES:
        return ranked
    return ranked.iloc[np.linspace(0, len(ranked) - 1, MOST_LINES).round().astype(int)]


def _thinned(curves: pd.DataFrame) -> pd.DataFrame:
    times = np.sort(curves["fraction"].unique())
    if len(times) > MOST_POINTS:
        kept = times[np.unique(np.linspace(0, len(times) - 1, MOST_POINTS).round().astype(int))]
        last = ~curves["run"].duplicated(keep="last")
        curves = curves.loc[curves["fraction"].isin(kept) | last]
    return curves[["run", "fraction", "score"]].reset_index(drop=True)


def loss_bands(study: Study, *, title: str = "") -> Chart:
    """Training loss of one group: mean and range of the good runs, failed runs one by one.

    Returns
    -------
    altair chart
        Each run's losses are averaged within at most 150 equal parts of the
        steps. At most 20 failed runs are drawn; a cross marks the last finite
        loss of a run that diverged.
    """
    if study.steps is None:
        raise TableError("there are no training losses; record the steps and export them.")
    by_run = study.runs.set_index("run")
    binned = binned_losses(study.steps, MOST_BINS)
    binned["failed"] = binned["run"].map(by_run["failed"]).astype("bool")
    good = binned.loc[~binned["failed"]].dropna(subset="loss")
    band = good.groupby("step")["loss"].agg(["mean", "min", "max"]).reset_index()
    x = alt.X("step:Q", title="step", scale=alt.Scale(nice=False))
    layers = []
    n_good = int(good["run"].nunique())
    if len(band):
        name = f"mean and range of {n_good} runs"
        shaded = (
            alt.Chart(rows(band))
            .mark_area(opacity=0.25, color=NAVY)
            .encode(x=x, y=alt.Y("min:Q", title="training loss"), y2="max:Q")
        )
        line = (
            alt.Chart(rows(band.assign(series=name)))
            .mark_line(strokeWidth=2)
            .encode(x=x, y="mean:Q", color=_kind("series", name, NAVY))
        )
        hover = spots(
            alt.Chart(rows(band)),
            x=x,
            y="mean:Q",
            tooltip=[
                alt.Tooltip("step:Q", format=".0f"),
                alt.Tooltip("mean:Q", title="mean loss", format=".4~f"),
                alt.Tooltip("min:Q", title="lowest", format=".4~f"),
                alt.Tooltip("max:Q", title="highest", format=".4~f"),
            ],
        )
        layers += [shaded, line, hover]
    lost = binned.loc[binned["failed"]]
    chosen = list(dict.fromkeys(lost["run"]))[:MOST_FAILED_LINES]
    if chosen:
        shown = lost.loc[lost["run"].isin(chosen)].dropna(subset="loss")
        cell = by_run["init_seed"].astype("str") + "/" + by_run["order_seed"].astype("str")
        shown = shown.assign(cell=shown["run"].map(cell))
        seeds = alt.Tooltip("cell:N", title="init/order seed")
        total = int(lost["run"].nunique())
        word = f"failed runs ({len(chosen)} of {total})" if total > len(chosen) else "failed runs"
        layers.append(
            alt.Chart(rows(shown.assign(series=word)))
            .mark_line(strokeWidth=0.9, strokeDash=[4, 2], strokeOpacity=0.7)
            .encode(
                x=x,
                y=alt.Y("loss:Q", title="training loss"),
                detail="run:N",
                color=_kind("series", word, ORANGE),
                tooltip=seeds,
            )
        )
        broken = by_run.index[by_run["diverged"].to_numpy(dtype=bool)]
        ends = shown.loc[shown["run"].isin(broken)].drop_duplicates("run", keep="last")
        if len(ends):
            layers.append(
                alt.Chart(rows(ends))
                .mark_point(shape="cross", angle=45, size=70, color=ORANGE, filled=True)
                .encode(x=x, y="loss:Q", tooltip=[seeds, alt.Tooltip("step:Q", title="last step")])
            )
    chart = alt.layer(*layers).resolve_scale(color="independent")
    return styled(sized(chart), title)


def _kind(field: str, name: str, color: str) -> alt.Color:
    return alt.Color(f"{field}:N", scale=alt.Scale(domain=[name], range=[color]))


def binned_losses(steps: pd.DataFrame, most: int) -> pd.DataFrame:
    """The mean loss of every run within at most `most` equal parts of the steps.

    Returns
    -------
    DataFrame
        ``run, part, loss, step``; ``step`` is the middle of the part.
    """
    step: npt.NDArray[np.float64] = steps["step"].to_numpy(dtype=np.float64)
    low, high = float(step.min()), float(step.max())
    count = min(most, len(np.unique(step)))
    width = (high - low) / max(count - 1, 1) or 1.0
    frame = pd.DataFrame(
        {"run": steps["run"], "part": np.round((step - low) / width), "loss": steps["train_loss"]}
    )
    mean: pd.DataFrame = frame.groupby(["run", "part"], sort=False)["loss"].mean().reset_index()
    return mean.assign(step=low + mean["part"] * width)
