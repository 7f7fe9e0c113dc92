"""Class-balanced subsets of a training split."""

from __future__ import annotations

from collections import Counter

from seedlab.errors import SeedlabError
from seedlab.randomness.streams import permutation
from seedlab.tasks.readers.raw import RawSplit


def subset(split: RawSplit, size: int, label_names: tuple[str, ...], seed: int) -> RawSplit:
    """Return a subset with the same number of examples of every class.

    Parameters
    ----------
    split : RawSplit
    size : int
        Number of examples. With C classes the subset has ``size // C`` of each class, up to
        C - 1 fewer than `size` in all. For regression it has exactly `size`.
    label_names : tuple of str
        Names of the classes; empty for regression.
    seed : int
        Seed of the `subsample` stream. With one seed, a smaller subset is part of a larger one.

    Returns
    -------
    RawSplit
        The chosen examples in their original order.

    Raises
    ------
    SeedlabError
        When a class, or the split, has too few examples.
    """
    n, classes = len(split.labels), max(1, len(label_names))
    if size < classes:
        raise SeedlabError(
            f"task.train_size={size} is less than one example for each of the {classes} classes; it "
            f"must be at least {classes}."
        )
    if size > n:
        raise SeedlabError(
            f"task.train_size={size} is more than the {n} training examples there are; ask for at "
            f"most {n}, or leave task.train_size out to use them all."
        )
    quota = size // classes
    counts = Counter(split.labels) if label_names else Counter({0: n})
    rarest = min(range(classes), key=lambda c: counts[c])
    if counts[rarest] < quota:
        raise SeedlabError(
            f"task.train_size={size} needs {quota} training examples of each of the {classes} "
            f"classes, and '{label_names[rarest]}' has {counts[rarest]}; the largest balanced "
            f"subset is task.train_size={counts[rarest] * classes}."
        )
    left = dict.fromkeys(range(classes), quota)
    chosen = []
    for index in permutation(seed, 0, n, stream="subsample").tolist():
        group = int(split.labels[index]) if label_names else 0
        if left[group]:
            left[group] -= 1
            chosen.append(index)
    return split.take(sorted(chosen))
