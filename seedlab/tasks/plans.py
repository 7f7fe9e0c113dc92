"""Random plans of sentences."""

from __future__ import annotations

from dataclasses import replace

from seedlab.tasks.draws import Draws
from seedlab.tasks.grammar import TENSES, TIMES, Clause, Phrase, Relative, Tense
from seedlab.tasks.lexicon import (
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

DEFINITE = {False: ("the", "the", "my", "this", "that"), True: ("the", "the", "our", "these")}
"""determiners that keep their meaning under negation and in the passive, by number"""


def simple_phrase(draws: Draws, kinds: str, *, adjective: float = 0.25) -> Phrase:
    """Return a noun phrase of one of the kinds without modifiers behind the noun."""
    kind = draws.pick(kinds)
    plural = draws.chance(0.5)
    determiner = draws.pick(EITHER)
    if draws.chance(0.45):
        determiner = draws.pick(PLURAL if plural else SINGULAR)
    return Phrase(
        determiner,
        draws.pick(NOUNS_OF[kind]),
        plural,
        draws.pick(ADJECTIVES_OF[kind]) if draws.chance(adjective) else None,
    )


def definite_phrase(draws: Draws, kinds: str, *, adjective: float = 0.3) -> Phrase:
    """Return a simple noun phrase with a definite determiner."""
    phrase = simple_phrase(draws, kinds, adjective=adjective)
    return replace(phrase, determiner=draws.pick(DEFINITE[phrase.plural]))


def rich_phrase(draws: Draws, kinds: str) -> Phrase:
    """Return a noun phrase that may have distractors behind its noun, or be two phrases."""
    phrase = simple_phrase(draws, kinds)
    if draws.chance(0.12):
        determiner = draws.pick(tuple(PARTITIVE))
        phrase = replace(phrase, determiner=determiner, partitive=True, plural=True)
    shape = draws.uniform()
    if shape < 0.22:
        place = simple_phrase(draws, "L" if draws.chance(0.6) else "T", adjective=0.15)
        return replace(phrase, preposition=draws.pick(PREPOSITIONS), place=_not_no(place))
    if shape < 0.44 and phrase.noun.kind in "PAFT":
        return replace(phrase, relative=_relative(draws, phrase))
    if shape < 0.52 and phrase.determiner != "no":
        return replace(phrase, also=_not_no(simple_phrase(draws, phrase.noun.kind)))
    return phrase


def _not_no(phrase: Phrase) -> Phrase:
    """Return the phrase without "no", where that would be odd."""
    return replace(phrase, determiner="the") if phrase.determiner == "no" else phrase


def _relative(draws: Draws, head: Phrase) -> Relative:
    kind = head.noun.kind
    tense: Tense = draws.pick(("present", "present", "past", "perfect"))
    active = [verb for verb in TRANSITIVE if kind in verb.subjects]
    if active and draws.chance(0.5):
        verb = draws.pick(active)
        return Relative("subject", verb, _not_no(simple_phrase(draws, verb.objects)), tense)
    verb = draws.pick([verb for verb in TRANSITIVE if kind in verb.objects])
    return Relative("object", verb, _not_no(simple_phrase(draws, verb.subjects)), tense)


def any_clause(draws: Draws, *, depth: int = 0) -> Clause:
    """Return the plan of a grammatical sentence of any of the grammar's shapes."""
    shape = draws.uniform()
    if shape < 0.12 and depth == 0:
        verb = draws.pick(CLAUSAL)
        complement = any_clause(draws, depth=1)
        tense: Tense = draws.pick(("present", "past", "perfect"))
        subject = simple_phrase(draws, verb.subjects)
        negated = subject.determiner != "no" and draws.chance(0.15)
        return Clause(subject, verb, tense, negated, complement=complement)
    verb = draws.pick(INTRANSITIVE if shape < 0.35 else TRANSITIVE)
    subject = (rich_phrase if depth == 0 else simple_phrase)(draws, verb.subjects)
    clause = _with_circumstances(draws, Clause(subject, verb, draws.pick(TENSES)))
    if not verb.objects:
        return clause
    if subject.determiner != "no" and can_reflect(subject, verb) and draws.chance(0.3):
        return replace(clause, reflexive=draws.pick(right_reflexives(subject)))
    # A negative object under a negation or another "no" is a sentence one has to think about.
    rich = depth == 0 and draws.chance(0.3)
    clause = replace(
        clause,
        object=_not_no((rich_phrase if rich else simple_phrase)(draws, verb.objects)),
        passive=draws.chance(0.3) and subject.determiner != "no",
    )
    return clause


def _with_circumstances(draws: Draws, clause: Clause) -> Clause:
    """Return the clause with negation, adverb, time and place, as they come."""
    has_no = clause.subject.determiner == "no"
    if not has_no and draws.chance(0.25):
        clause = replace(clause, negated=True)
    if clause.negated or has_no:
        if draws.chance(0.4):
            clause = replace(clause, adverb="ever")
    elif draws.chance(0.12):
        clause = replace(clause, adverb="never")
    if not clause.adverb and draws.chance(0.25):
        clause = replace(clause, adverb=draws.pick(ADVERBS), adverb_first=draws.chance(0.5))
    return with_time_and_place(draws, clause)


def with_time_and_place(draws: Draws, clause: Clause, p: float = 0.2) -> Clause:
    """Return the clause with a time that suits its tense, and a place, each with chance `p`."""
    times = [word for word, tense in TIMES.items() if tense == clause.tense]
    if times and draws.chance(2 * p):
        clause = replace(clause, time=times[0], front="time" if draws.chance(0.3) else "")
    if draws.chance(p):
        place = definite_phrase(draws, "L", adjective=0.1)
        clause = replace(clause, preposition=draws.pick(PREPOSITIONS), place=place)
        if not clause.front and draws.chance(0.25):
            clause = replace(clause, front="place")
    return clause


def can_reflect(subject: Phrase, verb: Verb) -> bool:
    """Whether a reflexive object makes sense: the verb takes its own subject as an object."""
    return subject.noun.kind in verb.objects and subject.noun.kind in "PA"


def right_reflexives(subject: Phrase) -> tuple[str, ...]:
    """Return the reflexives that agree with a subject."""
    return REFLEXIVES["plural" if subject.is_plural else subject.noun.kind]
