"""The table of the price of choosing: one row per number of runs to choose from."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.best_of_n.choosing import chosen_scores
from analysis.best_of_n.expected_max_table import tabulated_ns
from analysis.best_of_n.resampling import resampled_counts
from analysis.checks import check_probability
from analysis.errors import TableError

COLUMNS = [
    "task",
    "recipe",
    "n",
    "expected_dev",
    "expected_test",
    "mean_test",
    "gap",
    "test_lower",
    "test_upper",
]
# Beyond this share of the runs, bootstrap intervals of the best are too narrow.
INTERVAL_SHARE = 0.1
# The cost of an interval grows with n, samples and runs: a second or two of processor time.
MOST_INTERVALS = 100
MOST_DRAWN = 2_000_000
LEAST_SAMPLES = 200


def choosing_table(
    runs: pd.DataFrame,
    generator: np.random.Generator,
    *,
    level: float = 0.95,
    samples: int = 1_000,
    lower_is_better: bool = False,
) -> pd.DataFrame:
    """Expected validation and test score of the run that is best on the validation set among n.

    Parameters
    ----------
    runs : DataFrame
        Complete runs of one group: ``task, recipe, init_seed, order_seed, score, test_score``. Runs
        without a test score are left out. Failed runs belong to the data: without them every n
        looks better than it is.
    generator : numpy Generator
        For the bootstrap.
    level : float in (0, 1)
        Nominal coverage of the interval of the expected test score.
    samples : int
        Number of bootstrap samples: fewer where samples times runs exceed 2 million, but at least 200.
    lower_is_better : bool
        The best score is the smallest.

    Returns
    -------
    DataFrame
        ``task, recipe, n, expected_dev, expected_test, mean_test, gap, test_lower, test_upper`` in the
        metric's units, for n from 1 to the number of runs (of more than 5,000 runs some n, see
        `expected_max_table.tabulated_ns`). ``mean_test`` is the mean over all runs, and ``gap`` is
        ``expected_dev - expected_test``, with its sign flipped where lower is better: a positive
        gap is an optimistic validation score.

    Raises
    ------
    TableError
        No run has both scores.

    Notes
    -----
    Expectations are exact (`choosing.chosen_scores`). The interval is the percentile bootstrap over
    init and order seeds (`resampling.resampled_counts`), for seeds drawn anew at every n by itself. It
    is given for n up to a tenth of the runs, and up to 100. Its simulated coverage there is .89 to .95
    at 95%. At half of the runs it falls to .78 (`experiments/inference`).
    """
    check_probability("level", level)
    known = runs.loc[runs[["score", "test_score"]].notna().all(axis=1)]
    if known.empty:
        raise TableError("no run has a score and a test score; record a test split.")
    dev, test = (known[name].to_numpy(dtype=np.float64) for name in ("score", "test_score"))
    n = tabulated_ns(len(known))
    found = chosen_scores(dev, test, n, lower_is_better=lower_is_better)
    lower, upper = np.full(len(n), np.nan), np.full(len(n), np.nan)
    if len(known) > 1:
        samples = min(samples, max(MOST_DRAWN // len(known), LEAST_SAMPLES))
        counts = resampled_counts(known, generator, samples)
        largest = min(max(int(len(known) * INTERVAL_SHARE), 1), MOST_INTERVALS)
        most = int((n <= min(largest, counts.sum(axis=1).min())).sum())
        drawn = chosen_scores(dev, test, n[:most], lower_is_better=lower_is_better, counts=counts)
        tails = [(1 - level) / 2, (1 + level) / 2]
        lower[:most], upper[:most] = np.quantile(drawn.test, tails, axis=0)
    gap = found.dev - found.test
    return pd.DataFrame(
        {
            "task": known["task"].iloc[0],
            "recipe": known["recipe"].iloc[0],
            "n": n,
            "expected_dev": found.dev,
            "expected_test": found.test,
            "mean_test": test.mean(),
            "gap": -gap if lower_is_better else gap,
            "test_lower": lower,
            "test_upper": upper,
        }
    )[COLUMNS]
