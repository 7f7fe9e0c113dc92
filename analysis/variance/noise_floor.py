"""The noise floor: differences of accuracy that the finite test set causes.

Two quantities, which must not be added. The *between-run floor*: runs that are
equally good on the distribution still differ on N examples, because they err on
different ones. The *sampling error of the test set*: all runs together are too high
or too low on it.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.checks import check_at_least
from analysis.data.predictions import predictions_of
from analysis.data.study import Study
from analysis.errors import TableError
from analysis.rounding import spread

ACCURACY_NAMES = frozenset({"accuracy", "acc", "eval_accuracy", "accuracy_score"})


@dataclasses.dataclass(frozen=True)
class DistributionVariance:
    """Variance of accuracy between runs: on this test set, and on the distribution.

    ``distribution`` is unbiased and may be negative; ``test_set`` is the plain
    variance of the accuracies.
    """

    test_set: float
    distribution: float
    n_runs: int
    n_examples: int


def distribution_variance(correct: npt.ArrayLike) -> DistributionVariance:
    """Jordan's estimate of the variance of accuracy on the distribution.

    Parameters
    ----------
    correct : floats in [0, 1], shape (R, N), R >= 2, N >= 2
        1.0 where run r is right on example n.

    Notes
    -----
    n/(n-1) [Var(acc) - sum_i Var(c_i)/n^2] (Jordan 2024, arXiv:2304.01910),
    which is the mean covariance of the correctness of two distinct examples;
    variances over runs with ddof 1. Runs that err independently give 0 in mean.
    """
    matrix = np.asarray(correct, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] < 2 or matrix.shape[1] < 2:
        raise ValueError(
            f"correct has the shape {matrix.shape}; allowed: (runs, examples), at least 2 of each."
        )
    n = matrix.shape[1]
    plain = float(matrix.mean(axis=1).var(ddof=1))
    independent = float(matrix.var(axis=0, ddof=1).sum()) / n**2
    return DistributionVariance(plain, n / (n - 1) * (plain - independent), len(matrix), n)


def calibrated_floor(error: float, n_examples: int) -> float:
    """Standard deviation of binary accuracy between equally good, calibrated runs.

    Parameters
    ----------
    error : float in [0, 1]
        Mean error rate of the runs.
    n_examples : int
        Size of the test set.

    Returns
    -------
    float
        sqrt(error / (2 n)): for calibrated runs that err independently given the
        example, error = E 2p(1-p) and Var = E p(1-p)/n. Binary tasks only.
    """
    _check(error, n_examples)
    return math.sqrt(error / (2 * n_examples))


def sampling_error(error: float, n_examples: int) -> float:
    """Standard error of an accuracy as an estimate for the distribution of examples.

    sqrt(error (1 - error) / n): shared by all runs that are scored on the same examples.
    """
    _check(error, n_examples)
    return math.sqrt(error * (1 - error) / n_examples)


def noise_floor(study: Study, *, value: str = "final_score") -> pd.DataFrame:
    """The floors of every group that is scored by accuracy on a known number of examples.

    The number of examples is that of the predictions, or `n_examples` of the
    runs. Groups with another metric, or with an unknown number, are left out.

    Returns
    -------
    DataFrame
        ``task, model, recipe, error, n_examples, floor_sd`` (between runs;
        NaN where predictions show more than two classes),
        ``sampling_sd`` (of the test set), ``observed_sd`` (between runs),
        ``distribution_variance`` (NaN without predictions; may be negative),
        ``distribution_sd``, ``n_runs, n_failed``; ``error_good, floor_sd_good,
        sampling_sd_good, observed_sd_good``: the same without failed runs, whose error
        rate is that of a constant prediction (NaN where every run failed).
    """
    columns = ["task", "model", "recipe", "error", "n_examples", "floor_sd", "sampling_sd"]
    columns += ["observed_sd", "distribution_variance", "distribution_sd", "n_runs", "n_failed"]
    columns += ["error_good", "floor_sd_good", "sampling_sd_good", "observed_sd_good"]
    rows = []
    for key, part in study.groups():
        runs = part.complete_runs()
        if runs.empty or not set(runs["metric"].str.lower()) <= ACCURACY_NAMES:
            continue
        found = predictions_of(part)
        counted = runs["n_examples"].dropna()
        if found is not None:
            n = len(found.examples)
        elif len(counted):
            n = int(counted.iloc[0])
        else:
            continue
        error = 1.0 - float(runs[value].mean())
        if not 0.0 <= error <= 1.0:
            # Percentages, or no accuracy at all.
            continue
        variance = float("nan")
        if found is not None and found.is_classification and len(found.runs) > 1 and n > 1:
            variance = distribution_variance(found.correct).distribution
        many = found is not None and found.logits.shape[2] > 2
        all_runs, good = (
            _floors(part[value], n, many) for part in (runs, runs.loc[~runs["failed"]])
        )
        rows.append(
            {
                **key._asdict(),
                **all_runs,
                **{f"{name}_good": number for name, number in good.items()},
                "n_examples": n,
                "distribution_variance": variance,
                "distribution_sd": math.sqrt(max(variance, 0.0))
                if not math.isnan(variance)
                else variance,
                "n_runs": len(runs),
                "n_failed": int(runs["failed"].sum()),
            }
        )
    return pd.DataFrame(rows, columns=columns)


def _floors(scores: pd.Series, n_examples: int, many_classes: bool) -> dict[str, float]:
    """The error of some runs, with both floors that follow from it and the spread observed."""
    nan = float("nan")
    if scores.empty:
        return dict.fromkeys(("error", "floor_sd", "sampling_sd", "observed_sd"), nan)
    error = 1.0 - float(scores.mean())
    return {
        "error": error,
        "floor_sd": nan if many_classes else calibrated_floor(error, n_examples),
        "sampling_sd": sampling_error(error, n_examples),
        "observed_sd": spread(scores),
    }


def _check(error: float, n_examples: int) -> None:
    if not 0.0 <= error <= 1.0:
        raise TableError(f"error is {error}; allowed: a rate in [0, 1]. Divide percentages by 100.")
    check_at_least("n_examples", n_examples, 1)
