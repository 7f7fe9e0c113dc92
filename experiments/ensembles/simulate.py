"""Coverage of the intervals of `analysis.ensembles.table`: grids of made-up predictions.

Every run has a quality with effects of its init and order seed, and predicts two classes of 300
examples. The truth is the mean estimate over all simulated grids, because the estimates are unbiased.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd

from analysis.data.study import Study
from analysis.ensembles.table import ensemble_table

EXAMPLES = 300
GRIDS = (5, 10)
SHARES = ((0.0, 0.0), (0.1, 0.25), (0.0, 0.5))
SHOWN_K = (1, 2, 3, 5, 7, 10, 15, 20)


def grid(
    generator: np.random.Generator, size: int, shares: tuple[float, float], failing: float
) -> Study:
    """A study with predictions for validation and test examples."""
    init, order = np.divmod(np.arange(size**2), size)
    effects = [np.sqrt(share) * generator.normal(size=size) for share in shares]
    rest = np.sqrt(1 - sum(shares)) * generator.normal(size=size**2)
    quality = np.maximum(1 + 0.25 * (effects[0][init] + effects[1][order] + rest), 0)
    quality = np.where(generator.random(size**2) < failing, 0.0, quality)
    runs = pd.DataFrame(
        {
            **{
                "run": [f"{r:03d}" for r in range(size**2)],
                "task": "t",
                "model": "m",
                "recipe": "r",
            },
            **{"init_seed": init, "order_seed": order, "complete": True, "metric": "accuracy"},
        }
    )
    parts = {name: predictions(runs, quality, generator, split) for split, name in enumerate(PARTS)}
    return Study(runs, **parts)


PARTS = ("predictions", "test_predictions")


def predictions(
    runs: pd.DataFrame, quality: np.ndarray, generator: np.random.Generator, split: int
) -> pd.DataFrame:
    """Logits of all runs. The examples are the same in every grid."""
    fixed = np.random.default_rng(split)
    label = fixed.integers(0, 2, EXAMPLES)
    shared = (2 * label - 1) * 0.8 + fixed.normal(size=EXAMPLES)
    own = 0.7 * generator.normal(size=(len(runs), EXAMPLES))
    logit = quality[:, None] * shared + own
    return pd.DataFrame(
        {
            "run": np.repeat(runs["run"].to_numpy(), EXAMPLES),
            "example": np.tile(np.arange(EXAMPLES), len(runs)),
            "label": np.tile(label.astype(float), len(runs)),
            "logits": list(np.stack([np.zeros_like(logit), logit], axis=2).reshape(-1, 2)),
        }
    )


def coverage(size: int, shares: tuple[float, float], failing: float, repeats: int) -> pd.DataFrame:
    """Share of intervals that hold the truth, on the test set, by method and k."""
    tables = [
        ensemble_table(
            grid(np.random.default_rng([size, number]), size, shares, failing),
            np.random.default_rng(number),
            subsets=500,
        )
        for number in range(repeats)
    ]
    table = pd.concat(tables)
    table = table.loc[(table["split"] == "test") & table["k"].isin(SHOWN_K)]
    by = table.groupby(["method", "k"])
    found = pd.DataFrame({"gain": by["gain"].mean()})
    for name, value in (("", "score"), ("gain_", "gain")):
        truth = by[value].transform("mean")
        hit = (table[f"{name}lower"] <= truth) & (truth <= table[f"{name}upper"])
        known = table[f"{name}lower"].notna()
        found[f"{name}coverage"] = hit.where(known).groupby([table["method"], table["k"]]).mean()
    return found.dropna()


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("repeats", type=int, nargs="?", default=300)
    repeats = parser.parse_args().repeats
    for size in GRIDS:
        for shares in SHARES:
            for failing in (0.0, 0.1):
                print(f"\n{size} x {size}, shares {shares}, failing {failing}")
                found = coverage(size, shares, failing, repeats)
                print(found.astype(float).round(4).unstack("k").to_string(), flush=True)


if __name__ == "__main__":
    main()
