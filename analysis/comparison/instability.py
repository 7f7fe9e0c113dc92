"""Instability: differences between the predictions of runs.

All measures are averages over the distinct pairs of runs (Du and Nguyen 2023
include each run with itself, which makes them depend on the number of runs).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.comparison.consistency import pair_agreement, vote_counts
from analysis.data.predictions import predictions_of
from analysis.data.study import Study
from analysis.rounding import spread

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
# Probabilities per block of pairs: 64 MB of doubles.
BLOCK_VALUES = 8_000_000


def pairwise_disagreement(classes: npt.ArrayLike) -> float:
    """Share of examples on which two distinct runs predict different classes, on average.

    Parameters
    ----------
    classes : integers, shape (R, N), R >= 2, N >= 1

    Returns
    -------
    float in [0, 1]
        The churn of Milani Fard et al. 2016; 0 for identical predictions.
    """
    return float(1.0 - _agreement(_class_matrix(classes)).mean())


def fleiss_instability(classes: npt.ArrayLike) -> float:
    """One minus Fleiss' kappa of the runs as raters of the examples.

    Returns
    -------
    float
        0 for identical predictions, 1 for agreement at chance; NaN where all
        runs predict one class everywhere, where kappa is 0/0.
    """
    matrix = _class_matrix(classes)
    shares = _counts(matrix).sum(axis=0) / matrix.size
    by_chance = float((shares**2).sum())
    if (shares == 1.0).any():
        return float("nan")
    return float((1.0 - _agreement(matrix).mean()) / (1.0 - by_chance))


def pairwise_divergence(probabilities: npt.ArrayLike) -> float:
    """Jensen-Shannon divergence of the predicted distributions, over distinct pairs, in bits.

    Parameters
    ----------
    probabilities : floats, shape (R, N, K)
        Each (r, n) sums to 1.

    Returns
    -------
    float in [0, 1]
        Mean over examples and distinct pairs of H((p+q)/2) - (H(p)+H(q))/2, base 2.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    if p.ndim != 3 or p.shape[0] < 2 or not p.shape[1]:
        raise ValueError(
            f"probabilities has the shape {p.shape}; allowed: (runs, examples, classes), "
            "at least 2 runs."
        )
    if (p < 0).any() or (np.abs(p.sum(axis=2) - 1.0) > 1e-6).any():
        raise ValueError("probabilities must be at least 0 and sum to 1 over the last axis.")
    n_runs, n_examples, n_classes = p.shape
    own = _entropy(p)
    total = 0.0
    block = max(1, BLOCK_VALUES // (n_examples * n_classes))
    for r in range(n_runs - 1):
        for start in range(r + 1, n_runs, block):
            others = slice(start, min(start + block, n_runs))
            middle = _entropy((p[r] + p[others]) / 2)
            # Rounding can take a divergence of identical predictions below 0.
            total += float(np.maximum(middle - (own[r] + own[others]) / 2, 0.0).sum())
    return float(total / (n_examples * n_runs * (n_runs - 1) / 2))


def per_point_variance(values: npt.ArrayLike, *, ddof: int = 1) -> float:
    """Mean over examples of the variance over runs, of correctness or of predictions.

    Parameters
    ----------
    values : floats, shape (R, N)
        For instance 1.0 where the run is right. At the same `ddof` the result is
        never below the variance of the runs' mean, by convexity.
    """
    matrix = np.asarray(values, dtype=np.float64)
    if matrix.ndim != 2 or len(matrix) <= ddof or not matrix.shape[1]:
        raise ValueError(
            f"values has the shape {matrix.shape}; allowed: (runs, examples), "
            f"more than {ddof} runs."
        )
    return float(matrix.var(axis=0, ddof=ddof).mean())


def instability(study: Study) -> pd.DataFrame:
    """The instability measures of every group that has predictions of two runs or more.

    Returns
    -------
    DataFrame
        ``task, model, recipe, sd_score, disagreement, fleiss, divergence,
        per_point_variance, n_runs, n_failed, n_examples, n_without`` (complete
        runs without usable predictions). For regression, disagreement, fleiss
        and divergence are NaN and the per-point variance is that of the predictions.
    """
    columns = ["task", "model", "recipe", "sd_score", "disagreement", "fleiss", "divergence"]
    columns += ["per_point_variance", "n_runs", "n_failed", "n_examples", "n_without"]
    rows = []
    for key, part in study.groups():
        found = predictions_of(part)
        if found is None or len(found.runs) < 2:
            continue
        row: dict[str, object] = {
            **key._asdict(),
            "sd_score": spread(found.runs["score"]),
            "n_runs": len(found.runs),
            "n_failed": int(found.runs["failed"].sum()),
            "n_examples": len(found.examples),
            "n_without": len(part.complete_runs()) - len(found.runs),
        }
        if found.is_classification:
            row["disagreement"] = pairwise_disagreement(found.classes)
            row["fleiss"] = fleiss_instability(found.classes)
            row["divergence"] = pairwise_divergence(found.probabilities)
            row["per_point_variance"] = per_point_variance(found.correct)
        else:
            row["per_point_variance"] = per_point_variance(found.logits[:, :, 0])
        rows.append(row)
    return pd.DataFrame(rows, columns=columns)


def _class_matrix(classes: npt.ArrayLike) -> Integers:
    matrix = np.asarray(classes)
    if matrix.ndim != 2 or matrix.shape[0] < 2 or not matrix.shape[1]:
        raise ValueError(
            f"classes has the shape {matrix.shape}; allowed: (runs, examples), at least 2 runs."
        )
    _, codes = np.unique(matrix, return_inverse=True)
    return np.asarray(codes.reshape(matrix.shape), dtype=np.int64)


def _counts(matrix: Integers) -> Floats:
    return vote_counts(matrix, int(matrix.max()) + 1)


def _agreement(matrix: Integers) -> Floats:
    return pair_agreement(_counts(matrix))


def _entropy(p: Floats) -> Floats:
    """Entropy over the last axis in bits; 0 log 0 is 0."""
    logs = np.log2(p, out=np.zeros_like(p), where=p > 0)
    return np.asarray(-(p * logs).sum(axis=-1))
