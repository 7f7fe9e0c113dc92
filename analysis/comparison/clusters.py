"""Clusters of examples: standard errors of means over examples that belong together."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.errors import TableError

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]


def codes_of(clusters: npt.ArrayLike, n: int) -> Codes:
    """The clusters of `n` examples as numbers from 0 on, in order of first appearance.

    Raises
    ------
    TableError
        An example has no cluster, there is another number of them, or there is one cluster alone.
    """
    labels = np.asarray(clusters)
    if labels.shape != (n,):
        raise TableError(
            f"clusters has the shape {labels.shape}; allowed: one cluster per example, ({n},)."
        )
    codes, names = pd.factorize(labels)
    if (codes < 0).any():
        raise TableError(
            f"example {int(np.flatnonzero(codes < 0)[0])} has no cluster; allowed: a name for every "
            "example. Give an example that stands alone a cluster of its own."
        )
    if len(names) < 2:
        raise TableError(
            f"all {n} examples are in one cluster, {str(names[0])!r}; allowed: 2 clusters or more. "
            "Leave the clusters out where no examples belong together."
        )
    return np.asarray(codes, dtype=np.intp)


def clustered_error(values: npt.ArrayLike, codes: Codes) -> float:
    """Standard error of a mean over examples, some of which belong together.

    Parameters
    ----------
    values : floats, shape (N,)
    codes : integers, shape (N,)
        The cluster of every example, 0 to G - 1, G >= 2.

    Notes
    -----
    sqrt(G/(G - 1) sum_g (sum_{n in g} (x_n - mean))^2) / N: the sandwich estimator of Liang and
    Zeger 1986 for a regression on a constant, with the usual correction for few clusters
    (Cameron and Miller 2015, section II.B). With a cluster per example it is sd/sqrt(N).
    """
    x = np.asarray(values, dtype=np.float64)
    sums = np.bincount(codes, weights=x - x.mean())
    groups = len(sums)
    return math.sqrt(groups / (groups - 1) * float((sums**2).sum())) / len(x)
