"""Class-balanced subsets."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedlab.errors import SeedlabError
from seedlab.tasks.readers.raw import RawSplit
from seedlab.tasks.subset import subset

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
