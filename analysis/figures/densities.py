"""Densities of the scores of the best and the worst seed."""

from __future__ import annotations

import altair as alt
import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.figures.theme import NAVY, ORANGE, Chart, rows, sized, styled
from analysis.formatting import round_step


def best_worst_densities(samples: pd.DataFrame, *, metric: str = "score", title: str = "") -> Chart:
    """Densities of the scores of the best and of the worst seed, of init and of order.

    Parameters
    ----------
    samples : DataFrame
        Rows of one group of `seed_effects.best_and_worst_seeds`.

    Returns
    -------
    altair chart
        Gaussian kernels with Silverman's bandwidth; ticks below are the runs.
    """
    values = samples["score"].to_numpy(dtype=np.float64)
    air = 0.15 * (float(np.ptp(values)) or 1.0)
    grid = np.linspace(values.min() - air, values.max() + air, 120)
    parts, ticks = [], []
    looks = []
    for k, ((factor, place, seed), part) in enumerate(
        samples.groupby(["factor", "place", "seed"], sort=False)
    ):
        short = "init" if factor == "init_seed" else "order"
        name = f"{place} {short} seed ({seed})"
        found = kernel_density(part["score"].to_numpy(dtype=np.float64), grid)
        parts.append(pd.DataFrame({"series": name, "score": grid, "density": found}))
        ticks.append(pd.DataFrame({"series": name, "score": part["score"], "lane": -(k + 1.0)}))
        looks.append(
            (name, NAVY if short == "init" else ORANGE, [1, 0] if place == "best" else [5, 3])
        )
    names = [name for name, _, _ in looks]
    tall = max(float(part["density"].max()) for part in parts)
    rug = pd.concat(ticks, ignore_index=True)
    rug["lane"] *= 0.045 * tall
    x = alt.X("score:Q", title=metric, scale=alt.Scale(domain=[grid[0], grid[-1]], nice=False))
    color = alt.Color(
        "series:N",
        scale=alt.Scale(domain=names, range=[look[1] for look in looks]),
        legend=alt.Legend(symbolType="stroke"),
    )
    y = alt.Y(
        "density:Q",
        title=f"density (per unit of {metric})",
        # The ticks of the runs stand below 0, where no density is.
        axis=alt.Axis(values=_round_steps(tall)),
        scale=alt.Scale(domain=[-0.25 * tall, 1.05 * tall], nice=False),
    )
    line = (
        alt.Chart(rows(pd.concat(parts, ignore_index=True)))
        .mark_line(strokeWidth=2)
        .encode(
            x=x,
            y=y,
            color=color,
            strokeDash=alt.StrokeDash(
                "series:N", scale=alt.Scale(domain=names, range=[look[2] for look in looks])
            ),
        )
    )
    marks = (
        alt.Chart(rows(rug))
        .mark_tick(orient="vertical", size=7, thickness=1.2)
        .encode(
            x=x,
            y=alt.Y("lane:Q"),
            color=color,
            tooltip=[
                alt.Tooltip("series:N", title="runs of"),
                alt.Tooltip("score:Q", title=metric, format=".4~f"),
            ],
        )
    )
    return styled(sized(alt.layer(line, marks)), title)


def _round_steps(top: float) -> list[float]:
    """Up to five ticks from 0 at multiples of 1, 2 or 5 times a power of ten."""
    step = round_step(top / 2)
    return [k * step for k in range(int(top / step) + 1)]


def kernel_density(
    sample: npt.NDArray[np.float64], grid: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Gaussian kernel density with Silverman's bandwidth, on a grid.

    The bandwidth is at least two steps of the grid, so that a sample of equal
    scores shows as a narrow peak.
    """
    sd = float(sample.std(ddof=1)) if len(sample) > 1 else 0.0
    quartiles = np.quantile(sample, [0.25, 0.75])
    scale = min(sd, float(quartiles[1] - quartiles[0]) / 1.349) or sd
    width = max(0.9 * scale * len(sample) ** -0.2, 2 * float(grid[1] - grid[0]))
    z = (grid[:, None] - sample[None, :]) / width
    return np.asarray(np.exp(-0.5 * z**2).mean(axis=1) / (width * np.sqrt(2 * np.pi)))
