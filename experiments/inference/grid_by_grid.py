"""Sizes and coverages of estimators that are computed grid by grid, as `simulate.py` does for the others.

Usage: python -m experiments.inference.grid_by_grid [REPEATS [BLOCK ...]]

Blocks: improvements, seed_shares, bootstraps.
"""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd

from analysis.comparison.bootstrap import multi_bootstrap
from analysis.comparison.improvement import probability_of_improvement
from analysis.variance.henderson import cell_table
from analysis.variance.intervals import jackknife_intervals
from analysis.variance.permutation import restricted_test
from experiments.inference.simulate import (
    KINDS,
    SHARES,
    SIZES,
    Block,
    grids,
    repeats_asked,
    run,
    table,
)

USUAL = SHARES[:6]


def seeds_of(size: int) -> pd.DataFrame:
    """Seeds of the cells of a grid."""
    init, order = np.divmod(np.arange(size * size), size)
    return pd.DataFrame({"init_seed": init, "order_seed": order})


def improvements(rng: np.random.Generator, repeats: int) -> None:
    """How often "B beats A" is called significant for two equal recipes, in either direction."""
    rows: list[list[object]] = []
    for kind, size, shares in itertools.product(KINDS, SIZES, USUAL):
        seeds, hits = seeds_of(size), np.zeros(2)
        pairs = (grids(rng, repeats, size, shares, kind).reshape(repeats, -1) for _ in range(2))
        for a, b in zip(*pairs, strict=True):
            for k, known in enumerate((None, seeds)):
                found = probability_of_improvement(a, b, paired=True, seeds=known)
                hits[k] += found.significant or found.significant_reverse
        rows.append([kind, f"{size} x {size}", shares, *(float(h) for h in hits / repeats)])
    columns = ["scores", "grid", "shares (init, order)", "Wilson", "effective pairs"]
    table("P(B beats A) of two equal recipes excludes 1/2, nominal .05", columns, rows)


def seed_shares(rng: np.random.Generator, repeats: int) -> None:
    """Coverage of the share of order, and how often its test rejects."""
    rows: list[list[object]] = []
    for kind, size, shares in itertools.product(KINDS[:2], SIZES, USUAL):
        hits, rejected, widths = np.zeros(2), 0, []
        for score in grids(rng, repeats, size, shares, kind):
            runs = seeds_of(size).assign(score=score.ravel())
            found = jackknife_intervals(cell_table(runs))
            inside = (found.share_lower[:2] <= shares) & (np.array(shares) <= found.share_upper[:2])
            hits += inside
            widths.append(found.share_upper[1] - found.share_lower[1])
            test = restricted_test(runs, "order_seed", rng, permutations=199)
            rejected += float(str(test["p_value"])) <= 0.05
        rates = [float(h) for h in (*(hits / repeats), np.mean(widths), rejected / repeats)]
        rows.append([kind, f"{size} x {size}", shares, *rates])
    columns = ["scores", "grid", "shares (init, order)", "init", "order", "width", "test of order"]
    table(
        "Coverage of shares of the variance, nominal .95, and rejections of the test", columns, rows
    )


def bootstraps(rng: np.random.Generator, repeats: int) -> None:
    """How often multi-bootstraps of two equal recipes exclude 0."""
    rows: list[list[object]] = []
    for size, shares in itertools.product((5, 10), USUAL):
        cells = np.argwhere(np.ones((size, size)))
        units = (cells[:, 0], cells[:, 1], cells)
        hits = np.zeros(len(units))
        pairs = (grids(rng, repeats, size, shares, "normal").reshape(repeats, -1) for _ in range(2))
        for both in zip(*pairs, strict=True):
            examples = 0.01 * rng.normal(size=20)
            a, b = (scores[:, None] + examples for scores in both)
            for k, seeds in enumerate(units):
                found = multi_bootstrap(a, b, rng, seeds_a=seeds, seeds_b=seeds, resamples=299)
                hits[k] += not found.lower <= 0 <= found.upper
        rows.append([f"{size} x {size}", shares, *(float(h) for h in hits / repeats)])
    columns = ["grid", "shares (init, order)", "init seeds", "order seeds", "rows and columns"]
    table("Size of the multi-bootstrap, by the seeds resampled, nominal .05", columns, rows)


BLOCKS: dict[str, tuple[Block, int]] = {
    "improvements": (improvements, 1),
    "seed_shares": (seed_shares, 1),
    "bootstraps": (bootstraps, 2),
}

if __name__ == "__main__":
    run(BLOCKS, repeats_asked(200), 2027)
