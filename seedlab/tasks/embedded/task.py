"""The embedded tasks: made by the project itself, of any size, without a download.

acceptability
    One sentence, right (1) or with one violation (0): agreement across distractors,
    determiners, reflexives, verb forms, word order, selection, transitivity, relative
    clauses, "ever", tense and time (`faults.py`).
paraphrase
    Two sentences, of the same meaning (1) or differing in one part of it (0); in both
    cases the wording differs (synonyms, voice, order), see `pairs.py`.
similarity
    Two sentences and the share of meaning they have in common, 0 to 5.

Every sentence belongs to one side, ``train`` or ``dev``, by a hash of its text, so no
sentence of the validation split is ever in a training split, of whatever size, seed or
task, nor in the text the encoder was pre-trained on. The first n examples are the same
at any size, and each split holds an example once. Noise is drawn apart from the
examples: it replaces labels of the training split only (the score is taken against the
truth) by the other class or by a number drawn from 0 to 5.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from seedlab.errors import SeedlabError
from seedlab.spec.run import TaskSpec
from seedlab.tasks.embedded.grammar import join, sentence
from seedlab.tasks.embedded.random_choices import RandomChoices
from seedlab.tasks.embedded.random_clauses import any_clause
from seedlab.tasks.embedded.sentence_pairs import changed, likeness, pair_clause, restyled
from seedlab.tasks.embedded.violations import faulty
from seedlab.tasks.readers.raw import RawSplit, RawTask

Example = tuple[str, str | None, float]

_PATIENCE = 2000
"""examples drawn in a row without a new one before the grammar counts as used up"""


def _acceptability(choices: RandomChoices) -> Example:
    clause = any_clause(choices)
    if choices.chance(0.55):
        return sentence(clause), None, 1
    return join(faulty(clause, choices)[1]), None, 0


def _paraphrase(choices: RandomChoices) -> Example:
    clause = pair_clause(choices)
    same = choices.chance(0.55)
    other = restyled(clause if same else changed(clause, choices), choices)
    return sentence(clause), sentence(other), int(same)


def _similarity(choices: RandomChoices) -> Example:
    clause = pair_clause(choices)
    other = pair_clause(choices) if choices.chance(0.15) else clause
    for _ in range(choices.below(6)):
        other = changed(other, choices)
    other = restyled(other, choices)
    return sentence(clause), sentence(other), round(likeness(clause, other), 2)


TASKS: dict[str, tuple[Callable[[RandomChoices], Example], tuple[str, ...], tuple[str, ...]]] = {
    "acceptability": (
        _acceptability,
        ("unacceptable", "acceptable"),
        ("accuracy", "matthews"),
    ),
    "paraphrase": (_paraphrase, ("different", "paraphrase"), ("accuracy", "f1")),
    "similarity": (_similarity, (), ("pearson_spearman_mean", "pearson", "spearman")),
}


def make(spec: TaskSpec) -> RawTask:
    """Return an embedded task; equal specifications give equal tasks on every machine."""
    _, label_names, metrics = TASKS[spec.name]
    splits = {
        split: _split(spec, split, n)
        for split, n in (("train", spec.examples), ("dev", spec.dev_examples))
    }
    return RawTask(splits, label_names, metrics)


def _split(spec: TaskSpec, split: str, n: int) -> RawSplit:
    make_one, label_names, _ = TASKS[spec.name]
    name = f"{spec.name}/{split}/{spec.data_seed}"
    found = examples(make_one, RandomChoices(name), split)
    chosen = [example for example, _ in zip(found, range(n), strict=False)]
    if len(chosen) < n:
        raise SeedlabError(
            f"the grammar of task '{spec.name}' made {len(chosen)} different examples for "
            f"'{split}' and {n} were asked for; ask for fewer with task.examples or "
            "task.dev_examples."
        )
    labels = [label for _, _, label in chosen]
    if split == "train":
        noise = RandomChoices(f"{name}/noise")
        for i, label in enumerate(labels):
            # Both are drawn for every example, so that noise elsewhere changes nothing here.
            hit, value = noise.chance(spec.noise), noise.uniform()
            if hit:
                labels[i] = 1 - label if label_names else round(5 * value, 2)
    pairs = tuple(pair for _, pair, _ in chosen if pair is not None)
    return RawSplit(
        tuple(text for text, _, _ in chosen),
        pairs or None,
        tuple(int(v) for v in labels) if label_names else tuple(float(v) for v in labels),
    )


def examples(
    make_one: Callable[[RandomChoices], Example], choices: RandomChoices, split: str
) -> Iterator[Example]:
    """Yield the different examples of a split until the grammar seems used up."""
    seen: set[tuple[str, str | None]] = set()
    misses = 0
    while misses < _PATIENCE:
        text, pair, label = make_one(choices)
        misses += 1
        if (text, pair) in seen or text == pair:
            continue
        if side(text) != split or (pair is not None and side(pair) != split):
            continue
        seen.add((text, pair))
        misses = 0
        yield text, pair, label


def unlabelled(seed: int) -> Iterator[tuple[str, str | None]]:
    """Yield the text for pre-training: right sentences and pairs of them, in equal parts.

    All of it is of the ``train`` side, and no label is told: a pair's sentences may mean
    the same or not, and no sentence is faulty.
    """
    choices = RandomChoices(f"unlabelled/{seed}")
    while True:
        pair = None
        if choices.chance(0.5):
            text = sentence(any_clause(choices))
        else:
            text, pair, _ = _paraphrase(choices)
        if side(text) == "train" and (pair is None or side(pair) == "train"):
            yield text, pair


def side(text: str) -> str:
    """Return the split, ``train`` or ``dev``, that a sentence belongs to."""
    return ("train", "dev")[hashlib.sha256(text.encode()).digest()[0] & 1]


def generator_hash() -> str:
    """Return a hash of the generator's own source: a changed one is another source."""
    digest = hashlib.sha256()
    for name in (
        "random_choices",
        "lexicon",
        "grammar",
        "random_clauses",
        "violations",
        "sentence_pairs",
        "task",
    ):
        digest.update((Path(__file__).parent / f"{name}.py").read_bytes())
    return digest.hexdigest()[:16]
