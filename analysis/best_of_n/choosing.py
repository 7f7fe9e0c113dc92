"""The price of choosing: the test score of the run that is best on the validation set among n."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

from analysis.best_of_n.expected_max import finite_scores

Floats = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Chosen:
    """Expected scores of the run that is best on the validation set, one entry per n.

    ``dev`` is its validation score and ``test`` its test score, float64, in the metric's units.
    """

    dev: Floats
    test: Floats


def chosen_scores(
    dev: npt.ArrayLike,
    test: npt.ArrayLike,
    ns: npt.ArrayLike | None = None,
    *,
    lower_is_better: bool = False,
    counts: npt.ArrayLike | None = None,
) -> Chosen:
    r"""Expected validation and test score of the best of n runs on the validation set.

    Parameters
    ----------
    dev, test : 1D arrays of B finite floats
        Scores of the same runs, in the same order.
    ns : integers from 1 to B, or 1D array of them, optional
        Numbers of runs to choose from; by default 1, 2, ..., B.
    lower_is_better : bool
        The run with the smallest validation score is chosen.
    counts : array of integers, shape (..., B), optional
        How often each run counts, for one bootstrap sample or several; `ns` is then needed.

    Returns
    -------
    Chosen
        Arrays of shape (..., len(ns)), with the leading axes of `counts`.

    Raises
    ------
    TableError
        Scores are empty, not 1D or not finite.
    ValueError
        `dev` and `test` differ in length, or `ns` is outside 1..B, the number of runs (of the
        smallest sample).

    Notes
    -----
    Exact averages over all subsets of n of the B runs. With the runs sorted by validation score,
    the best of a subset lies in the block of equal scores i+1..j with probability

    .. math:: \{\binom{j}{n} - \binom{i}{n}\} / \binom{B}{n}.

    Of equal runs each is chosen equally often, so that the expected test score of a block is its
    mean. The weights are those of `expected_max.expected_max` (Tang et al. 2020, arXiv:2004.13705).

    Examples
    --------
    >>> found = chosen_scores([0.8, 0.7, 0.7], [0.5, 0.9, 0.7], [1, 2])
    >>> [round(float(x), 6) for x in found.test]
    [0.7, 0.6]
    """
    values, tests = finite_scores(dev), finite_scores(test)
    if len(values) != len(tests):
        raise ValueError(
            f"dev has {len(values)} scores and test has {len(tests)}; give one per run."
        )
    times = np.ones(len(values), np.int64) if counts is None else np.asarray(counts, np.int64)
    size = int(times.sum(axis=-1).min())
    n = np.arange(1, size + 1) if ns is None else np.atleast_1d(np.asarray(ns, dtype=np.int64))
    if ((n < 1) | (n > size)).any():
        raise ValueError(
            f"ns holds numbers outside 1 to {size}, the number of runs; leave them out."
        )
    signed = -values if lower_is_better else values
    order = np.argsort(signed, kind="stable")
    levels, starts = np.unique(signed[order], return_index=True)
    # Runs of each block, and of the blocks up to it. A block without any run in the sample has no
    # weight, whatever stands for its mean.
    times = times[..., order]
    sizes = np.add.reduceat(times, starts, axis=-1)
    means = np.add.reduceat(times * tests[order], starts, axis=-1) / np.maximum(sizes, 1)
    last = np.cumsum(sizes, axis=-1)
    total = last[..., -1:]
    # Logarithms of factorials, so that large binomials do not overflow.
    log = gammaln(np.arange(int(total.max()) + 1) + 1.0)
    best, tests_of_best = [], []
    for k in n:
        # C(j, k) / C(B, k), which is 0 for j < k.
        shares = np.exp(log[last] - log[total] - (log[np.maximum(last - k, 0)] - log[total - k]))
        weights = np.diff(np.where(last < k, 0.0, shares), axis=-1, prepend=0.0)
        best.append(weights @ (-levels if lower_is_better else levels))
        tests_of_best.append((weights * means).sum(axis=-1))
    return Chosen(np.stack(best, axis=-1), np.stack(tests_of_best, axis=-1))
