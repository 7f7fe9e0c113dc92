"""The grammar: hand-made sentences, and what every fault breaks."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from seedlab.tasks.embedded.grammar import Clause, Phrase, Relative, join, sentence
from seedlab.tasks.embedded.lexicon import ADJECTIVES, NOUNS, VERBS, Noun, Verb, vocabulary
from seedlab.tasks.embedded.random_choices import RandomChoices
from seedlab.tasks.embedded.random_clauses import any_clause
from seedlab.tasks.embedded.violations import VIOLATIONS, with_violation

NOUN = {noun.singular: noun for noun in NOUNS}
VERB = {verb.base: verb for verb in VERBS}
BIG = next(word for word in ADJECTIVES if word.word == "big")


def the(noun: str, plural: bool = False, determiner: str = "the") -> Phrase:
    return Phrase(determiner, NOUN[noun], plural)


DOG, DOGS, CAT = the("dog"), the("dog", plural=True), the("cat")
CHASE = Clause(DOG, VERB["chase"], "present", object=CAT)


@pytest.mark.parametrize(
    ("clause", "text"),
    [
        (CHASE, "the dog chases the cat ."),
        (replace(CHASE, subject=DOGS), "the dogs chase the cat ."),
        (replace(CHASE, negated=True), "the dog does not chase the cat ."),
        (replace(CHASE, tense="past"), "the dog chased the cat ."),
        (replace(CHASE, tense="past", negated=True), "the dog did not chase the cat ."),
        (replace(CHASE, tense="future", negated=True), "the dog will not chase the cat ."),
        (replace(CHASE, tense="perfect", subject=DOGS), "the dogs have chased the cat ."),
        (replace(CHASE, passive=True), "the cat is chased by the dog ."),
        (
            replace(CHASE, passive=True, tense="past", object=the("cat", plural=True)),
            "the cats were chased by the dog .",
        ),
        (
            replace(CHASE, passive=True, tense="perfect", negated=True),
            "the cat has not been chased by the dog .",
        ),
        (replace(CHASE, passive=True, tense="future"), "the cat will be chased by the dog ."),
        (replace(CHASE, subject=replace(DOG, also=CAT)), "the dog and the cat chase the cat ."),
        (
            replace(CHASE, subject=replace(DOGS, preposition="near", place=the("lake"))),
            "the dogs near the lake chase the cat .",
        ),
        (
            replace(CHASE, subject=Phrase("one", NOUN["dog"], True, partitive=True)),
            "one of the dogs chases the cat .",
        ),
        (
            replace(CHASE, subject=Phrase("most", NOUN["dog"], True, partitive=True)),
            "most of the dogs chase the cat .",
        ),
        (
            replace(
                CHASE,
                subject=replace(
                    DOGS, relative=Relative("object", VERB["watch"], the("farmer"), "present")
                ),
            ),
            "the dogs that the farmer watches chase the cat .",
        ),
        (
            replace(
                CHASE,
                subject=replace(DOG, relative=Relative("subject", VERB["watch"], DOGS, "perfect")),
            ),
            "the dog that has watched the dogs chases the cat .",
        ),
        (
            Clause(
                the("apple", determiner="a"), VERB["rot"], "past", time="yesterday", front="time"
            ),
            "yesterday an apple rotted .",
        ),
        (
            Clause(the("nurse", determiner="no"), VERB["sleep"], "present", adverb="ever"),
            "no nurse ever sleeps .",
        ),
        (
            Clause(the("king"), VERB["say"], "past", complement=replace(CHASE, object=None)),
            "the king said that the dog chases .",
        ),
        (replace(CHASE, object=None, reflexive="itself"), "the dog chases itself ."),
    ],
)
def test_sentences_by_hand(clause: Clause, text: str) -> None:
    assert sentence(clause) == text


BARE = Clause(the("nurse"), VERB["praise"], "present", object=CAT)


@pytest.mark.parametrize(
    ("fault", "clause", "pattern"),
    [
        ("agreement", CHASE, "the dog chase the cat ."),
        ("agreement", replace(CHASE, subject=DOGS, negated=True), "the dogs does not chase .*"),
        ("determiner", replace(CHASE, subject=the("dog", determiner="this")), ".* dog chases .*"),
        ("bare noun", BARE, "nurse praises the cat ."),
        ("verb form", replace(CHASE, tense="perfect"), "the dog has chases? the cat ."),
        (
            "reflexive",
            replace(CHASE, object=None, reflexive="itself"),
            "the dog chases (himself|herself|themselves) .",
        ),
        ("object", CHASE, "the dog chases ."),
        ("object", Clause(DOG, VERB["sleep"], "past"), "the dog slept .+ ."),
        ("ever", CHASE, "the dog ever chases the cat ."),
        (
            "time",
            replace(CHASE, tense="past", time="yesterday"),
            "the dog chased the cat tomorrow .",
        ),
        (
            "relative agreement",
            replace(
                CHASE,
                subject=replace(DOG, relative=Relative("subject", VERB["watch"], CAT, "present")),
            ),
            "the dog that watch the cat chases the cat .",
        ),
        (
            "gap",
            replace(
                CHASE,
                subject=replace(DOG, relative=Relative("object", VERB["find"], CAT, "past")),
            ),
            "the dog that the cat found the .+ chases the cat .",
        ),
    ],
)
def test_faults_by_hand(fault: str, clause: Clause, pattern: str) -> None:
    made = VIOLATIONS[fault](clause, RandomChoices("test"))
    assert made is not None
    assert re.fullmatch(pattern, sentence(made))


def test_a_selection_fault_takes_a_kind_that_the_verb_does_not() -> None:
    choices = RandomChoices("selection")
    for _ in range(200):
        made = VIOLATIONS["selection"](CHASE, choices)
        assert made is not None
        assert made.object is not None
        wrong = [
            made.subject.noun.kind not in CHASE.verb.subjects,
            made.object.noun.kind not in CHASE.verb.objects,
        ]
        assert sum(wrong) == 1


@pytest.mark.parametrize(
    ("fault", "clause"),
    [
        ("agreement", replace(CHASE, tense="past")),
        ("agreement", replace(CHASE, tense="future")),
        ("determiner", CHASE),
        ("bare noun", replace(CHASE, subject=DOGS, object=None)),
        ("verb form", CHASE),
        ("reflexive", CHASE),
        ("ever", replace(CHASE, negated=True)),
        ("ever", replace(CHASE, subject=the("dog", determiner="no"))),
        ("time", CHASE),
        ("gap", CHASE),
        ("object", replace(CHASE, verb=VERB["bite"])),
    ],
)
def test_no_fault_where_the_sentence_would_stay_right(fault: str, clause: Clause) -> None:
    assert VIOLATIONS[fault](clause, RandomChoices("test")) is None


def test_a_negation_around_it_licenses_ever() -> None:
    choices = RandomChoices("licensed")
    outer = Clause(the("king"), VERB["say"], "past", negated=True, complement=CHASE)
    for _ in range(300):
        name, words = with_violation(outer, choices)
        assert name != "ever", join(words)


def test_every_fault_is_found_and_changes_the_sentence() -> None:
    choices = RandomChoices("faults")
    names = set()
    for _ in range(3000):
        clause = any_clause(choices)
        name, words = with_violation(clause, choices)
        names.add(name)
        assert join(words) != sentence(clause)
    assert names == {*VIOLATIONS, "order"}


def test_every_word_of_a_sentence_is_in_the_vocabulary() -> None:
    choices, known = RandomChoices("words"), set(vocabulary())
    for _ in range(2000):
        clause = any_clause(choices)
        assert set(sentence(clause).split()) <= known
        assert set(join(with_violation(clause, choices)[1]).split()) <= known


def _forms(word: Noun | Verb) -> set[str]:
    if isinstance(word, Noun):
        return {word.singular, word.plural}
    return {word.base, word.third, word.past, word.participle}


def test_no_form_is_shared_between_words() -> None:
    words: list[Noun | Verb] = [*NOUNS, *VERBS]
    forms = [form for word in words for form in _forms(word)]
    assert len(forms) == len(set(forms))
    assert all(len({n.singular, n.plural}) == 2 for n in NOUNS)
    assert all(v.base not in (v.third, v.past, v.participle) for v in VERBS)


def test_draws_are_uniform_and_do_not_change() -> None:
    """The first 60,000 draws below 6: chi-square with 5 degrees of freedom stays under
    its 1 - 1e-6 quantile, 37.2; the draws are fixed, so it can't fail by chance.
    """
    choices = RandomChoices("die")
    counts = [0] * 6
    for _ in range(60_000):
        counts[choices.below(6)] += 1
    assert sum((count - 10_000) ** 2 / 10_000 for count in counts) < 37.2
    golden = RandomChoices("golden")
    assert [golden.below(1000) for _ in range(5)] == [667, 929, 762, 389, 803]
    assert sorted(golden.shuffled(range(9))) == list(range(9))
