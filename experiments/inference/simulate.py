"""Sizes and coverages on grids of runs that share seeds: naive formulas beside those of seedlab.

Usage: python experiments/inference/simulate.py [REPEATS [BLOCK ...]]

Prints Markdown tables. `grid_by_grid.py` has slower estimators, `savings.py` early stopping. Scores are mean 0 and variance 1, with shares of init and order; "skewed"
seeds have exponential effects; "failures": collapsed runs score 5 less, and the logit of a collapse varies by
seed with a standard deviation of 4 times the root of the share.
"""

from __future__ import annotations

import functools
import itertools
import sys
import time
from collections.abc import Callable, Mapping

import numpy as np
from scipy.stats import t as student
from scipy.stats import ttest_ind, ttest_rel

from analysis.best_of_n.bands import CdfBand, shared_seeds_band
from analysis.best_of_n.choosing import chosen_scores
from analysis.comparison.exchanges import exchange_test
from analysis.planning.grid_size import SeedVariances, grid_for_power
from analysis.variance.failure_rates import wilson_interval
from analysis.variance.grid_mean import grid_mean

SHARES = (
    *((0.0, order) for order in (0.0, 0.1, 0.25, 0.5)),
    *((0.1, order) for order in (0.1, 0.25, 0.5)),
    *((0.25, order) for order in (0.25, 0.5)),
    (0.06, 0.01),
)
SIZES = (5, 10, 25)
KINDS = ("normal", "skewed", "failures")
Block = Callable[[np.random.Generator, int], None]


def draw(rng: np.random.Generator, shape: tuple[int, ...], kind: str) -> np.ndarray:
    """Seed effects of mean 0 and variance 1."""
    return rng.exponential(size=shape) - 1.0 if kind == "skewed" else rng.normal(size=shape)


def grids(
    rng: np.random.Generator, repeats: int, size: int, shares: tuple[float, float], kind: str
) -> np.ndarray:
    """Scores, shape (repeats, size, size)."""
    init, order = shares
    scores = (
        init**0.5 * draw(rng, (repeats, size, 1), kind)
        + order**0.5 * draw(rng, (repeats, 1, size), kind)
        + (1 - init - order) ** 0.5 * rng.normal(size=(repeats, size, size))
    )
    if kind == "failures":
        scores -= 5.0 * failures(rng, repeats, size, -2.7, (4 * init**0.5, 4 * order**0.5))
    return scores


def failures(
    rng: np.random.Generator, repeats: int, size: int, middle: float, sds: tuple[float, float]
) -> np.ndarray:
    """Indicators of failure; seeds act on the logit with these standard deviations."""
    logit = (
        middle
        + sds[0] * rng.normal(size=(repeats, size, 1))
        + sds[1] * rng.normal(size=(repeats, 1, size))
    )
    return (rng.random((repeats, size, size)) < 1 / (1 + np.exp(-logit))).astype(np.float64)


def table(title: str, columns: list[str], rows: list[list[object]]) -> None:
    """Print a Markdown table."""
    print(f"\n### {title}\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for row in rows:
        cells = [f"{x:.3f}".lstrip("0") if isinstance(x, float) else str(x) for x in row]
        print(f"| {' | '.join(cells)} |")


def comparisons(rng: np.random.Generator, repeats: int) -> None:
    """Sizes at a nominal 5 % for two equal recipes whose seed effects are independent."""
    rows: list[list[object]] = []
    for kind, size, shares in itertools.product(KINDS, SIZES, SHARES):
        a, b = (grids(rng, repeats, size, shares, kind) for _ in range(2))
        flat = [x.reshape(repeats, -1) for x in (a, b)]
        welch = ttest_ind(*flat, axis=1, equal_var=False).pvalue
        paired = ttest_rel(*flat, axis=1).pvalue
        # Exchanges are listed or drawn grid by grid, which takes longer: a quarter of the grids.
        exchanged = [
            exchange_test(d, rng, permutations=999).p_value for d in (b - a)[: max(repeats // 4, 1)]
        ]
        tests = (welch, paired, grid_mean(b - a).p_value, np.array(exchanged))
        sizes = [float((p <= 0.05).mean()) for p in tests]
        rows.append([kind, f"{size} x {size}", shares, *sizes])
    columns = [
        "scores",
        "grid",
        "shares (init, order)",
        "Welch",
        "paired t",
        "crossed",
        "exchanged",
    ]
    table("Size of tests between two equal recipes, nominal .05", columns, rows)


def means(rng: np.random.Generator, repeats: int) -> None:
    """Coverage of intervals for the mean, nominally 95 %."""
    rows: list[list[object]] = []
    for kind, size, shares in itertools.product(KINDS, SIZES, SHARES):
        scores = grids(rng, repeats, size, shares, kind)
        truth = float(grids(rng, 40_000, 2, shares, kind).mean()) if kind == "failures" else 0.0
        n = size * size
        half = student.ppf(0.975, n - 1) * scores.std(axis=(1, 2), ddof=1) / n**0.5
        naive = np.abs(scores.mean(axis=(1, 2)) - truth) <= half
        found = grid_mean(scores)
        right = (found.lower <= truth) & (truth <= found.upper)
        rows.append([kind, f"{size} x {size}", shares, float(naive.mean()), float(right.mean())])
    columns = ["scores", "grid", "shares (init, order)", "t interval", "grid"]
    table("Coverage of intervals for the mean score, nominal .95", columns, rows)


def rates(rng: np.random.Generator, repeats: int) -> None:
    """Coverage of intervals for the failure rate."""
    rows: list[list[object]] = []
    for size, middle, sds in itertools.product(
        SIZES, (-3.5, -1.5, 0.0), ((0.0, 0.0), (0.0, 1.0), (0.0, 2.0), (1.0, 1.0), (0.0, 4.0))
    ):
        failed = failures(rng, repeats, size, middle, sds)
        truth = float(failures(rng, 100_000, 2, middle, sds).mean())
        n, counts = size * size, failed.sum(axis=(1, 2))
        found = grid_mean(failed)
        hits = np.zeros(2)
        for count, error, df in zip(counts, found.error, found.df, strict=True):
            naive = wilson_interval(count, n)
            rate = count / n
            if error > 0:
                runs = min(max(rate * (1 - rate) / error**2, 1.0), float(n))
                right = wilson_interval(rate * runs, runs, df=float(df))
            else:
                right = naive
            hits += [lower <= truth <= upper for lower, upper in (naive, right)]
        rows.append([f"{size} x {size}", truth, sds, *(float(h) for h in hits / repeats)])
    columns = ["grid", "failure rate", "sd of the logit (init, order)", "Wilson", "effective runs"]
    table("Coverage of intervals for the failure rate, nominal .95", columns, rows)


def bands(rng: np.random.Generator, repeats: int) -> None:
    """Simultaneous coverage of the bands of the score distribution."""
    rows: list[list[object]] = []
    for kind, size, shares in itertools.product(KINDS, SIZES, SHARES):
        n, hits, worths = size * size, np.zeros(2), []
        scores = grids(rng, repeats, size, shares, kind)
        truth = np.sort(grids(rng, 100_000, 2, shares, kind).ravel())
        found = grid_mean(scores)
        for score, error in zip(scores, found.error, strict=True):
            worth = effective(score, float(error))
            worths.append(worth)
            chances = np.searchsorted(truth, np.sort(score.ravel())) / len(truth)
            both = (band_of(n, n), band_of(n, int(worth)))
            hits += [
                (band.lower[1:] <= chances).all() and (chances <= band.upper[:-1]).all()
                for band in both
            ]
        coverage = [float(h) for h in hits / repeats]
        rows.append([kind, f"{size} x {size}", shares, f"{np.median(worths):.0f}", *coverage])
    columns = [
        "scores",
        "grid",
        "shares (init, order)",
        "median effective runs",
        "all runs",
        "effective runs",
    ]
    table("Simultaneous coverage of the bands behind the best of n, nominal .95", columns, rows)


@functools.cache
def band_of(size: int, worth: int) -> CdfBand:
    """The band of `size` scores that are worth so many independent ones."""
    return shared_seeds_band(size, worth)


def effective(scores: np.ndarray, error: float) -> float:
    """Number of independent runs that the mean of a grid is worth."""
    size, mean = len(scores), scores.mean()
    rows, columns = scores.mean(axis=1) - mean, scores.mean(axis=0) - mean
    rest = ((scores - mean - rows[:, None] - columns) ** 2).sum() / (size - 1) ** 2
    parts = [max(size * (x**2).sum() / (size - 1) - rest, 0.0) / size for x in (rows, columns)]
    return float(min(max((rest + sum(parts)) / error**2, 1.0), size * size))


def choices(rng: np.random.Generator, repeats: int) -> None:
    """Coverage of the bootstrap interval for the test score of the chosen run."""
    rows: list[list[object]] = []
    for size, correlation in itertools.product((25, 50, 100), (0.0, 0.8)):
        ns = sorted({1, max(size // 10, 2), size // 4, size // 2})
        best = rng.normal(size=(100_000, size))
        truths = [correlation * float(best[:, :n].max(axis=1).mean()) for n in ns]
        hits = np.zeros(len(ns))
        for _ in range(repeats):
            dev = rng.normal(size=size)
            test = correlation * dev + (1 - correlation**2) ** 0.5 * rng.normal(size=size)
            counts = rng.multinomial(size, np.full(size, 1 / size), size=300)
            drawn = chosen_scores(dev, test, ns, counts=counts).test
            lower, upper = np.quantile(drawn, [0.025, 0.975], axis=0)
            hits += (lower <= truths) & (truths <= upper)
        for n, coverage in zip(ns, hits / repeats, strict=True):
            rows.append([size, correlation, n, float(coverage)])
    columns = ["runs", "correlation of the scores", "n", "coverage"]
    table(
        "Coverage of the interval for the test score of the best of n, nominal .95", columns, rows
    )


def powers(rng: np.random.Generator, repeats: int) -> None:
    """Power of the planned grid for a difference of half a standard deviation."""
    rows: list[list[object]] = []
    for shares in SHARES:
        spread = SeedVariances(*shares, 1 - sum(shares))
        size = grid_for_power(0.5, spread.doubled())
        a, b = (grids(rng, repeats, size, shares, "normal") for _ in range(2))
        power = float((grid_mean(b + 0.5 - a).p_value < 0.05).mean())
        rows.append([shares, f"{size} x {size}", power])
    columns = ["shares (init, order)", "planned grid", "power"]
    table("Power of the planned grid, nominal .80", columns, rows)


# Each has a stream of its own, in this order, and its part of the repeats.
BLOCKS: dict[str, tuple[Block, int]] = {
    "comparisons": (comparisons, 1),
    "means": (means, 1),
    "rates": (rates, 1),
    "bands": (bands, 4),
    "choices": (choices, 4),
    "powers": (powers, 1),
}


def run(blocks: Mapping[str, tuple[Block, int]], repeats: int, seed: int) -> None:
    """Simulate the blocks that the command line names, or all."""
    for k, (name, (block, part)) in enumerate(blocks.items()):
        if name not in (sys.argv[2:] or blocks):
            continue
        start, count = time.process_time(), max(repeats // part, 1)
        block(np.random.default_rng([seed, k]), count)
        print(f"\n{count:,} repeats, {time.process_time() - start:.0f} s.", flush=True)


def repeats_asked(default: int) -> int:
    """The first argument of the command line."""
    return int(sys.argv[1]) if len(sys.argv) > 1 else default


if __name__ == "__main__":
    run(BLOCKS, repeats_asked(2_000), 2026)
