"""Subsets of a training split: balanced, stratified or random."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from seedlab.errors import SeedlabError
from seedlab.randomness.streams import permutation
from seedlab.tasks.readers.raw import RawSplit
from seedlab.tasks.splits import bins

SUBSETS = ("balanced", "stratified", "random")
"""Values of `task.subset`; the first one is the default."""


def subset(
    split: RawSplit, size: int, label_names: tuple[str, ...], seed: int, kind: str = "balanced"
) -> RawSplit:
    """Return a subset of a split.

    The examples are shuffled. Every class, or the split as a whole, gives its first ones.

    Parameters
    ----------
    split : RawSplit
    size : int
        Number of examples. A balanced subset of C classes has ``size // C`` of each class, up to
        C - 1 fewer than `size` in all. The others have exactly `size`.
    label_names : tuple of str
        Names of the classes; empty for regression.
    seed : int
        Seed of the `subsample` stream. With one seed, a smaller balanced or random subset is part
        of a larger one.
    kind : {"balanced", "stratified", "random"}
        A stratified subset keeps the shares of the classes, see `quotas`. For regression it keeps
        those of 1 + floor(log2(n)) bins of equally many examples, and a balanced one is random.

    Returns
    -------
    RawSplit
        The chosen examples in their original order.

    Raises
    ------
    SeedlabError
        When a class, or the split, has too few examples, or all that are chosen are of one class.
    """
    n = len(split.labels)
    if size > n:
        raise SeedlabError(
            f"task.train_size={size} is more than the {n} training examples there are; ask for at "
            f"most {n}, or leave task.train_size out to use them all."
        )
    groups = _groups(split, label_names, kind)
    if kind == "balanced" and label_names:
        left = _balanced(Counter(groups), size, label_names)
    else:
        left = quotas(Counter(groups), size)
    chosen = []
    for index in permutation(seed, 0, n, stream="subsample").tolist():
        group = groups[index]
        if left.get(group):
            left[group] -= 1
            chosen.append(index)
    small = split.take(sorted(chosen))
    if label_names and len(set(small.labels)) < 2:
        raise SeedlabError(
            f"task.train_size={size} with task.subset={kind} chooses examples of one class alone, "
            f"'{label_names[int(small.labels[0])]}'; choose more examples, another seed.subsample, or "
            "task.subset=balanced."
        )
    return small


def quotas(counts: Mapping[int, int], size: int) -> dict[int, int]:
    """Return how many examples each group gives to a stratified subset, by largest remainder.

    Group g has the share ``size * counts[g] / n`` of the subset. It gives the whole part of it.
    The examples that are then missing come from the groups with the largest remainders, one each;
    of equal remainders the lower group's comes first (the method of Hamilton, 1792).

    Parameters
    ----------
    counts : mapping of group to int
        Examples of each group; they add up to n.
    size : int
        At most n.

    Returns
    -------
    dict of group to int
        The numbers add up to `size`. Each differs from its share by less than 1.
    """
    n = sum(counts.values())
    found = {group: size * count // n for group, count in counts.items()}
    # Remainders as whole numbers: no rounding decides.
    order = sorted(counts, key=lambda group: (-(size * counts[group] % n), group))
    for group in order[: size - sum(found.values())]:
        found[group] += 1
    return found


def _groups(split: RawSplit, label_names: tuple[str, ...], kind: str) -> Sequence[int]:
    """Return the group of every example: its class, its bin of numbers, or one for all."""
    n = len(split.labels)
    if kind == "random":
        return [0] * n
    if label_names:
        return [int(label) for label in split.labels]
    if kind == "balanced":
        return [0] * n
    ranks = np.empty(n, dtype=np.int64)
    ranks[np.argsort(np.asarray(split.labels), kind="stable")] = np.arange(n)
    bin_of: list[int] = (ranks * bins(n) // n).tolist()
    return bin_of


def _balanced(counts: Mapping[int, int], size: int, label_names: tuple[str, ...]) -> dict[int, int]:
    """Return the same number for every class."""
    classes = len(label_names)
    if size < classes:
        raise SeedlabError(
            f"task.train_size={size} is less than one example for each of the {classes} classes; it "
            f"must be at least {classes}, or task.subset=stratified."
        )
    quota = size // classes
    fewest, rarest = min((counts.get(c, 0), c) for c in range(classes))
    if fewest < quota:
        largest = f"the largest balanced subset is task.train_size={fewest * classes}"
        raise SeedlabError(
            f"task.train_size={size} needs {quota} training examples of each of the {classes} "
            f"classes, and '{label_names[rarest]}' has {fewest}; "
            f"{largest if fewest else 'no subset is balanced'}. task.subset=stratified keeps the "
            "shares of the classes."
        )
    return dict.fromkeys(range(classes), quota)
