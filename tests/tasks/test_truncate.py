"""Truncation: which tokens stay, against ids written by hand and against the tokenizers."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedlab.errors import SeedlabError
from seedlab.models.checkpoint_folder import EMBEDDED
from seedlab.spec.recipe import TruncationSpec
from seedlab.spec.run import TaskSpec
from seedlab.tasks.encoded import EncodedTask
from seedlab.tasks.load import load_task
from seedlab.tasks.tokenise import load_tokenizer, tokenise
from seedlab.tasks.truncate import kept, shares

TEXT = "the a dog cat sleeps barks on mat quick brown fox jumps over lazy it is good bad"
WORDS = TEXT.split()
# Ids of the tokenizer in conftest.py: five special tokens, then the words in order.
ID = {word: number for number, word in enumerate(WORDS, start=5)}
CLS, SEP = 2, 3
TAIL, BOTH = TruncationSpec("tail"), TruncationSpec("head_tail", 2)


def ids(folder: Path, text: str, pair: str | None, length: int, how: TruncationSpec) -> list[int]:
    pairs = None if pair is None else [pair]
    rows, _ = tokenise(load_tokenizer(folder), [text], pairs, length, how)
    return rows["input_ids"][0]


def words(text: str) -> list[int]:
    return [ID[word] for word in text.split()]


@pytest.mark.parametrize(
    ("how", "left"),
    [
        (TruncationSpec(), "the quick brown fox"),
        (TAIL, "over the lazy dog"),
        (BOTH, "the quick lazy dog"),
        (TruncationSpec("head_tail", 1), "the the lazy dog"),
        (TruncationSpec("head_tail", 3), "the quick brown dog"),
    ],
)
def test_ids_of_a_text_that_is_cut(tokenizer_folder: Path, how: TruncationSpec, left: str) -> None:
    text = "the quick brown fox jumps over the lazy dog"
    assert ids(tokenizer_folder, text, None, 6, how) == [CLS, *words(left), SEP]


@pytest.mark.parametrize(
    ("how", "first", "second"),
    [
        (TruncationSpec(), "the quick brown", "it is good"),
        (TAIL, "the lazy dog", "it is good"),
        (BOTH, "the quick dog", "it is good"),
    ],
)
def test_of_a_pair_the_longer_text_gives_way_first(
    tokenizer_folder: Path, how: TruncationSpec, first: str, second: str
) -> None:
    text = "the quick brown fox jumps over the lazy dog"
    expected = [CLS, *words(first), SEP, *words(second), SEP]
    assert ids(tokenizer_folder, text, "it is good", 9, how) == expected


@pytest.mark.parametrize("how", [TAIL, BOTH])
def test_texts_that_fit_stay_whole(tokenizer_folder: Path, how: TruncationSpec) -> None:
    expected = [CLS, *words("it is good"), SEP]
    assert ids(tokenizer_folder, "it is good", None, 5, how) == expected


def test_types_are_cut_with_their_tokens(tokenizer_folder: Path) -> None:
    tokenizer = load_tokenizer(tokenizer_folder)
    rows, cut = tokenise(tokenizer, ["the dog sleeps"], ["a cat"], 7, TAIL)
    assert rows["input_ids"] == [[CLS, *words("dog sleeps"), SEP, *words("a cat"), SEP]]
    assert rows["token_type_ids"] == [[0, 0, 0, 0, 1, 1, 1]]
    assert cut == 1


def test_a_beginning_that_leaves_no_end_is_refused(tokenizer_folder: Path) -> None:
    how = TruncationSpec("head_tail", 4)
    with pytest.raises(
        SeedlabError,
        match=r"truncation.head=4 leaves nothing of a text's end: with task.max_length=6 a text of "
        r"9 tokens is cut to 4.*below 4",
    ):
        ids(tokenizer_folder, "the quick brown fox jumps over the lazy dog", None, 6, how)
    # It does no harm where nothing is cut.
    assert len(ids(tokenizer_folder, "it is good", None, 6, how)) == 5


texts = st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=4), st.integers(5, 20), st.booleans())
def test_the_tail_is_what_the_tokenizer_keeps_when_it_cuts_on_the_left(
    tokenizer_folder: Path, drawn: list[tuple[str, str]], length: int, paired: bool
) -> None:
    tokenizer = load_tokenizer(tokenizer_folder)
    first = [a for a, _ in drawn]
    second = [b for _, b in drawn] if paired else None
    ours, cut = tokenise(tokenizer, first, second, length, TAIL)
    whole = tokenizer(first, second)["input_ids"]
    tokenizer.truncation_side = "left"
    theirs: Any = tokenizer(first, second, truncation="longest_first", max_length=length)
    assert ours["input_ids"] == theirs["input_ids"]
    assert ours["token_type_ids"] == theirs["token_type_ids"]
    assert cut == sum(len(row) > length for row in whole)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=2),
    st.integers(4, 24),
    st.sampled_from([TAIL, TruncationSpec("head_tail", 1)]),
)
def test_special_tokens_and_as_many_others_as_fit_are_kept(
    lengths: list[int], room: int, how: TruncationSpec
) -> None:
    special = [1]
    for length in lengths:
        special += [0] * length + [1]
    given = shares(lengths, max(0, room - len(lengths) - 1))
    if how is not TAIL and any(
        share < length and share <= 1 for share, length in zip(given, lengths, strict=True)
    ):
        with pytest.raises(SeedlabError, match="leaves nothing of a text's end"):
            kept(special, room, how)
        return
    places = kept(special, room, how).tolist()
    assert len(places) == min(len(special), room)
    assert places == sorted(set(places))
    assert {i for i, one in enumerate(special) if one} <= set(places)


def load(spec: TaskSpec, cache: Path | None = None, **more: Any) -> EncodedTask:
    return load_task(
        spec, tokenizer=EMBEDDED, max_positions=128, subsample_seed=0, cache_dir=cache, **more
    )


@pytest.mark.parametrize(
    ("spec", "content", "cut"),
    [
        (TaskSpec(), "e4e514cb9f8624bda4df9692c0d97bb7", 0),
        (TaskSpec(max_length=8), "3ea6c538d95e8b5423b65d3fb85709b3", 89),
        (
            TaskSpec(name="paraphrase", max_length=12, train_size=40),
            "66afabf093a99f36faa3da1d075d4084",
            40,
        ),
    ],
)
def test_content_by_default_is_what_it_was_before_there_were_other_ways(
    spec: TaskSpec, content: str, cut: int
) -> None:
    """Hashes of version 0.1.0 before truncation and other divisions: runs keep their names."""
    task = load(dataclasses.replace(spec, examples=100, dev_examples=50))
    assert task.content_hash() == content
    assert task.splits["train"].truncated == cut


def test_other_parts_of_texts_are_other_data_and_cut_texts_are_counted(tmp_path: Path) -> None:
    spec = TaskSpec(examples=100, dev_examples=50, max_length=8)
    ways = [TruncationSpec(), TAIL, BOTH, TruncationSpec("head_tail", 3)]
    tasks = [load(spec, tmp_path, truncation=way) for way in ways]
    assert len({task.content_hash() for task in tasks}) == 4
    assert {task.splits["train"].truncated for task in tasks} == {89}
    assert {task.splits["train"].lengths.max() for task in tasks} == {8}
    assert len(list((tmp_path / "tasks").iterdir())) == 4
    again = load(spec, tmp_path, truncation=TAIL)
    assert again.content_hash() == tasks[1].content_hash()
    whole = [load(dataclasses.replace(spec, max_length=64), truncation=way) for way in ways]
    assert len({task.content_hash() for task in whole}) == 1
