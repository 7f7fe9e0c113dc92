"""Chance: whether a score says more than predictions that have nothing to do with the labels.

The chance of a run is that of its own predictions, shuffled among the examples: their distribution
stays, and any relation to the labels is lost. `shuffled_probability` is the probability that
shuffled predictions score as well. From `LEVEL` on a score is chance.

Accuracy is not judged so. Its best constant prediction, the majority, is what predictions without
any information reach at most, and published failure rates compare with it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from seedlab.tasks.metrics import METRICS, Floats, Ints, constant, pearson, ranks

LEVEL = 0.05
"""probability from which on a score counts as chance"""
_ROUNDING = 1e-9
"""slack for a probability that equals `LEVEL`, as 1 / 20 for six examples does"""


def is_chance(metric: str, score: float, logits: npt.ArrayLike, labels: npt.ArrayLike) -> bool:
    """Return whether a score is no better than chance.

    Parameters
    ----------
    metric : str
        One of `seedlab.tasks.metrics.METRICS`, but accuracy.
    score : float
        Value of the metric.
    logits : (example, class) array of float
        The predictions that have this score; finite.
    labels : (example,) array of int (classes) or float (targets)

    Returns
    -------
    bool
        True for predictions that are the same for every example. False where so few examples, or
        labels of one kind, can't show a difference: the labels themselves, as predictions, would
        be chance too.
    """
    values, targets = np.asarray(logits, dtype=np.float64), np.asarray(labels)
    if METRICS[metric].kind == "numbers":
        if len(targets) < 2 or _as_good(1.0, 1.0 / (len(targets) - 1)) > LEVEL + _ROUNDING:
            return False
        return _of_numbers(metric, score, values.reshape(-1), targets) > LEVEL + _ROUNDING
    predicted = values.argmax(axis=1)
    if shuffled_probability(targets, targets) > LEVEL + _ROUNDING:
        return False
    return shuffled_probability(predicted, targets) > LEVEL + _ROUNDING


def shuffled_probability(predicted: npt.NDArray[Any], labels: npt.NDArray[Any]) -> float:
    """Return the probability that shuffled predictions of classes are right as often.

    With given numbers of predictions and of labels of each class, Matthews' correlation, F1 and its
    mean with accuracy rise with the number of right predictions. So they all have this probability.

    Parameters
    ----------
    predicted, labels : (example,) arrays of int

    Returns
    -------
    float
        In (0, 1]. With two classes it is exact: the number of hits in class 1 is hypergeometric
        (Fisher 1935, The Design of Experiments, section 21). With more, the number of hits H is
        taken as normal, with its exact mean and variance over all permutations (Hoeffding 1951, A
        combinatorial central limit theorem, theorem 1) and a continuity correction of 1/2:
        E H = sum_k c_k t_k / n and Var H = n^2 / (n - 1) sum_kl S_kl T_kl. Here c_k and t_k are the
        numbers of predictions and labels of class k, and S and T the covariances (divided by n) of
        their indicators. In simulations at most 5 % of shuffled predictions of three classes have
        a probability of 5 % from 100 examples on, and 7 % with 20.
    """
    n, classes = len(labels), int(max(predicted.max(), labels.max())) + 1
    called = np.bincount(predicted, minlength=classes)
    true = np.bincount(labels, minlength=classes)
    if max(called.max(), true.max()) == n:
        return 1.0
    if classes == 2:
        hits = int(np.count_nonzero((predicted == 1) & (labels == 1)))
        return _hypergeometric_tail(hits, n, int(true[1]), int(called[1]))
    hits = int(np.count_nonzero(predicted == labels))
    mean = float(called @ true) / n
    variance = n**2 / (n - 1) * float(np.sum(_covariance(called / n) * _covariance(true / n)))
    return _as_good(hits - 0.5 - mean, variance)


def _of_numbers(metric: str, score: float, predicted: Floats, targets: Floats) -> float:
    """Return the probability that shuffled predictions of numbers score as well.

    Over all permutations the correlation of two lists of n numbers has the mean 0 and the variance
    1 / (n - 1), whatever the numbers (Pitman 1937, Significance tests which may be applied to
    samples from any populations II). It is taken as normal. This holds for ranks too. The mean of
    Pearson's r and Spearman's rho has the variance (1 + a b) / (2 (n - 1)), where a and b are the
    correlations of predictions and of targets with their own ranks. The mean squared error of
    shuffled predictions falls with r, so that RMSE has the probability of its r.
    """
    spread = float(predicted.std()), float(targets.std())
    if constant(predicted) or constant(targets):
        return 1.0
    n = len(targets)
    variance = 1.0 / (n - 1)
    if metric == "pearson_spearman_mean":
        own = pearson(predicted, ranks(predicted)) * pearson(targets, ranks(targets))
        variance *= (1.0 + own) / 2.0
    if metric == "rmse":
        squares = spread[0] ** 2 + spread[1] ** 2 + float(predicted.mean() - targets.mean()) ** 2
        score = (squares - score**2) / (2.0 * spread[0] * spread[1])
    return _as_good(score, variance)


def _as_good(excess: float, variance: float) -> float:
    """Return the upper tail of a normal variable with mean 0."""
    return math.erfc(excess / math.sqrt(2.0 * variance)) / 2.0


def _covariance(shares: Floats) -> Floats:
    """Return the covariance of the indicators of classes with these shares."""
    return np.asarray(np.diag(shares) - np.outer(shares, shares))


def _hypergeometric_tail(hits: int, n: int, true: int, called: int) -> float:
    """Return the probability of `hits` or more common members of two random subsets of n."""
    logs: Floats = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])

    def choose(total: int, part: Ints) -> Floats:
        return np.asarray(logs[total] - logs[part] - logs[total - part])

    most = np.arange(max(hits, 0, true + called - n), min(true, called) + 1)
    terms = choose(true, most) + choose(n - true, called - most) - choose(n, np.array([called]))
    return float(min(1.0, np.exp(terms).sum()))
