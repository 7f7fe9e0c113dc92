"""The table of what to do with k runs: choose one, average their predictions, let them vote."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.best_of_n.choosing import chosen_scores
from analysis.checks import check_at_least, check_probability
from analysis.data.predictions import Predictions, predictions_of
from analysis.data.study import Study
from analysis.ensembles.combining import Combiner, single_scores
from analysis.ensembles.expected_scores import ExpectedScore, best_on_dev, expected_score
from analysis.ensembles.metrics import PredictionMetric, metric_named
from analysis.ensembles.subsets import Subsets, random_orders, subsets_of

Floats = npt.NDArray[np.float64]
COLUMNS = [
    *("task", "model", "recipe", "k", "method", "split", "score", "mean_run", "gain", "se"),
    *("lower", "upper", "gain_lower", "gain_upper", "subsets", "exact", "n_runs"),
]
# The k of the table, besides the number of runs itself.
TABULATED_K = (1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50, 100)
# Up to this share of the runs the coverage of the intervals was simulated.
INTERVAL_SHARE = 0.5
# Probabilities of all ensembles of one k: a second or less of processor time.
MOST_VALUES = 8_000_000
LEAST_SUBSETS = 100


def ensemble_table(
    study: Study, generator: np.random.Generator, *, level: float = 0.95, subsets: int = 1_000
) -> pd.DataFrame:
    """Expected score of k runs of one group, by what is done with them.

    Parameters
    ----------
    study : Study
        One task, model and recipe, with predictions.
    generator : numpy Generator
        Draws subsets where there are too many to score all.
    level : float in (0, 1)
        Nominal coverage of the intervals.
    subsets : int, at least 100
        Up to so many subsets of k runs all are scored, else so many random ones. Fewer where the
        predictions of one run are more than 8,000 numbers, at least 100.

    Returns
    -------
    DataFrame
        ``task, model, recipe, k, method, split, score, mean_run, gain, se, lower, upper, gain_lower,
        gain_upper, subsets, exact, n_runs``; empty without predictions of two runs. ``k`` is 1 to 5,
        7, 10, 15, 20, 30, 50, 100 and the number of runs. ``method`` is "best" (the run with the best
        validation score), "average", "vote" (classes) or "ranks" (correlations); see
        `combining.Combiner.scores`. ``split`` is "dev" or "test"; runs are always chosen on "dev".
        ``score`` is the expected score and ``mean_run`` that of one run, in the metric's units.
        ``gain`` is their difference, positive where k runs are better. ``se`` is the standard error
        that comes from drawing ``subsets``: 0 where ``exact``. ``lower`` to ``gain_upper`` are
        intervals for seeds drawn anew; see `expected_scores.expected_score`. They are given for k up
        to half of the runs: there, their simulated coverage is .90 to 1.00 at 95% (`experiments/ensembles`).
        ``subsets`` is missing where a formula covers all of them.

    Raises
    ------
    TableError
        The study holds several groups, or its metric can't be computed from predictions.

    Notes
    -----
    All scores are those of the recorded predictions: of the weights that a run keeps. Runs
    without finite predictions are left out. The best of k is exact (`choosing.chosen_scores`).
    """
    check_probability("level", level)
    check_at_least("subsets", subsets, LEAST_SUBSETS)
    splits = _splits(study)
    if not splits or len(splits["dev"].runs) < 2:
        return pd.DataFrame(columns=COLUMNS)
    dev = splits["dev"]
    metric = metric_named(str(dev.runs["metric"].iloc[0]), dev.logits.shape[2])
    singles = {name: single_scores(split, metric) for name, split in splits.items()}
    combiners = {name: Combiner(split, metric) for name, split in splits.items()}
    n_runs = len(dev.runs)
    per_run = max(int(np.prod(split.logits.shape[1:])) for split in splits.values())
    size = min(subsets, max(MOST_VALUES // per_run, LEAST_SUBSETS))
    order = random_orders(generator, size, n_runs)
    sign = -1.0 if metric.lower_is_better else 1.0
    rows = []
    for k in sorted({k for k in TABULATED_K if k < n_runs} | {n_runs}):
        drawn = subsets_of(order, k)
        for name, split in splits.items():
            scored = _methods(split, metric, singles, name, combiners[name], drawn, k, level)
            for method, found in scored:
                limits = [sign * found.difference_lower, sign * found.difference_upper]
                # Of one run alone the mean is known, whatever is drawn. Its ranks are another score.
                counted = method != "best" and (k > 1 or method == "ranks")
                rows.append(
                    {
                        **study.group_keys()[0]._asdict(),
                        "k": k,
                        "method": method,
                        "split": name,
                        "score": found.score,
                        "mean_run": float(singles[name].mean()),
                        "gain": sign * found.difference,
                        "se": found.se,
                        "lower": found.lower,
                        "upper": found.upper,
                        "gain_lower": min(limits),
                        "gain_upper": max(limits),
                        "subsets": len(drawn.members) if counted else pd.NA,
                        "exact": drawn.exact or not counted,
                        "n_runs": n_runs,
                    }
                )
    return pd.DataFrame(rows, columns=COLUMNS).astype({"subsets": "Int64"})


def _splits(study: Study) -> dict[str, Predictions]:
    """The validation set, and the test set where it is recorded, of the same runs."""
    dev, test = predictions_of(study), predictions_of(study, test=True)
    if dev is None or test is None:
        return {} if dev is None else {"dev": dev}
    common = np.intersect1d(dev.runs["run"], test.runs["run"])
    if not len(common):
        return {"dev": dev}
    return {name: _of_runs(split, common) for name, split in (("dev", dev), ("test", test))}


def _of_runs(predictions: Predictions, names: npt.NDArray[np.object_]) -> Predictions:
    keep = predictions.runs["run"].isin(names).to_numpy(dtype=bool)
    runs = predictions.runs.loc[keep].reset_index(drop=True)
    return dataclasses.replace(predictions, runs=runs, logits=predictions.logits[keep])


def _methods(
    split: Predictions,
    metric: PredictionMetric,
    singles: dict[str, Floats],
    name: str,
    combiner: Combiner,
    drawn: Subsets,
    k: int,
    level: float,
) -> Iterator[tuple[str, ExpectedScore]]:
    """The expected score of every method."""
    dev, single = singles["dev"], singles[name]
    lower = metric.lower_is_better
    intervals = k == 1 or k <= INTERVAL_SHARE * len(dev)

    def expected(values: Floats, known: float | None = None) -> ExpectedScore:
        return expected_score(
            values, single, drawn, split.runs, level=level, intervals=intervals, known=known
        )

    # One run alone is no choice: without a formula its gain is 0 without rounding.
    exact = float(chosen_scores(dev, single, [k], lower_is_better=lower).test[0])
    best = best_on_dev(dev, single, drawn, lower_is_better=lower)
    yield "best", expected(best, exact if k > 1 else None)
    for method, values in combiner.scores(drawn.members).items():
        yield method, expected(values)
