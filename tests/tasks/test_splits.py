"""Halves, validation out of the training set, and folds."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedKFold

from seedlab.errors import SeedlabError
from seedlab.spec.run import TaskSpec
from seedlab.tasks.load import load_task
from seedlab.tasks.readers.raw import RawSplit, RawTask
from seedlab.tasks.registry import find_source
from seedlab.tasks.splits import bins, resplit, stratified_folds

NAMES = ("a", "b", "c")
HALVED = TaskSpec(name="t", dev_split="halved")


def split_of(labels: list[int] | list[float], tag: str) -> RawSplit:
    return RawSplit(tuple(f"{tag}{i}" for i in range(len(labels))), None, tuple(labels))


def task(
    train: list[int] | list[float], dev: list[int] | list[float] = (), **more: RawSplit
) -> RawTask:
    splits = {"train": split_of(train, "train"), "dev": split_of(dev or [0, 1, 2] * 4, "dev")}
    names = NAMES if isinstance(train[0], int) else ()
    return RawTask({**splits, **more}, names, ("accuracy",))


def texts(raw: RawTask, split: str) -> list[str]:
    return list(raw.splits[split].texts)


def numbers(raw: RawTask, split: str) -> list[int]:
    return [int(text.lstrip("traindev")) for text in texts(raw, split)]


labels_with_enough = st.integers(2, 6).flatmap(
    lambda k: st.tuples(
        st.just(k), st.lists(st.integers(0, 2), max_size=40).map(lambda x: [0, 1, 2] * k + x)
    )
)


@settings(max_examples=60, deadline=None)
@given(labels_with_enough, st.integers(0, 99))
def test_folds_part_the_examples_and_keep_the_classes_even(
    drawn: tuple[int, list[int]], seed: int
) -> None:
    k, labels = drawn
    fold = stratified_folds(labels, k, seed, regression=False)
    assert set(fold.tolist()) == set(range(k))
    sizes = np.bincount(fold, minlength=k)
    assert np.ptp(sizes) <= 1
    for label in range(3):
        assert np.ptp(np.bincount(fold[np.array(labels) == label], minlength=k)) <= 1


@settings(max_examples=60, deadline=None)
@given(labels_with_enough, st.integers(0, 99))
def test_class_counts_per_fold_are_those_of_scikit_learn(
    drawn: tuple[int, list[int]], seed: int
) -> None:
    """It numbers classes by first appearance, hence the sorted labels."""
    k, labels = drawn
    labels = sorted(labels)
    ours = stratified_folds(labels, k, seed, regression=False)
    splitter = StratifiedKFold(k, shuffle=True, random_state=0)
    for number, (_, theirs) in enumerate(splitter.split(np.zeros(len(labels)), labels)):
        held_out = np.array(labels)[ours == number]
        assert Counter(held_out.tolist()) == Counter(np.array(labels)[theirs].tolist())


def test_regression_is_stratified_by_as_many_bins_as_sturges_says() -> None:
    """12 for the 2,833 texts of CommonLit (Chang); bins of equally many, 5 folds."""
    assert bins(2833) == 12
    assert [bins(n) for n in (1, 2, 3, 4, 1023, 1024)] == [
        1 + math.floor(math.log2(n)) for n in (1, 2, 3, 4, 1023, 1024)
    ]
    targets = np.random.Generator(np.random.Philox(3)).normal(size=2833)
    fold = stratified_folds(targets, 5, 1, regression=True)
    group = np.argsort(np.argsort(targets)) * 12 // 2833
    for number in range(12):
        counts = np.bincount(fold[group == number], minlength=5)
        assert np.ptp(counts) <= 1
        assert counts.min() >= 46  # 236 or 237 examples in a bin


def test_equal_targets_are_dealt_out_as_well() -> None:
    fold = stratified_folds([1.0] * 10, 5, 0, regression=True)
    assert np.bincount(fold).tolist() == [2] * 5


def test_every_example_is_as_likely_in_a_fold_as_another() -> None:
    """20 examples, 2 folds, 2,000 seeds: counts in fold 0 are binomial(2000, .5), and one of
    20 deviates by more than 5 standard deviations (112) with chance 1e-5; seeds are fixed.
    """
    counts = sum(
        (stratified_folds([0, 1] * 10, 2, seed, regression=False) == 0).astype(int)
        for seed in range(2000)
    )
    assert np.abs(counts - 1000).max() < 112


def test_halves_are_disjoint_and_make_up_the_validation_set() -> None:
    raw = task([0, 1, 2], [0] * 21 + [1] * 10 + [2] * 4)
    halved = resplit(raw, HALVED)
    dev, test = set(texts(halved, "dev")), set(texts(halved, "test"))
    assert not dev & test
    assert dev | test == set(texts(raw, "dev"))
    assert Counter(halved.splits["dev"].labels) in ({0: 11, 1: 5, 2: 2}, {0: 10, 1: 5, 2: 2})
    assert abs(len(dev) - len(test)) == 1
    assert numbers(halved, "dev") == sorted(numbers(halved, "dev"))
    assert halved.splits["train"] is raw.splits["train"]
    again = resplit(raw, dataclasses.replace(HALVED, split_seed=2))
    assert set(texts(again, "dev")) != dev
    for split in ("dev", "test"):
        where = numbers(halved, split)
        assert halved.splits[split].labels == raw.splits["dev"].take(where).labels


def test_validation_from_the_end_of_the_shuffled_training_set() -> None:
    raw = task([0, 1, 2] * 20)
    spec = TaskSpec(name="t", dev_split="from_train", dev_size=14)
    made = resplit(raw, spec)
    train, dev = set(texts(made, "train")), set(texts(made, "dev"))
    assert (len(train), len(dev)) == (46, 14)
    assert train | dev == set(texts(raw, "train"))
    assert made.splits["test"] is raw.splits["dev"]
    smaller = resplit(raw, dataclasses.replace(spec, dev_size=5))
    # The last 5 of one order are among its last 14.
    assert set(texts(smaller, "dev")) < dev
    assert numbers(made, "dev") != list(range(46, 60))


def test_every_training_example_validates_in_one_fold() -> None:
    raw = task([0, 1, 2] * 11)
    parts = []
    for fold in range(5):
        made = resplit(raw, TaskSpec(name="t", folds=5, fold=fold))
        assert set(texts(made, "train")) == set(texts(raw, "train")) - set(texts(made, "dev"))
        assert made.splits["test"] is raw.splits["dev"]
        parts += texts(made, "dev")
    assert sorted(parts) == sorted(texts(raw, "train"))


def test_other_validation_sets_stay() -> None:
    other = split_of([0, 1], "other")
    raw = task([0, 1, 2] * 5, dev_mismatched=other)
    for spec in (HALVED, TaskSpec(name="t", folds=2)):
        assert resplit(raw, spec).splits["dev_mismatched"] is other


def test_by_default_nothing_is_touched() -> None:
    raw = task([0, 1, 2])
    assert resplit(raw, TaskSpec(split_seed=3)) is raw


@pytest.mark.parametrize(
    ("raw", "spec", "message"),
    [
        (
            task([0, 1, 2], test=split_of([0], "own")),
            HALVED,
            r"task 't' has a test set of its own; leave out task.test_file, or use .*=given",
        ),
        (
            task([0, 1, 2] * 5, test=split_of([0], "own")),
            TaskSpec(name="t", folds=5),
            r"task.folds=5 .*leave out one of task.dev_file and task.test_file",
        ),
        (
            task([0, 1, 2], test=split_of([0], "own")),
            TaskSpec(name="t", dev_split="from_train", dev_size=1),
            r"task.dev_split=from_train validates on training examples.*leave out one of",
        ),
        (
            task([0, 1, 2] * 5),
            TaskSpec(name="t", dev_split="from_train", dev_size=15),
            r"task.dev_size=15 leaves nothing to train on: task 't' has 15 .*below 15",
        ),
        (
            task([0, 1, 2] * 5 + [0]),
            TaskSpec(name="t", folds=6),
            r"task.folds=6 .*the training set of task 't' has 5 of class 'b'; use fewer parts",
        ),
        (
            task([0, 1, 2], [0, 0, 1]),
            HALVED,
            r"=halved can't .*the validation set of task 't' has 1 of class 'b'",
        ),
        (
            task([0.5, 1.0, 2.0]),
            TaskSpec(name="t", folds=4),
            r"task.folds=4 needs at least 4 training examples, and task 't' has 3",
        ),
    ],
)
def test_refusals(raw: RawTask, spec: TaskSpec, message: str) -> None:
    with pytest.raises(SeedlabError, match=message):
        resplit(raw, spec)


def test_a_table_that_is_cross_validated_needs_no_validation_file(
    tokenizer_folder: Path, tmp_path: Path
) -> None:
    rows = [f"the dog {i},{i % 2}" for i in range(20)]
    (tmp_path / "d.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
    (tmp_path / "test.csv").write_text("text,label\na cat,1\n")
    own = TaskSpec(
        name="own",
        reader="table",
        path=str(tmp_path),
        train_file="d.csv",
        test_file="test.csv",
        text="text",
        label="label",
    )
    with pytest.raises(SeedlabError, match=r"task.dev_file is not set"):
        find_source(own)
    for spec in (
        dataclasses.replace(own, folds=4),
        dataclasses.replace(own, dev_split="from_train", dev_size=5),
    ):
        made = load_task(
            spec, tokenizer=tokenizer_folder, max_positions=None, subsample_seed=0, cache_dir=None
        )
        sizes = {name: len(split) for name, split in made.splits.items()}
        assert sizes == {"train": 15, "dev": 5, "test": 1}


def test_the_division_is_part_of_the_content_and_of_the_cache(
    tokenizer_folder: Path, tmp_path: Path
) -> None:
    """Other folds, halves and seeds are other data; a subset is drawn from what is left."""
    base = TaskSpec(examples=60, dev_examples=40)
    specs = [
        base,
        dataclasses.replace(base, dev_split="halved"),
        dataclasses.replace(base, dev_split="halved", split_seed=2),
        dataclasses.replace(base, dev_split="from_train", dev_size=20),
        dataclasses.replace(base, folds=3),
        dataclasses.replace(base, folds=3, fold=1),
        dataclasses.replace(base, folds=3, train_size=20),
    ]

    def hashes() -> list[str]:
        return [
            load_task(
                spec,
                tokenizer=tokenizer_folder,
                max_positions=None,
                subsample_seed=0,
                cache_dir=tmp_path,
            ).content_hash()
            for spec in specs
        ]

    made = hashes()
    assert len(set(made)) == len(specs)
    assert hashes() == made
    assert len(list((tmp_path / "tasks").iterdir())) == len(specs)


def test_a_subset_holds_no_validation_example(tokenizer_folder: Path) -> None:
    spec = TaskSpec(examples=60, dev_examples=10, dev_split="from_train", dev_size=20)
    settings = {"max_positions": None, "subsample_seed": 1, "cache_dir": None}
    whole = resplit(find_source(spec).read(), spec)
    small = load_task(
        dataclasses.replace(spec, train_size=20),
        tokenizer=tokenizer_folder,
        **settings,  # type: ignore[arg-type]
    )
    assert len(small.splits["train"]) == 20
    assert len(whole.splits["train"].texts) == 40
    assert not set(whole.splits["train"].texts) & set(whole.splits["dev"].texts)
    assert len(small.splits["dev"]) == 20
    assert len(small.splits["test"]) == 10


@pytest.mark.data
def test_halves_of_rte_have_its_share_of_entailment(data_folder: Path) -> None:
    spec = TaskSpec(name="rte", reader="glue", path=str(data_folder / "data"), dev_split="halved")
    halved = resplit(find_source(spec).read(), spec)
    dev, test = (Counter(halved.splits[name].labels) for name in ("dev", "test"))
    # 146 and 131 of 277 (Mosbach et al. 2021: majority 52.7 %).
    assert dev + test == {0: 146, 1: 131}
    assert (dev[0], test[0]) == (73, 73)
    assert {dev[1], test[1]} == {65, 66}
