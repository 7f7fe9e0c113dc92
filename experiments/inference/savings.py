"""How often a saving by early stopping is claimed, and how often the claim is false.

Usage: python experiments/inference/savings.py [REPEATS]

Pilots are drawn from models of learning curves with ten evaluations. A claim is false if the claimed
budget is smaller than the true one: the smallest budget of which some plan reaches the expected best of
`reference` plain runs, from 1,600 runs.
"""

from __future__ import annotations

import functools
import itertools
import sys
import time

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.stopping.saving import saving_table
from analysis.stopping.value import plan_values

EVALUATIONS = 10
KINDS = ("uninformative", "weak", "late", "informative", "failures")
PILOTS = (25, 64)
Floats = npt.NDArray[np.float64]


def curves(rng: np.random.Generator, runs: int, kind: str) -> pd.DataFrame:
    """Curves that rise; early scores tell the final one to a degree that depends on the kind."""
    share = np.arange(1, EVALUATIONS + 1) / EVALUATIONS
    final, noise = rng.normal(size=(runs, 1)), rng.normal(size=(runs, EVALUATIONS))
    if kind == "failures":
        # Three in ten runs collapse, visibly from the middle of training on.
        failed = rng.random((runs, 1)) < 0.3
        final = np.where(failed, -5.0, 0.5 * final)
        early = 0.5 * noise - 5.0 * failed * np.minimum(2 * share, 1.0) + share - 1
    else:
        correlation = {
            "uninformative": 0.0 * share,
            "weak": 0.15 + 0.0 * share,
            "late": 0.1 + 0.2 * share,
            "informative": 0.9 + 0.0 * share,
        }[kind]
        early = correlation * final + (1 - correlation**2) ** 0.5 * noise + 6 * (share - 1)
    early[:, -1:] = final
    return pd.DataFrame(
        {
            "task": "t",
            "recipe": kind,
            "run": np.repeat(np.arange(runs), EVALUATIONS),
            "fraction": np.tile(share, runs),
            "score": early.round(3).ravel(),
        }
    )


@functools.cache
def needed(kind: str, reference: int) -> int:
    """Smallest budget of which some plan truly reaches `reference` plain runs."""
    rng = np.random.default_rng([2026, KINDS.index(kind)])
    budgets = range(1, reference + 1)
    plan = ["budget", "started", "fraction", "continued"]
    pools = [plan_values(curves(rng, 400, kind), budgets=budgets) for _ in range(4)]
    values = pd.concat(pools).groupby(plan)["expected_best"].mean()
    best = values.groupby("budget").max()
    plain = float(values.loc[(reference, reference, 1.0, reference)])
    return int(best.index[best >= plain - 1e-12].min())


def claim(rng: np.random.Generator, kind: str, runs: int, reference: int) -> int:
    """The claimed budget of one pilot; `reference` without a claim."""
    table = saving_table(curves(rng, runs, kind), reference, generator=rng)
    claimed = table.loc[table["saves"], "budget"]
    return int(claimed.min()) if len(claimed) else reference


def main() -> None:
    """Simulate all kinds and sizes, each with a stream of its own."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    start = time.process_time()
    print("| curves | runs | true budget | mean claimed | claims | false claims |")
    print("|---|---|---|---|---|---|")
    for (i, kind), runs in itertools.product(enumerate(KINDS), PILOTS):
        reference = min(10, runs // 2)
        truth = needed(kind, reference)
        rng = np.random.default_rng([2026, i, runs])
        found = np.array([claim(rng, kind, runs, reference) for _ in range(repeats)])
        saved, false = ((found < limit).mean() for limit in (reference, truth))
        cells = f"{truth} of {reference} | {found.mean():.1f} | {saved:.3f} | {false:.3f}"
        print(f"| {kind} | {runs} | {cells} |", flush=True)
    print(f"\n{repeats:,} repeats, {time.process_time() - start:.0f} s.")


if __name__ == "__main__":
    main()
