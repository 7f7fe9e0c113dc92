"""The best of n runs: its expectation, its spread and its median, from a pool of scores.

No distribution is fitted and nothing is extrapolated: n is at most the number of
scores B. With the scores sorted, v1 <= ... <= vB, each statistic is a
weighted sum over them; the weights are the law of the maximum's rank.

Lower is better: with ``lower_is_better=True`` the scores are negated on the way
in and the results on the way out (the spread is the same), so that "best" is
the minimum; the code in between computes maxima only.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from analysis.best_of_n.binomial import log_binomial
from analysis.checks import check_choice
from analysis.errors import TableError

Estimator = Literal["unbiased", "plugin"]
FloatArray = npt.NDArray[np.float64]

# Rows of weights are made in blocks of about this many numbers (16 MB).
BLOCK_NUMBERS = 2_000_000


def expected_max(
    scores: npt.ArrayLike,
    ns: npt.ArrayLike | None = None,
    *,
    estimator: Estimator = "unbiased",
    lower_is_better: bool = False,
) -> FloatArray:
    r"""Expected best score of n runs drawn from the distribution behind `scores`.

    Parameters
    ----------
    scores : 1D array of B finite floats
        One score per run, in any order.
    ns : integers from 1 to B, or array of them, optional
        Numbers of runs; by default 1, 2, ..., B.
    estimator : {"unbiased", "plugin"}
        See Notes.
    lower_is_better : bool
        Return the expected minimum (see the module's docstring).

    Returns
    -------
    array of float64, of the shape of `ns`
        Between the worst and the best score, improving with n.

    Raises
    ------
    TableError
        `scores` is empty, not 1D or not finite.
    OptionError
        `estimator` is unknown.
    ValueError
        `ns` is outside 1..B.

    Notes
    -----
    The unbiased estimate averages the maximum over all subsets of n runs (a
    U-statistic; Tang et al. 2020, arXiv:2004.13705),

    .. math:: \sum_i v_i \binom{i-1}{n-1} / \binom{B}{n},

    the mean at n = 1 and the largest score at n = B. The plug-in estimate is the
    expectation under the empirical distribution, i.e. over n draws with
    replacement (Dodge et al. 2019, arXiv:1909.03004),

    .. math:: \sum_i v_i \{(i/B)^n - ((i-1)/B)^n\},

    biased low. Dodge et al. 2021 (arXiv:2110.00613) find that it nevertheless
    leads to fewer wrong comparisons between models at equal data.

    Examples
    --------
    >>> expected_max([0.0, 1.0], [1, 2]).tolist()
    [0.5, 1.0]
    >>> expected_max([0.0, 1.0], [1, 2], estimator="plugin").tolist()
    [0.5, 0.75]
    """
    values, sizes = _validated(scores, ns, lower_is_better)
    mean, _ = _moments(values, sizes, estimator)
    return -mean if lower_is_better else mean


def best_of_spread(
    scores: npt.ArrayLike,
    ns: npt.ArrayLike | None = None,
    *,
    estimator: Estimator = "plugin",
    lower_is_better: bool = False,
) -> FloatArray:
    r"""Standard deviation of the best score of n runs.

    :math:`\sqrt{\sum_i p_i(n) (v_i - E_n)^2}` with the weights of the estimator:
    how much the best of n varies between repetitions of the experiment. It is
    not an error of the estimate of :func:`expected_max`. The released code of
    Dodge et al. 2019 calls it "var" and uses the plug-in weights, hence the
    default. Parameters and errors as for :func:`expected_max`.
    """
    values, sizes = _validated(scores, ns, lower_is_better)
    return _moments(values, sizes, estimator)[1]


def best_of_median(
    scores: npt.ArrayLike,
    ns: npt.ArrayLike | None = None,
    *,
    lower_is_better: bool = False,
) -> FloatArray:
    r"""Median of the best score of n runs, under the empirical distribution.

    The smallest score v with :math:`F(v)^n \geq 1/2` (Lourie et al. 2024,
    arXiv:2311.09480): the curve to which the bands of :mod:`analysis.best_of_n.bands`
    belong. Parameters and errors as for :func:`expected_max`.
    """
    values, sizes = _validated(scores, ns, lower_is_better)
    steps = np.arange(1, len(values) + 1) / len(values)
    median = values[np.searchsorted(steps, 0.5 ** (1.0 / sizes), side="left")]
    return -median if lower_is_better else median


def best_of_weights(size: int, ns: npt.ArrayLike, estimator: Estimator = "unbiased") -> FloatArray:
    """Law of the rank of the best of n among `size` sorted scores.

    Returns
    -------
    array of float64, shape (len(ns), size)
        Row k sums to one: the chance that the best of ``ns[k]`` is each of the
        sorted scores. Formulas in :func:`expected_max`.
    """
    n = np.asarray(ns, dtype=np.int64)[:, None]
    if estimator == "plugin":
        return np.diff((np.arange(size + 1) / size) ** n, axis=1)
    rank = np.arange(1, size + 1)
    check_choice("estimator", estimator, ("unbiased", "plugin"))
    weights = np.exp(log_binomial(rank - 1, n - 1) - log_binomial(size, n))
    # The error of log-gamma is mostly common to a row: dividing by the sum removes it.
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _moments(
    values: FloatArray, sizes: npt.NDArray[np.int64], estimator: Estimator
) -> tuple[FloatArray, FloatArray]:
    flat = sizes.ravel()
    mean, spread = np.empty(flat.size), np.empty(flat.size)
    rows = max(1, BLOCK_NUMBERS // len(values))
    for first in range(0, max(flat.size, 1), rows):
        part = slice(first, first + rows)
        weights = best_of_weights(len(values), flat[part], estimator)
        mean[part] = np.clip(weights @ values, values[0], values[-1])
        spread[part] = np.sqrt(np.sum(weights * (values - mean[part, None]) ** 2, axis=1))
    return mean.reshape(sizes.shape), spread.reshape(sizes.shape)


def _validated(
    scores: npt.ArrayLike, ns: npt.ArrayLike | None, lower_is_better: bool
) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    values = finite_scores(scores)
    if ns is None:
        sizes = np.arange(1, len(values) + 1)
    else:
        given = np.asarray(ns)
        sizes = given.astype(np.int64)
        wrong = (given != sizes) | (sizes < 1) | (sizes > len(values))
        if wrong.any():
            raise ValueError(
                f"ns holds {given[wrong].ravel()[0]}; allowed: integers from 1 to the number "
                f"of scores, {len(values)}. Leave out larger ones: the pool does not determine them."
            )
    return np.sort(-values if lower_is_better else values), sizes


def finite_scores(scores: npt.ArrayLike) -> FloatArray:
    """`scores` as a 1D array of finite floats, or a refusal that names the position."""
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or values.size == 0:
        raise TableError(
            f"scores has the shape {values.shape}; allowed: one dimension, at least one score."
        )
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise TableError(
            f"scores[{bad[0]}] is {values[bad[0]]}; allowed: finite numbers. Give a run that "
            "diverged the metric's chance value instead of leaving a gap."
        )
    return values
