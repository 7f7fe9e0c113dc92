"""Effects of seeds: variance shares, means per seed, the best and the worst seed."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from analysis.data.study import Study
from analysis.errors import TableError
from analysis.figures.labels import name_axis
from analysis.figures.theme import (
    INK,
    MUTED,
    NAVY,
    ORANGE,
    PALE,
    TEAL,
    Chart,
    rows,
    score_axis,
    sized,
    styled,
)

COMPONENTS = {
    "init": ("init", NAVY, "circle"),
    "order": ("order", ORANGE, "triangle-up"),
    "rest": ("rest (interaction and noise)", MUTED, "square"),
    "interaction": ("interaction", TEAL, "diamond"),
    "noise": ("noise", MUTED, "square"),
}
FACTORS = {
    "init_seed": ("init seeds", NAVY, "circle"),
    "order_seed": ("order seeds", ORANGE, "triangle-up"),
}
SHUFFLES = 400
BLOCK_SCORES = 4_000_000


def variance_shares(table: pd.DataFrame, labels: list[str], *, title: str = "") -> Chart:
    """Shares of the variance due to init, order and the rest, with their intervals.

    Parameters
    ----------
    table : DataFrame
        Rows of `components.variance_components` with a finite share.
    labels : list of str
        The row of the figure for each row of the table, for instance the subset.
    """
    shown = table.assign(label=labels).dropna(subset="share")
    if shown.empty:
        raise TableError("no variance can be shared out.")
    present = [name for name in COMPONENTS if (shown["component"] == name).any()]
    names = [COMPONENTS[name][0] for name in present]
    shown["series"] = shown["component"].map({k: v[0] for k, v in COMPONENTS.items()})
    order = list(dict.fromkeys(shown["label"]))
    axis = alt.Axis(format=".0%", tickCount=5)
    scale = alt.Scale(domain=[0, 1], nice=False)
    named = "share of the variance of scores"
    y = alt.Y("label:N", title=None, sort=order, axis=name_axis())
    offset = alt.YOffset("series:N", sort=names, scale=alt.Scale(paddingOuter=0.35))
    color = alt.Color(
        "series:N", scale=alt.Scale(domain=names, range=[COMPONENTS[n][1] for n in present])
    )
    shape = alt.Shape(
        "series:N", scale=alt.Scale(domain=names, range=[COMPONENTS[n][2] for n in present])
    )
    tooltip = [
        alt.Tooltip("series:N", title="source"),
        alt.Tooltip("share:Q", format=".1%"),
        alt.Tooltip("share_lower:Q", title="lower", format=".1%"),
        alt.Tooltip("share_upper:Q", title="upper", format=".1%"),
        alt.Tooltip("sd:Q", title="sd", format=".4~f"),
        alt.Tooltip("n_runs:Q", title="runs"),
    ]
    base = alt.Chart(
        rows(shown[["label", "series", "share", "share_lower", "share_upper", "sd", "n_runs"]])
    )
    interval = (
        base.transform_filter("isValid(datum.share_lower)")
        .mark_rule(strokeWidth=2)
        .encode(
            x=alt.X("share_lower:Q", title=named, axis=axis, scale=scale),
            x2="share_upper:Q",
            y=y,
            yOffset=offset,
            color=color,
        )
    )
    point = base.mark_point(size=60, filled=True, opacity=1).encode(
        x=alt.X("share:Q", title=named, axis=axis, scale=scale),
        y=y,
        yOffset=offset,
        color=color,
        shape=shape,
        tooltip=tooltip,
    )
    return styled(sized(alt.layer(interval, point), height=max(80, 58 * len(order))), title)


def seed_ranking(
    study: Study, means: pd.DataFrame, generator: np.random.Generator, *, title: str = ""
) -> Chart:
    """Mean score of every seed with its interval, in order of rank.

    Parameters
    ----------
    study : Study
        One group; its scores are shuffled for the grey bands.
    means : DataFrame
        Rows of `seed_effects.seed_means` for it.
    generator : numpy Generator
        Shuffles scores over all cells, 400 times.

    Returns
    -------
    altair chart
        Sorted means always climb. The grey steps show the climb by chance: the
        middle 95% of each rank's mean when scores are shuffled.
    """
    metric = str(study.runs["metric"].iloc[0])
    means = means.assign(series=means["factor"].map({k: v[0] for k, v in FACTORS.items()}))
    means["rank"] = means.groupby("factor")["mean"].rank(method="first").astype(int)
    bands = [
        _chance_band(study, factor, generator).assign(series=FACTORS[factor][0])
        for factor in FACTORS
    ]
    band = pd.concat(bands, ignore_index=True)
    present = [v[0] for k, v in FACTORS.items() if (means["factor"] == k).any()]
    styles = {v[0]: v for v in FACTORS.values()}
    values = [*means["mean"], *means["lower"], *means["upper"], *band["low"], *band["high"]]
    scale = score_axis(values)
    named = "seed, ranked by its mean"
    x = alt.X(
        "rank:Q",
        title=named,
        axis=alt.Axis(tickMinStep=1, grid=False),
        scale=alt.Scale(domain=[0.3, float(means["rank"].max()) + 0.7], nice=False),
    )
    color = alt.Color(
        "series:N", scale=alt.Scale(domain=present, range=[styles[p][1] for p in present])
    )
    shape = alt.Shape(
        "series:N", scale=alt.Scale(domain=present, range=[styles[p][2] for p in present])
    )
    # Inits to the left of the rank, orders to its right, so that they do not hide each other.
    shift = dict(zip(present, (-0.16, 0.16), strict=False))
    means["rank"] = means["rank"] + means["series"].map(shift)
    base = alt.Chart(
        rows(means[["series", "seed", "rank", "mean", "lower", "upper", "n_runs", "n_failed"]])
    )
    title_y = f"mean {metric} of the seed"
    shaded = (
        alt.Chart(rows(band))
        .mark_bar(color=PALE, opacity=0.75)
        .encode(
            x=alt.X("left:Q", title=named, scale=x["scale"], axis=x["axis"]),
            x2="right:Q",
            y=alt.Y("low:Q", title=title_y, scale=scale),
            y2="high:Q",
            tooltip=[
                alt.Tooltip("series:N", title="chance band of"),
                alt.Tooltip("low:Q", format=".4~f"),
                alt.Tooltip("high:Q", format=".4~f"),
            ],
        )
    )
    interval = base.mark_rule(strokeWidth=1.2, opacity=0.8).encode(
        x=x, y=alt.Y("lower:Q", title=title_y, scale=scale), y2="upper:Q", color=color
    )
    # The place on the axis is a rank; a screen reader is told the seed.
    spoken = base.transform_calculate(
        spoken="split(datum.series, ' ')[0] + ' seed ' + datum.seed + ': mean ' + format(datum.mean, '.4~f')"
    )
    point = spoken.mark_point(size=40, filled=True, opacity=1).encode(
        x=x,
        y=alt.Y("mean:Q", title=title_y, scale=scale),
        color=color,
        shape=shape,
        description="spoken:N",
        tooltip=[
            alt.Tooltip("series:N", title="factor"),
            alt.Tooltip("seed:N"),
            alt.Tooltip("mean:Q", format=".4~f"),
            alt.Tooltip("lower:Q", format=".4~f"),
            alt.Tooltip("upper:Q", format=".4~f"),
            alt.Tooltip("n_runs:Q", title="runs"),
            alt.Tooltip("n_failed:Q", title="failed"),
        ],
    )
    overall = pd.DataFrame({"mean": [float(study.complete_runs()["score"].mean())]})
    line = (
        alt.Chart(rows(overall))
        .mark_rule(color=INK, strokeDash=[2, 3])
        .encode(y=alt.Y("mean:Q", scale=scale))
    )
    return styled(sized(alt.layer(shaded, line, interval, point)), title)


def _chance_band(study: Study, factor: str, generator: np.random.Generator) -> pd.DataFrame:
    runs = study.complete_runs()
    codes, levels = pd.factorize(runs[factor], sort=True)
    scores = runs["score"].to_numpy(dtype=np.float64)
    by_level = np.argsort(codes, kind="stable")
    sizes = np.bincount(codes)
    starts = np.concatenate(([0], np.cumsum(sizes)[:-1]))
    means = np.empty((SHUFFLES, len(levels)))
    # In blocks, so that a large study needs no memory for all shuffles at once.
    block = max(1, BLOCK_SCORES // len(scores))
    for first in range(0, SHUFFLES, block):
        part = slice(first, min(first + block, SHUFFLES))
        shuffled = generator.permuted(np.tile(scores, (part.stop - first, 1)), axis=1)
        means[part] = np.add.reduceat(shuffled[:, by_level], starts, axis=1) / sizes
    ranked = np.sort(means, axis=1)
    low, high = np.quantile(ranked, [0.025, 0.975], axis=0)
    rank = np.arange(1, len(levels) + 1)
    side = -0.42 if factor == "init_seed" else 0.02
    return pd.DataFrame({"left": rank + side, "right": rank + side + 0.4, "low": low, "high": high})
