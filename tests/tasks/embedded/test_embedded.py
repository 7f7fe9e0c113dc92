"""The embedded tasks: sides, prefixes, noise, balance, and pairs that are what they say."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from seedlab.errors import SeedlabError
from seedlab.spec.run import TaskSpec
from seedlab.tasks.embedded import task as embedded
from seedlab.tasks.embedded.grammar import Clause, Phrase, sentence
from seedlab.tasks.embedded.lexicon import NOUNS, VERBS
from seedlab.tasks.embedded.random_choices import RandomChoices
from seedlab.tasks.embedded.sentence_pairs import changed, likeness, meaning, pair_clause, restyled
from seedlab.tasks.embedded.task import make, side, unlabelled
from seedlab.tasks.metrics import METRICS
from seedlab.tasks.readers.raw import RawSplit
from seedlab.tasks.registry import find_source

TASKS = ("acceptability", "paraphrase", "similarity")
SMALL = {"examples": 120, "dev_examples": 60, "noise": 0.0}


def sentences(split: RawSplit) -> set[str]:
    return {*split.texts, *(split.pairs or ())}


@pytest.mark.parametrize("name", TASKS)
def test_no_validation_sentence_is_in_training_or_pretraining(name: str) -> None:
    made = [make(TaskSpec(name=name, data_seed=seed, **SMALL)) for seed in (0, 1)]  # type: ignore[arg-type]
    dev = set().union(*(sentences(task.splits["dev"]) for task in made))
    train = set().union(*(sentences(task.splits["train"]) for task in made))
    text = unlabelled(0)
    for _ in range(200):
        first, second = next(text)
        train |= {first} | ({second} if second else set())
    assert not dev & train
    assert {side(s) for s in dev} == {"dev"}
    assert {side(s) for s in train} == {"train"}


@pytest.mark.parametrize("name", TASKS)
def test_the_first_examples_are_the_same_at_any_size(name: str) -> None:
    spec = TaskSpec(name=name, examples=60, dev_examples=30, noise=0.3)
    small, large = make(spec), make(dataclasses.replace(spec, examples=90, dev_examples=31))
    for split, n in (("train", 60), ("dev", 30)):
        assert large.splits[split].texts[:n] == small.splits[split].texts
        assert large.splits[split].labels[:n] == small.splits[split].labels


@pytest.mark.parametrize("name", TASKS)
def test_noise_replaces_training_labels_and_nothing_else(name: str) -> None:
    """Of 120 labels at rate .5, 60 expected, 5 standard deviations are 27 (chance 6e-7)."""
    spec = TaskSpec(name=name, **SMALL)  # type: ignore[arg-type]
    clean, noisy = make(spec), make(dataclasses.replace(spec, noise=0.5))
    assert clean.splits["dev"] == noisy.splits["dev"]
    assert clean.splits["train"].texts == noisy.splits["train"].texts
    before, after = (np.array(task.splits["train"].labels) for task in (clean, noisy))
    assert 33 < np.count_nonzero(before != after) < 87
    if name == "similarity":
        assert after.min() >= 0.0
        assert after.max() <= 5.0


@pytest.mark.parametrize("name", ["acceptability", "paraphrase"])
def test_classes_are_nearly_but_not_quite_balanced(name: str) -> None:
    """A share of .55 of 1,000 is between .49 and .61 but for 3.8 standard deviations (1e-4);
    the seed is fixed.
    """
    task = make(TaskSpec(name=name, examples=1000, dev_examples=10, noise=0.0))
    assert 0.49 < np.mean(task.splits["train"].labels) < 0.6


def test_similarity_covers_its_range() -> None:
    task = make(TaskSpec(name="similarity", examples=500, dev_examples=10, noise=0.0))
    counts, _ = np.histogram(task.splits["train"].labels, bins=5, range=(0, 5))
    assert counts.min() > 25


def test_examples_are_all_different() -> None:
    for name in TASKS:
        split = make(TaskSpec(name=name, **SMALL)).splits["train"]  # type: ignore[arg-type]
        pairs = split.pairs or ("",) * len(split.texts)
        assert len(set(zip(split.texts, pairs, strict=True))) == 120


def test_every_task_has_metrics_that_suit_it() -> None:
    for name in TASKS:
        task = make(TaskSpec(name=name, examples=2, dev_examples=2))
        assert all(METRICS[metric].suits(task.n_labels) for metric in task.metrics)


def test_a_paraphrase_keeps_the_meaning_and_a_change_does_not() -> None:
    choices = RandomChoices("pairs")
    for _ in range(1000):
        clause = pair_clause(choices)
        other = restyled(clause, choices)
        assert meaning(other) == meaning(clause)
        assert likeness(clause, other) == 5.0
        third = changed(clause, choices)
        assert meaning(third) != meaning(clause)
        assert 0.0 <= likeness(clause, third) < 5.0


def test_likeness_by_hand() -> None:
    noun = {word.singular: word for word in NOUNS}
    verb = {word.base: word for word in VERBS}
    dog, cat = (Phrase("the", noun[name], False) for name in ("dog", "cat"))
    first = Clause(dog, verb["chase"], "present", object=cat)
    swapped = Clause(cat, verb["chase"], "present", object=dog)
    assert sentence(swapped) == "the cat chases the dog ."
    # Verb 3, agent 3, patient 3, polarity 1.5; tense, 2 determiners and 2 numbers 0.5 each.
    assert likeness(first, swapped) == pytest.approx(5 * (13 - 3) / 13)
    negated = Clause(dog, verb["chase"], "past", True, object=cat)
    assert likeness(first, negated) == pytest.approx(5 * (13 - 1.5 - 0.5) / 13)


def test_the_identity_follows_what_decides_the_examples() -> None:
    spec = TaskSpec()
    same = find_source(dataclasses.replace(spec, max_length=9, train_size=3, metric="f1"))
    assert same.identity == find_source(spec).identity
    for change in ({"examples": 1}, {"dev_examples": 1}, {"noise": 0.1}, {"data_seed": 1}):
        other = dataclasses.replace(spec, **change)
        assert find_source(other).identity != find_source(spec).identity


def test_refusal_of_an_unknown_name() -> None:
    with pytest.raises(SeedlabError, match=r"task.name=similar is not.*Did you mean 'similarity'"):
        find_source(TaskSpec(name="similar"))


def test_refusal_of_more_examples_than_the_grammar_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    few = {
        "acceptability": (lambda choices: (f"dog {choices.below(8)}", None, 1.0), ("a", "b"), ())
    }
    monkeypatch.setattr(embedded, "TASKS", few)
    with pytest.raises(SeedlabError, match=r"made \d different examples for 'train' and 20 were"):
        make(TaskSpec(examples=20))


def test_golden_examples() -> None:
    """What seed 0 makes stays what it is: studies refer to it by name."""
    task = make(TaskSpec(examples=2, dev_examples=2))
    assert task.splits["train"].texts == (
        "poems these do not corrode .",
        "drivers several in the bike have misplaced every letter beside my beach .",
    )
    assert task.splits["dev"].texts == (
        "those bunnies that the robbers accuse will never assault the lion beside the lake near "
        "the famous gardens tomorrow .",
        "our ladder frightened several soldiers yesterday .",
    )
