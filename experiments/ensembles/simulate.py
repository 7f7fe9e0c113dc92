"""Coverage of the intervals for averages and for the best of k runs, on grids of made-up predictions.

Usage: python experiments/ensembles/simulate.py [REPEATS]

Prints a Markdown table. Every run has a quality with effects of its init and order seed and predicts two
classes of 200 examples; of a tenth of the runs ("failures") the quality is 0. The examples are the
same in every grid. The truth is the mean estimate over all grids, because the estimates are unbiased.
"""

from __future__ import annotations

import itertools
import sys

import numpy as np
import pandas as pd

from analysis.best_of_n.choosing import chosen_scores
from analysis.data.predictions import Predictions
from analysis.ensembles.combining import Combiner, single_scores
from analysis.ensembles.expected_scores import ExpectedScore, best_on_dev, expected_score
from analysis.ensembles.metrics import METRICS
from analysis.ensembles.subsets import random_orders, subsets_of

EXAMPLES = 200
SUBSETS = 400
SHARES = ((0.0, 0.0), (0.1, 0.25), (0.0, 0.5))
KS = {5: (1, 2, 3, 5, 8, 12), 10: (1, 2, 5, 10, 20, 50)}
METRIC = METRICS["accuracy"]
METHODS = ("average", "vote", "best")


def grid(
    rng: np.random.Generator, size: int, shares: tuple[float, float], failing: float
) -> tuple[Predictions, Predictions]:
    """Predictions of a grid of runs for validation and test examples."""
    init, order = np.divmod(np.arange(size**2), size)
    effects = [share**0.5 * rng.normal(size=size) for share in shares]
    rest = (1 - sum(shares)) ** 0.5 * rng.normal(size=size**2)
    quality = np.maximum(1 + 0.3 * (effects[0][init] + effects[1][order] + rest), 0)
    quality[rng.random(size**2) < failing] = 0.0
    runs = pd.DataFrame({"init_seed": init, "order_seed": order})
    found = []
    for split in (0, 1):
        fixed = np.random.default_rng(split)
        labels = fixed.integers(0, 2, EXAMPLES)
        shared = (2 * labels - 1) * 0.8 + fixed.normal(size=EXAMPLES)
        logit = quality[:, None] * shared + 0.7 * rng.normal(size=(len(runs), EXAMPLES))
        logits = np.stack([np.zeros_like(logit), logit], axis=2)
        examples = np.arange(EXAMPLES).astype(object)
        found.append(Predictions(runs, examples, labels.astype(float), logits))
    return found[0], found[1]


def estimates(
    dev: Predictions, test: Predictions, rng: np.random.Generator, ks: tuple[int, ...]
) -> dict[tuple[str, int], ExpectedScore]:
    """Expected test scores with intervals, by method and k."""
    chosen_by, single = (single_scores(part, METRIC) for part in (dev, test))
    order = random_orders(rng, SUBSETS, len(single))
    found, combiner = {}, Combiner(test, METRIC)
    for k in ks:
        subsets = subsets_of(order, k)
        combined = combiner.scores(subsets.members)
        for method in METHODS:
            known = None
            if method == "best":
                values = best_on_dev(chosen_by, single, subsets, lower_is_better=False)
                known = float(chosen_scores(chosen_by, single, [k]).test[0]) if k > 1 else None
            else:
                values = combined[method]
            found[method, k] = expected_score(values, single, subsets, test.runs, known=known)
    return found


def coverage(
    size: int, shares: tuple[float, float], failing: float, repeats: int
) -> dict[tuple[str, int], tuple[float, float]]:
    """Shares of the intervals of score and gain that hold the truth, by method and k."""
    rng = np.random.default_rng(size)
    tables = [estimates(*grid(rng, size, shares, failing), rng, KS[size]) for _ in range(repeats)]
    found = {}
    for key in tables[0]:
        rows = [table[key] for table in tables]
        truth = np.mean([row.score for row in rows]), np.mean([row.difference for row in rows])
        found[key] = (
            float(np.mean([row.lower <= truth[0] <= row.upper for row in rows])),
            float(
                np.mean([row.difference_lower <= truth[1] <= row.difference_upper for row in rows])
            ),
        )
    return found


def main(repeats: int) -> None:
    """Print the coverage of both intervals for every design; a cell has all methods."""
    for size, ks in KS.items():
        heads = "".join(f" k = {k} |" for k in ks)
        print(f"\n| {size} x {size}: shares (init, order) | failures | interval of |{heads}")
        print("|---" * (3 + len(ks)) + "|")
        for shares, failing in itertools.product(SHARES, (0.0, 0.1)):
            found = coverage(size, shares, failing, repeats)
            for place, name in enumerate(("score", "gain")):
                cells = [
                    " ".join(f"{found[method, k][place]:.2f}".lstrip("0") for method in METHODS)
                    for k in ks
                ]
                print(f"| {shares} | {failing} | {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
