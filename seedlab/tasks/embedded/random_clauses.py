"""Random clauses."""

from __future__ import annotations

from dataclasses import replace

from seedlab.tasks.embedded.grammar import TENSES, TIMES, Clause, Phrase, Relative, Tense
from seedlab.tasks.embedded.lexicon import (
    ADJECTIVES_OF,
    ADVERBS,
    CLAUSAL,
    EITHER,
    INTRANSITIVE,
    NOUNS_OF,
    PARTITIVE,
    PLURAL,
    PREPOSITIONS,
    REFLEXIVES,
    SINGULAR,
    TRANSITIVE,
    Verb,
)
from seedlab.tasks.embedded.random_choices import RandomChoices

DEFINITE = {False: ("the", "the", "my", "this", "that"), True: ("the", "the", "our", "these")}
"""Determiners that keep their meaning under negation and in the passive, by number."""


def simple_phrase(choices: RandomChoices, kinds: str, *, adjective: float = 0.25) -> Phrase:
    """Return a noun phrase of one of the kinds without modifiers behind the noun."""
    kind = choices.pick(kinds)
    plural = choices.chance(0.5)
    determiner = choices.pick(EITHER)
    if choices.chance(0.45):
        determiner = choices.pick(PLURAL if plural else SINGULAR)
    return Phrase(
        determiner,
        choices.pick(NOUNS_OF[kind]),
        plural,
        choices.pick(ADJECTIVES_OF[kind]) if choices.chance(adjective) else None,
    )


def definite_phrase(choices: RandomChoices, kinds: str, *, adjective: float = 0.3) -> Phrase:
    """Return a simple noun phrase with a definite determiner."""
    phrase = simple_phrase(choices, kinds, adjective=adjective)
    return replace(phrase, determiner=choices.pick(DEFINITE[phrase.plural]))


def rich_phrase(choices: RandomChoices, kinds: str) -> Phrase:
    """Return a noun phrase, perhaps with distractors behind its noun, or two joined by "and"."""
    phrase = simple_phrase(choices, kinds)
    if choices.chance(0.12):
        determiner = choices.pick(tuple(PARTITIVE))
        phrase = replace(phrase, determiner=determiner, partitive=True, plural=True)
    shape = choices.uniform()
    if shape < 0.22:
        place = simple_phrase(choices, "L" if choices.chance(0.6) else "T", adjective=0.15)
        return replace(phrase, preposition=choices.pick(PREPOSITIONS), place=_not_no(place))
    if shape < 0.44 and phrase.noun.kind in "PAFT":
        return replace(phrase, relative=_relative(choices, phrase))
    if shape < 0.52 and phrase.determiner != "no":
        return replace(phrase, also=_not_no(simple_phrase(choices, phrase.noun.kind)))
    return phrase


def _not_no(phrase: Phrase) -> Phrase:
    """Return the phrase with "the" in the place of "no"."""
    return replace(phrase, determiner="the") if phrase.determiner == "no" else phrase


def _relative(choices: RandomChoices, head: Phrase) -> Relative:
    kind = head.noun.kind
    tense: Tense = choices.pick(("present", "present", "past", "perfect"))
    active = [verb for verb in TRANSITIVE if kind in verb.subjects]
    if active and choices.chance(0.5):
        verb = choices.pick(active)
        return Relative("subject", verb, _not_no(simple_phrase(choices, verb.objects)), tense)
    verb = choices.pick([verb for verb in TRANSITIVE if kind in verb.objects])
    return Relative("object", verb, _not_no(simple_phrase(choices, verb.subjects)), tense)


def any_clause(choices: RandomChoices, *, depth: int = 0) -> Clause:
    """Return a grammatical clause of any shape."""
    shape = choices.uniform()
    if shape < 0.12 and depth == 0:
        verb = choices.pick(CLAUSAL)
        complement = any_clause(choices, depth=1)
        tense: Tense = choices.pick(("present", "past", "perfect"))
        subject = simple_phrase(choices, verb.subjects)
        negated = subject.determiner != "no" and choices.chance(0.15)
        return Clause(subject, verb, tense, negated, complement=complement)
    verb = choices.pick(INTRANSITIVE if shape < 0.35 else TRANSITIVE)
    subject = (rich_phrase if depth == 0 else simple_phrase)(choices, verb.subjects)
    clause = _with_circumstances(choices, Clause(subject, verb, choices.pick(TENSES)))
    if not verb.objects:
        return clause
    if subject.determiner != "no" and can_reflect(subject, verb) and choices.chance(0.3):
        return replace(clause, reflexive=choices.pick(right_reflexives(subject)))
    # Two negations make a sentence hard to judge, so that objects have no "no".
    rich = depth == 0 and choices.chance(0.3)
    clause = replace(
        clause,
        object=_not_no((rich_phrase if rich else simple_phrase)(choices, verb.objects)),
        passive=choices.chance(0.3) and subject.determiner != "no",
    )
    return clause


def _with_circumstances(choices: RandomChoices, clause: Clause) -> Clause:
    """Return the clause with a random negation, adverb, time and place."""
    has_no = clause.subject.determiner == "no"
    if not has_no and choices.chance(0.25):
        clause = replace(clause, negated=True)
    if clause.negated or has_no:
        if choices.chance(0.4):
            clause = replace(clause, adverb="ever")
    elif choices.chance(0.12):
        clause = replace(clause, adverb="never")
    if not clause.adverb and choices.chance(0.25):
        clause = replace(clause, adverb=choices.pick(ADVERBS), adverb_first=choices.chance(0.5))
    return with_time_and_place(choices, clause)


def with_time_and_place(choices: RandomChoices, clause: Clause, p: float = 0.2) -> Clause:
    """Return the clause with a time that suits its tense, and a place, each with chance `p`."""
    times = [word for word, tense in TIMES.items() if tense == clause.tense]
    if times and choices.chance(2 * p):
        clause = replace(clause, time=times[0], front="time" if choices.chance(0.3) else "")
    if choices.chance(p):
        place = definite_phrase(choices, "L", adjective=0.1)
        clause = replace(clause, preposition=choices.pick(PREPOSITIONS), place=place)
        if not clause.front and choices.chance(0.25):
            clause = replace(clause, front="place")
    return clause


def can_reflect(subject: Phrase, verb: Verb) -> bool:
    """Whether a reflexive object makes sense: the verb also takes its subject's kind as object."""
    return subject.noun.kind in verb.objects and subject.noun.kind in "PA"


def right_reflexives(subject: Phrase) -> tuple[str, ...]:
    """Return the reflexives that agree with a subject."""
    return REFLEXIVES["plural" if subject.is_plural else subject.noun.kind]
