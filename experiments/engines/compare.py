"""Compare two studies of one grid that were trained with different engines.

    python experiments/engines/compare.py STUDY STUDY

Each study contains every cell once. If the engines draw from one distribution, each cell's two scores may be
exchanged. The permutation test does that for the difference of the means, the ratio of the
standard deviations, the number of failed runs and the Kolmogorov-Smirnov distance.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

DRAWS = 9999
APART = 1e-4
"""Relative difference of losses from which on two trainings are said to have parted."""


def read(study: Path) -> pd.DataFrame:
    """Return a study's runs by cell, with their losses."""
    runs = pd.read_csv(study / "tables" / "runs.csv")
    steps = pd.read_csv(study / "tables" / "steps.csv").sort_values(["run", "step"])
    losses = steps.groupby("run")["train_loss"].apply(np.asarray)
    return (
        runs.assign(losses=runs["run"].map(losses))
        .set_index(["init_seed", "order_seed"])
        .sort_index()
    )


def distances(a: np.ndarray, b: np.ndarray, failed: np.ndarray) -> np.ndarray:
    """Return four measures of the distance between two samples."""
    return np.array(
        [
            abs(a.mean() - b.mean()),
            abs(np.log(a.std(ddof=1) / b.std(ddof=1))),
            abs(failed[0].sum() - failed[1].sum()),
            stats.ks_2samp(a, b).statistic,
        ]
    )


def main() -> None:
    one, other = (read(Path(name)) for name in sys.argv[1:3])
    assert one.index.equals(other.index), "the studies have other cells"
    a, b = one["final_score"].to_numpy(), other["final_score"].to_numpy()
    failed = np.array([one["failed"], other["failed"]])
    parted = [
        int(np.argmax(far)) + 1 if far.any() else len(x)
        for x, y in zip(one["losses"], other["losses"], strict=True)
        for far in [np.abs(x - y) > APART * np.abs(x)]
    ]
    found = distances(a, b, failed)
    generator = np.random.Generator(np.random.Philox(0))
    reached = np.ones(len(found))
    for _ in range(DRAWS):
        turned = generator.random(len(a)) < 0.5
        drawn = distances(
            np.where(turned, b, a), np.where(turned, a, b), np.where(turned, failed[::-1], failed)
        )
        reached += drawn >= found - 1e-12
    p = reached / (DRAWS + 1)
    print(f"\n{sys.argv[1]} against {sys.argv[2]}: {len(a)} cells, final scores")
    for label, x, fails in zip(
        (one["engine"].iloc[0], other["engine"].iloc[0]), (a, b), failed, strict=True
    ):
        print(
            f"{label:8} mean {x.mean():.4f}  sd {x.std(ddof=1):.4f}  min {x.min():.3f}  "
            f"max {x.max():.3f}  failed {fails.sum()}"
        )
    print(f"cells of equal score: {np.mean(a == b):.0%}; correlation over cells {_r(a, b):.3f}")
    print(
        f"losses part by {APART:g} after {int(np.median(parted))} updates "
        f"(median; {min(parted)} to {max(parted)} of {len(one['losses'].iloc[0])})"
    )
    for name, distance, share in zip(
        ("means", "log sd ratio", "failed runs", "KS distance"), found, p, strict=True
    ):
        print(f"{name:12} differ by {distance:.4f}, p = {share:.3f} ({DRAWS} permutations)")


def _r(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a, b)[0, 1])


if __name__ == "__main__":
    main()
