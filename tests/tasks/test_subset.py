"""Balanced, stratified and random subsets."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedlab.errors import SeedlabError
from seedlab.randomness.streams import permutation
from seedlab.tasks.readers.raw import RawSplit
from seedlab.tasks.subset import quotas, subset

NAMES = ("a", "b", "c")


def split_of(labels: list[int]) -> RawSplit:
    return RawSplit(tuple(f"text {i}" for i in range(len(labels))), None, tuple(labels))


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(0, 2), min_size=9, max_size=60), st.integers(3, 20), st.integers(0, 99))
def test_every_class_has_its_quota_in_the_original_order(
    labels: list[int], size: int, seed: int
) -> None:
    split = split_of(labels)
    counts = Counter(labels)
    if min(counts[c] for c in range(3)) < size // 3 or size > len(labels):
        with pytest.raises(SeedlabError, match=r"task.train_size="):
            subset(split, size, NAMES, seed)
        return
    small = subset(split, size, NAMES, seed)
    assert Counter(small.labels) == dict.fromkeys(range(3), size // 3)
    places = [split.texts.index(text) for text in small.texts]
    assert places == sorted(set(places))
    assert all(split.labels[p] == label for p, label in zip(places, small.labels, strict=True))


def test_a_smaller_subset_is_part_of_a_larger_one() -> None:
    split = split_of([i % 3 for i in range(300)])
    small, large = (set(subset(split, n, NAMES, 5).texts) for n in (30, 90))
    assert small < large


def test_every_example_is_as_likely_as_another() -> None:
    """Chosen 10 of 20 per class under 2,000 seeds: counts are binomial(2000, .5) and the
    largest of 60 deviations exceeds 5 standard deviations (112) with chance 3e-5; the
    seeds are fixed, so the test can't fail by chance.
    """
    split = split_of([i % 3 for i in range(60)])
    counts = Counter(text for seed in range(2000) for text in subset(split, 30, NAMES, seed).texts)
    assert max(abs(count - 1000) for count in counts.values()) < 112


def test_pairs_stay_together() -> None:
    split = RawSplit(("a", "b", "c", "d"), ("A", "B", "C", "D"), (0, 1, 0, 1))
    small = subset(split, 2, ("x", "y"), 0)
    assert small.pairs is not None
    assert tuple(text.upper() for text in small.texts) == small.pairs


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (9, r"train_size=9 is more than the 8 training examples.*at most 8"),
        (2, r"train_size=2 is less than one example for each of the 3 classes.*at least 3"),
        (
            7,
            r"needs 2 training examples of each of the 3 classes, and 'c' has 1; the largest "
            r"balanced subset is task.train_size=3",
        ),
    ],
)
def test_refusals(size: int, message: str) -> None:
    with pytest.raises(SeedlabError, match=message):
        subset(split_of([0, 0, 0, 0, 1, 1, 1, 2]), size, NAMES, 0)


def largest_remainder(counts: dict[int, int], size: int) -> dict[int, int]:
    """Seats one by one: the group that is furthest below its share gets the next one.

    Below the whole parts this is another algorithm than `quotas`, with the same result: whole
    parts are given first, and what is left of the shares decides the rest.
    """
    n = sum(counts.values())
    share = {group: Fraction(size * count, n) for group, count in counts.items()}
    seats = dict.fromkeys(counts, 0)
    for _ in range(size):
        whole = [g for g in sorted(counts) if share[g] - seats[g] >= 1]
        group = whole[0] if whole else max(sorted(counts), key=lambda g: share[g] - seats[g])
        seats[group] += 1
    return seats


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(st.integers(0, 5), st.integers(1, 40), min_size=1, max_size=6),
    st.floats(0.0, 1.0),
)
def test_quotas_are_those_of_the_largest_remainders(counts: dict[int, int], part: float) -> None:
    n = sum(counts.values())
    size = max(1, round(part * n))
    found = quotas(counts, size)
    assert found == largest_remainder(counts, size)
    assert sum(found.values()) == size
    assert all(abs(found[g] - Fraction(size * counts[g], n)) < 1 for g in counts)
    assert all(found[g] <= counts[g] for g in counts)


def test_a_stratified_subset_keeps_the_shares_and_the_first_of_each_class() -> None:
    """CoLA's shares: 70 % of one class. The whole shuffled split says which examples are first."""
    labels = [int(i % 10 < 7) for i in range(200)]
    split = split_of(labels)
    small = subset(split, 33, ("a", "b"), 4, "stratified")
    # 33 * .3 = 9.9 and 33 * .7 = 23.1: the first class has the larger remainder.
    assert Counter(small.labels) == {0: 10, 1: 23}
    order = [f"text {i}" for i in permutation(4, 0, 200, stream="subsample")]
    wanted = {
        text
        for label, quota in ((0, 10), (1, 23))
        for text in [t for t in order if labels[split.texts.index(t)] == label][:quota]
    }
    assert set(small.texts) == wanted
    assert [split.texts.index(text) for text in small.texts] == sorted(
        split.texts.index(text) for text in wanted
    )


def test_a_random_subset_is_the_beginning_of_the_shuffled_split() -> None:
    split = split_of([i % 3 for i in range(90)])
    order = [f"text {i}" for i in permutation(8, 0, 90, stream="subsample")]
    for size in (10, 40):
        assert set(subset(split, size, NAMES, 8, "random").texts) == set(order[:size])
    assert set(subset(split, 40, NAMES, 9, "random").texts) != set(order[:40])
    # A class that a random subset does not hold is no fault; a single class is.
    assert len(subset(split_of([0, 1] * 20 + [2]), 4, NAMES, 0, "random").labels) == 4


def test_numbers_are_stratified_by_bins_of_equally_many() -> None:
    values = tuple(float(v) for v in np.argsort(np.arange(64) * 37 % 64))
    split = RawSplit(tuple(f"text {i}" for i in range(64)), None, values)
    # 64 numbers have 7 bins (Sturges), of 10 or 9 numbers; 21 are 3 of each, and a few more or less.
    small = subset(split, 21, (), 3, "stratified")
    found = Counter(int(v) * 7 // 64 for v in small.labels)
    assert found == dict.fromkeys(range(7), 3)
    assert subset(split, 21, (), 3, "random") == subset(split, 21, (), 3, "balanced")


def test_a_subset_of_one_class_is_refused() -> None:
    split = split_of([0] * 50 + [1])
    with pytest.raises(SeedlabError, match=r"task.subset=stratified chooses examples of one class"):
        subset(split, 10, ("a", "b"), 0, "stratified")
    with pytest.raises(SeedlabError, match=r"alone, 'a'; choose more examples"):
        subset(split_of([0] * 500 + [1]), 2, ("a", "b"), 0, "random")
