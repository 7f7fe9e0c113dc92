"""Divisions of a task's examples: halves of the validation set, parts of the training set, folds.

Every draw is a permutation of the `subsample` stream under `task.split_seed`. Subsets use
another block of that stream, so that the two are independent. Draws are the same on every
machine. Chosen examples keep their original order.
"""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import numpy.typing as npt

from seedlab.errors import SeedlabError
from seedlab.randomness.streams import permutation
from seedlab.spec.run import TaskSpec
from seedlab.tasks.readers.raw import RawSplit, RawTask

# Subsets draw from block 0 of the same stream.
_BLOCK = 1


def resplit(raw: RawTask, spec: TaskSpec) -> RawTask:
    """Return a task with the validation and test sets that its specification asks for.

    If other examples become the validation set, the given one becomes the test set.

    Parameters
    ----------
    raw : RawTask
    spec : TaskSpec
        `dev_split`, `split_seed`, `dev_size`, `folds` and `fold` are used.

    Returns
    -------
    RawTask
        It has a split ``dev``. Other splits (``dev_mismatched``) are unchanged.

    Raises
    ------
    SeedlabError
        When a set has too few examples, or a test set would be replaced.
    """
    if spec.folds is not None:
        return _cross_validated(raw, spec, spec.folds)
    if spec.dev_split == "halved":
        return _halved(raw, spec)
    if spec.dev_split == "from_train":
        return _from_train(raw, spec)
    return raw


def stratified_folds(
    labels: npt.ArrayLike, n_folds: int, seed: int, *, regression: bool
) -> npt.NDArray[np.int64]:
    """Return the fold of each example, with every class spread evenly over the folds.

    Examples are shuffled, sorted by class and dealt out one by one. The sizes of two folds
    then differ by at most one, and so do the numbers of examples of a class in them. Numbers
    are stratified by 1 + floor(log2(n)) bins of equally many examples; equal numbers may fall
    into two bins.

    Parameters
    ----------
    labels : (n,) array of int or float
    n_folds : int
        At least 2 and at most n.
    seed : int
    regression : bool
        Whether the labels are numbers.

    Returns
    -------
    (n,) array of int64
        In [0, n_folds).
    """
    shuffled = permutation(seed, _BLOCK, np.size(labels), stream="subsample")
    groups = np.asarray(labels)[shuffled]
    if regression:
        ranks = np.empty(len(groups), dtype=np.int64)
        ranks[np.argsort(groups, kind="stable")] = np.arange(len(groups))
        groups = ranks * bins(len(groups)) // len(groups)
    dealt = shuffled[np.argsort(groups, kind="stable")]
    folds = np.empty(len(dealt), dtype=np.int64)
    folds[dealt] = np.arange(len(dealt)) % n_folds
    return folds


def bins(n: int) -> int:
    """Return the number of bins for `n` numbers, 1 + floor(log2(n)) (Sturges 1926)."""
    return n.bit_length()


def _halved(raw: RawTask, spec: TaskSpec) -> RawTask:
    if "test" in raw.splits:
        raise SeedlabError(
            "task.dev_split=halved makes one half of the validation set the test set, and task "
            f"'{spec.name}' has a test set of its own; leave out task.test_file, or use the sets as "
            "they are with task.dev_split=given."
        )
    dev = raw.splits["dev"]
    half = _folds(raw, dev, 2, spec, "task.dev_split=halved", "validation")
    parts = {name: _where(dev, half == number) for number, name in enumerate(("dev", "test"))}
    return dataclasses.replace(raw, splits={**raw.splits, **parts})


def _from_train(raw: RawTask, spec: TaskSpec) -> RawTask:
    train = raw.splits["train"]
    n = len(train.labels)
    if spec.dev_size >= n:
        raise SeedlabError(
            f"task.dev_size={spec.dev_size} leaves nothing to train on: task '{spec.name}' has {n} "
            f"training examples, of which the validation set is taken; it must be below {n}."
        )
    held_out = np.zeros(n, dtype=bool)
    held_out[permutation(spec.split_seed, _BLOCK, n, stream="subsample")[-spec.dev_size :]] = True
    return _validated_by(raw, held_out, spec, "task.dev_split=from_train")


def _cross_validated(raw: RawTask, spec: TaskSpec, n_folds: int) -> RawTask:
    setting = f"task.folds={n_folds}"
    folds = _folds(raw, raw.splits["train"], n_folds, spec, setting, "training")
    return _validated_by(raw, folds == spec.fold, spec, setting)


def _folds(
    raw: RawTask, split: RawSplit, n_folds: int, spec: TaskSpec, setting: str, role: str
) -> npt.NDArray[np.int64]:
    """Return the fold of each example of a split; refuse classes with too few examples."""
    n, counts = len(split.labels), Counter(split.labels)
    if n < n_folds:
        raise SeedlabError(
            f"{setting} needs at least {n_folds} {role} examples, and task '{spec.name}' has {n}."
        )
    for number, name in enumerate(raw.label_names):
        if 0 < counts[number] < n_folds:
            raise SeedlabError(
                f"{setting} can't put every class into each of {n_folds} parts: the {role} set of "
                f"task '{spec.name}' has {counts[number]} of class '{name}'; use fewer parts, or "
                "remove the class."
            )
    return stratified_folds(split.labels, n_folds, spec.split_seed, regression=not raw.label_names)


def _validated_by(
    raw: RawTask, held_out: npt.NDArray[np.bool_], spec: TaskSpec, setting: str
) -> RawTask:
    """Return the task with some training examples as validation set."""
    if {"dev", "test"} <= set(raw.splits):
        raise SeedlabError(
            f"{setting} validates on training examples and makes the given validation set the test "
            f"set, and task '{spec.name}' has a test set of its own; leave out one of task.dev_file "
            "and task.test_file: the other is the test set."
        )
    train = raw.splits["train"]
    splits = {"train": _where(train, ~held_out), "dev": _where(train, held_out)}
    given = {"test" if name == "dev" else name: rows for name, rows in raw.splits.items()}
    return dataclasses.replace(raw, splits={**given, **splits})


def _where(split: RawSplit, chosen: npt.NDArray[np.bool_]) -> RawSplit:
    return split.take(np.flatnonzero(chosen).tolist())
