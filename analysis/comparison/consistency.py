"""Consistency of predictions over seeds: the votes of the runs, example by example.

An example flips when at least a quarter of the runs are right on it and at least a quarter are
wrong. The quarter is our choice. Disagreement of two runs, averaged over examples and pairs, is
what Milani Fard et al. 2016 call churn ("Launch and Iterate: Reducing Prediction Churn", NIPS).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import entropy

from analysis.data.predictions import Predictions, predictions_of
from analysis.data.study import Study
from analysis.rounding import spread

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
VOTES = ["share_correct", "vote_entropy", "majority_class", "majority_share", "agreement", "flips"]
OF_GOOD = ["share_correct_good", "flips_good"]
NUMBERS = ["mean_prediction", "sd_prediction", "mean_error"]
EXAMPLE_COLUMNS = ["example", "cluster", "text", "label", "n_runs", "n_failed"]
EXAMPLE_COLUMNS += [*VOTES, *OF_GOOD, *NUMBERS]
ALL, GOOD = "all runs", "runs that did not fail"
"""Runs that a row is about; there is a second row where some runs failed and two or more did not."""


def consistency(study: Study) -> pd.DataFrame:
    """How far the runs agree on every example, for every group with predictions of two runs.

    Returns
    -------
    DataFrame
        ``task, model, recipe`` and the columns of `example_table`; a row per example.
    """
    tables = [
        example_table(found).assign(**key._asdict())
        for key, part in study.groups()
        if (found := predictions_of(part)) is not None and len(found.runs) > 1
    ]
    columns = ["task", "model", "recipe", *EXAMPLE_COLUMNS]
    if not tables:
        return pd.DataFrame(columns=columns)
    return pd.concat(tables, ignore_index=True)[columns]


def example_table(found: Predictions) -> pd.DataFrame:
    """The votes of the runs on every example; for regression the spread of their predictions.

    Parameters
    ----------
    found : Predictions of R runs, R >= 2, for N examples

    Returns
    -------
    DataFrame of N rows
        ``example``, ``cluster`` and ``text`` (empty where unknown), ``label``, ``n_runs``,
        ``n_failed``. Classification: ``share_correct`` in [0, 1]; ``vote_entropy`` in bits,
        0 if all runs agree, log2(K) if K classes have equal votes; ``majority_class`` (of
        equals the first) and ``majority_share`` of the votes; ``agreement``, the share of
        distinct pairs of runs that agree; ``flips``; ``share_correct_good`` and ``flips_good``
        of the runs that did not fail, NaN where none failed or fewer than two did not. Regression:
        ``mean_prediction``, ``sd_prediction`` (over runs, ddof 1) and ``mean_error``
        (mean prediction minus label). The columns of the other kind are NaN.
    """
    n_runs = len(found.runs)
    unknown = np.full(len(found.examples), np.nan)
    table = pd.DataFrame(
        {
            "example": found.examples,
            "cluster": unknown if found.clusters is None else found.clusters,
            "text": unknown if found.texts is None else found.texts,
            "label": found.labels,
            "n_runs": n_runs,
            "n_failed": int(found.runs["failed"].sum()),
        }
    )
    for column in (*VOTES, *OF_GOOD, *NUMBERS):
        table[column] = np.nan
    if not found.is_classification:
        values = found.logits[:, :, 0]
        table["mean_prediction"] = values.mean(axis=0)
        table["sd_prediction"] = values.std(axis=0, ddof=1)
        table["mean_error"] = values.mean(axis=0) - found.labels
        return table
    counts = vote_counts(found.classes, found.logits.shape[2])
    table["share_correct"] = found.correct.mean(axis=0)
    table["vote_entropy"] = entropy(counts, axis=1, base=2)
    table["majority_class"] = counts.argmax(axis=1)
    table["majority_share"] = counts.max(axis=1) / n_runs
    table["agreement"] = pair_agreement(counts)
    table["flips"] = flips(found.correct)
    if (good := found.good()) is not None:
        table["share_correct_good"] = good.correct.mean(axis=0)
        table["flips_good"] = flips(good.correct)
    return table


def flip_table(found: Predictions) -> pd.DataFrame:
    """The share of examples that flip, and what they make of the differences between runs.

    Parameters
    ----------
    found : Predictions of a classification

    Returns
    -------
    DataFrame of 1 or 2 rows
        ``of``: `ALL`, then `GOOD`; ``n_runs, n_examples, n_flips``; ``share`` of the examples
        that flip, ``all_right`` and ``all_wrong`` that of examples on which every run is right
        or wrong; ``disagreement`` of two runs and ``sd_accuracy``, the standard deviation of
        the accuracy over runs, each with all examples and ``..._without`` those that flip (NaN
        where all flip).
    """
    parts = [(ALL, found), (GOOD, found.good())]
    return pd.DataFrame([{"of": name, **_flips(part)} for name, part in parts if part is not None])


def _flips(found: Predictions) -> dict[str, float]:
    flip = flips(found.correct)
    agreement = pair_agreement(vote_counts(found.classes, found.logits.shape[2]))
    steady = found.correct[:, ~flip]
    return {
        "n_runs": len(found.runs),
        "n_examples": len(flip),
        "n_flips": int(flip.sum()),
        "share": float(flip.mean()),
        "all_right": float((found.correct == 1).all(axis=0).mean()),
        "all_wrong": float((found.correct == 0).all(axis=0).mean()),
        "disagreement": float(1 - agreement.mean()),
        "disagreement_without": float("nan") if flip.all() else float(1 - agreement[~flip].mean()),
        "sd_accuracy": spread(found.correct.mean(axis=1)),
        "sd_accuracy_without": float("nan") if flip.all() else spread(steady.mean(axis=1)),
    }


def vote_counts(classes: npt.NDArray[np.int64], n_classes: int) -> Floats:
    """Number of runs that predict each class, shape (N, K), from classes of the shape (R, N)."""
    counted = [(classes == k).sum(axis=0) for k in range(n_classes)]
    return np.stack(counted, axis=1).astype(np.float64)


def pair_agreement(counts: Floats) -> Floats:
    """Per example, the share of distinct pairs of runs that agree, from `vote_counts`."""
    n_runs = counts.sum(axis=1)
    return np.asarray((counts * (counts - 1)).sum(axis=1) / (n_runs * (n_runs - 1)))


def flips(correct: Floats) -> Flags:
    """Per example, whether at least a quarter of the runs are right and a quarter wrong.

    Parameters
    ----------
    correct : floats, shape (R, N)
        1.0 where the run is right.
    """
    right = correct.sum(axis=0)
    return np.asarray((4 * right >= len(correct)) & (4 * (len(correct) - right) >= len(correct)))
