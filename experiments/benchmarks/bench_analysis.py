"""Speed of the exact estimators against the simulations they replace.

Both sides of each ratio are measured in the same run, in processor time of this
process, on one thread. Run with ``python experiments/benchmarks/bench_analysis.py
[--opda-scores 625]``; the default finishes in about two minutes.
"""

import argparse
import os

# Set before numpy is loaded: threads of a linear-algebra library would count double.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from opda.nonparametric import EmpiricalDistribution

from analysis.best_of_n.bands import cdf_band
from analysis.best_of_n.expected_max import expected_max
from analysis.stopping.distribution import stopping_distribution
from analysis.stopping.expectation import stopping_surface
from analysis.stopping.plans import affordable_plans

RUNS, EVALUATIONS, BUDGETS, MOST_STARTED, DRAWS = 625, 30, range(1, 31), 200, 50_000


T = TypeVar("T")


def timed(work: Callable[[], T]) -> tuple[T, float]:
    since = time.process_time()
    result = work()
    return result, time.process_time() - since


def pool(rounded: bool) -> np.ndarray:
    """Return best-so-far curves like those of fine-tuning, a fifth of them at chance."""
    rng = np.random.default_rng(0)
    level = np.where(rng.random(RUNS) < 0.2, 0.53, rng.normal(0.68, 0.04, RUNS))
    growth = 1 - np.exp(-4 * np.linspace(0, 1, EVALUATIONS))
    scores = 0.5 + (level[:, None] - 0.5) * growth + rng.normal(0, 0.02, (RUNS, EVALUATIONS))
    # 277 is the size of RTE's validation set: accuracies are its multiples, with ties.
    return np.maximum.accumulate(np.round(scores * 277) / 277 if rounded else scores, axis=1)


def exact_sweep(best: np.ndarray) -> tuple[int, np.ndarray]:
    """Return the sweep of Dodge et al. 2020: every (t, f, p) of every budget, and the baselines."""
    plans = affordable_plans(
        np.arange(1, EVALUATIONS + 1), BUDGETS, MOST_STARTED, none_continued=True
    )
    ts, k = np.unique(plans.started, return_inverse=True)
    ps, j = np.unique(plans.continued, return_inverse=True)
    values = stopping_surface(best, ts, ps)[plans.evaluation, k, j]
    baseline = expected_max(best[:, -1], np.array(BUDGETS))
    return len(plans) + len(baseline), np.concatenate([values, baseline])


def monte_carlo(best: np.ndarray, started: int, at: int, continued: int) -> tuple[float, float]:
    """Return the paper's simulated estimate of one assignment, and its standard error."""
    drawn = np.random.default_rng(1).integers(0, len(best), (DRAWS, started))
    early, late = best[drawn, at], best[drawn, -1]
    order = np.argsort(early, axis=1)
    kept = np.take_along_axis(late, order[:, started - continued :], axis=1)
    outcome = np.maximum(early.max(axis=1), kept.max(axis=1))
    return float(outcome.mean()), float(outcome.std() / np.sqrt(DRAWS))


def bench_early_stopping() -> None:
    print(f"Early stopping on a {RUNS} x {EVALUATIONS} pool")
    started, at, continued = 41, 8, 11
    for rounded in (False, True):
        best = pool(rounded)
        (count, _), sweep = timed(lambda best=best: exact_sweep(best))
        (mean, error), simulated = timed(
            lambda best=best: monte_carlo(best, started, at, continued)
        )
        law, single = timed(
            lambda best=best: stopping_distribution(
                best[:, at], best[:, -1], started, continued, replacement=True
            )
        )
        print(f"  {'accuracies with ties' if rounded else 'continuous scores'}:")
        print(f"    exact sweep, {count} assignments   {sweep:9.2f} s   (target: at most 5 s)")
        print(f"    Monte Carlo, 1 assignment        {simulated:9.2f} s   (predicted: 1.2 s)")
        print(f"    exact law of that assignment     {single:9.2f} s")
        print(f"    Monte Carlo sweep, extrapolated  {simulated * count / 3600:9.2f} h")
        print(f"    ratio                            {simulated * count / sweep:9.0f}")
        print(
            f"    the same assignment: Monte Carlo {mean:.5f} +- {error:.5f}, exact {law.mean:.5f}"
        )


def bench_bands(size: int) -> None:
    print(f"Highest-density band of {size} scores")
    scores = np.random.default_rng(2).normal(size=size)
    cdf_band.cache_clear()
    band, mine = timed(lambda: cdf_band(size))
    (low, _, high), theirs = timed(
        lambda: EmpiricalDistribution.confidence_bands(
            scores, 0.95, generator=np.random.default_rng(3), n_jobs=1
        )
    )
    at = np.concatenate([[scores.min() - 1], np.sort(scores)])
    gap = max(abs(low.cdf(at) - band.lower).max(), abs(high.cdf(at) - band.upper).max())
    print(f"    exact solver                     {mine:9.2f} s")
    print(f"    opda, 100,000 simulations        {theirs:9.2f} s   (predicted: 73 s at 625)")
    print(f"    ratio                            {theirs / mine:9.0f}   (target: at least 50)")
    print(f"    largest difference of a bound    {gap:9.1e}   (simulation error: 6e-4)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--opda-scores", type=int, default=625, help="size of the pool in the comparison with opda"
    )
    size = parser.parse_args().opda_scores
    bench_early_stopping()
    bench_bands(size)


if __name__ == "__main__":
    main()
