"""Subsets of k of R runs: all of them, or a fixed number of random ones."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import numpy.typing as npt

Flags = npt.NDArray[np.bool_]


@dataclasses.dataclass(frozen=True)
class Subsets:
    """Subsets of k of R runs.

    Attributes
    ----------
    members : array of bool, shape (S, R)
        k of every row are True.
    exact : bool
        Whether these are all subsets; otherwise each is an independent, uniform draw.
    """

    members: Flags
    exact: bool


def subsets_of(order: npt.NDArray[np.int64], k: int) -> Subsets:
    """All subsets of k runs if there are at most S, otherwise one from each row of `order`.

    Parameters
    ----------
    order : array of int64, shape (S, R)
        A random permutation of 0 to R - 1 in every row; see `random_orders`. A run belongs to the
        row's subset if its entry is below k, so that the subsets of a row grow with k.
    k : int
        From 1 to R.
    """
    size, runs = order.shape
    if math.comb(runs, k) > size:
        return Subsets(order < k, False)
    chosen = np.array(list(itertools.combinations(range(runs), k)))
    members = np.zeros((len(chosen), runs), dtype=bool)
    np.put_along_axis(members, chosen, True, axis=1)
    return Subsets(members, True)


def random_orders(generator: np.random.Generator, size: int, runs: int) -> npt.NDArray[np.int64]:
    """Random permutations of 0 to `runs` - 1, one in each of `size` rows."""
    return generator.permuted(np.tile(np.arange(runs), (size, 1)), axis=1)
