"""Every arrangement that a permutation test may draw: their number, the list, the extreme ones.

A test on random shuffles can't find a p-value below the share of the arrangements that are as
extreme as the most extreme one. On a small grid this share is large: 1/2 for 2 x 2 seeds.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int8]
Block = tuple[Floats, npt.NDArray[np.intp]]
"""Scores that are shuffled among themselves, and the seed of each: a column of the grid."""
# Up to this many arrangements are listed: about twice the work of the report's shuffles.
MOST_LISTED = 20_000


def number_of(counts: Sequence[int]) -> int:
    """Number of distinct orders of a sequence that holds item k ``counts[k]`` times."""
    return math.factorial(sum(counts)) // math.prod(math.factorial(n) for n in counts)


def number_up_to_names(counts: Sequence[int]) -> int:
    """Number of those orders if items with equal counts may exchange their names.

    All counts must be equal, else no two items are taken as alike.
    """
    alike = math.factorial(len(counts)) if len(set(counts)) == 1 else 1
    return number_of(counts) // alike


def arrangements(counts: Sequence[int], *, up_to_names: bool = False) -> Labels:
    """All distinct orders of a sequence that holds item k ``counts[k]`` times.

    Parameters
    ----------
    counts : sequence of int, each at least 1
        Fewer than 128 items.
    up_to_names : bool
        List one of the orders that differ in the names of the items alone, where all
        counts are equal: `number_up_to_names` orders.

    Returns
    -------
    int8 array of shape (`number_of(counts)`, sum of counts)
        One order per row. Shuffles of the sequence are uniform over the rows.
    """
    n, first = sum(counts), counts[0]
    if len(counts) == 1:
        return np.zeros((1, n), dtype=np.int8)
    named = up_to_names and len(set(counts)) == 1
    rest = arrangements(counts[1:], up_to_names=named) + np.int8(1)
    # Up to names, the item in the first place is the first item.
    fixed, free = ([0], range(1, n)) if named else ([], range(n))
    choices = list(itertools.combinations(free, first - len(fixed)))
    found = np.zeros((len(choices), len(rest), n), dtype=np.int8)
    for listed, places in zip(found, choices, strict=True):
        others = np.ones(n, dtype=bool)
        others[[*fixed, *places]] = False
        listed[:, others] = rest
    return found.reshape(-1, n)


def listed_sums(blocks: Sequence[Block], n_labels: int) -> Floats | None:
    """Sums of the scores per label, for every arrangement of the scores within blocks.

    In a grid without gaps and repeats one block stays as it is: the orders of all labels
    together give the same set of sums, under other names.

    Parameters
    ----------
    blocks : sequence of (scores, labels)
        Labels are in [0, n_labels).
    n_labels : int

    Returns
    -------
    array of shape (arrangements, n_labels) or None
        Equally likely under random shuffles; None for more than `MOST_LISTED`.
    """
    numbers = [min(number_of(_ties(y)), number_of(_ties(labels))) for y, labels in blocks]
    kept = int(np.argmax(numbers)) if _is_complete(blocks, n_labels) else -1
    if math.prod(n for i, n in enumerate(numbers) if i != kept) > MOST_LISTED:
        return None
    total = np.zeros((1, n_labels))
    for i, (y, labels) in enumerate(blocks):
        if i == kept or numbers[i] == 1:
            total = total + np.bincount(labels, weights=y, minlength=n_labels)
        else:
            part = _sums_of(y, labels, n_labels)
            total = (total[:, None, :] + part[None, :, :]).reshape(-1, n_labels)
    return total


def restricted_floor(blocks: Sequence[Block], n_labels: int) -> float:
    """Share of the arrangements within blocks whose label means vary most.

    Exact for a grid without gaps and repeats. Else a lower bound: renaming labels that occur
    equally often in every block changes nothing, nor does exchanging equal scores.
    """
    if _is_complete(blocks, n_labels):
        return extreme_share([y[np.argsort(labels)] for y, labels in blocks])
    table = np.column_stack([np.bincount(labels, minlength=n_labels) for _, labels in blocks])
    _, alike = np.unique(table, axis=0, return_counts=True)
    renamed = sum(math.lgamma(int(n) + 1) for n in alike)
    by_label = sum(_log_number_of(_ties(labels)) for _, labels in blocks)
    by_score = sum(_log_number_of(_ties(y)) for y, _ in blocks)
    return math.exp(max(renamed - by_label, -by_score))


def extreme_share(columns: Sequence[Floats]) -> float:
    """Share of the arrangements whose rows have the largest variance of their means.

    Parameters
    ----------
    columns : sequence of 1D arrays of one length a
        The columns of a table without gaps; every one is shuffled on its own.

    Returns
    -------
    float in (0, 1]
        ``(a!)^(1 - b)`` for b columns without equal values.

    Notes
    -----
    The sum of squares of the rows' sums is a constant plus twice the inner products of all pairs
    of columns. An inner product is largest if the two columns are in the same order
    (rearrangement inequality), and sorted columns reach this for all pairs at once. So the extreme
    arrangements are the orders of the rows of the sorted table.
    """
    table = np.sort(np.column_stack(columns), axis=0)
    _, equal_rows = np.unique(table, axis=0, return_counts=True)
    every = sum(_log_number_of(_ties(column)) for column in columns)
    return math.exp(_log_number_of(equal_rows.tolist()) - every)


def _is_complete(blocks: Sequence[Block], n_labels: int) -> bool:
    """Whether every block holds every label once."""
    return all(len(y) == n_labels == len(np.unique(labels)) for y, labels in blocks)


def _sums_of(y: Floats, labels: npt.NDArray[np.intp], n_labels: int) -> Floats:
    """Sums per label over the arrangements of one block, by the shorter of two lists."""
    scores, codes = np.unique(y, return_inverse=True)
    of_label = (labels[:, None] == np.arange(n_labels)).astype(np.float64)
    if number_of(_ties(y)) <= number_of(_ties(labels)):
        return np.asarray(scores[arrangements(np.bincount(codes).tolist())] @ of_label)
    present, occurrences = np.unique(labels, return_counts=True)
    sums = np.zeros((number_of(occurrences.tolist()), n_labels))
    listed = arrangements(occurrences.tolist())
    for item, label in enumerate(present):
        sums[:, label] = (listed == item) @ y
    return sums


def _ties(values: npt.NDArray[np.generic]) -> list[int]:
    counts: list[int] = np.unique(values, return_counts=True)[1].tolist()
    return counts


def _log_number_of(counts: Sequence[int]) -> float:
    """As `number_of`, in logarithms: a! is beyond floats from 171 on."""
    return math.lgamma(sum(counts) + 1) - sum(math.lgamma(n + 1) for n in counts)
