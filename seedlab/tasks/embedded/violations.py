"""Violations of the grammar: an unacceptable sentence has one.

A violation takes a grammatical clause and returns a changed one, or None if it does not apply.
The result breaks a rule of the grammar whatever the rest of the sentence is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from seedlab.tasks.embedded.grammar import (
    TIMES,
    Clause,
    Phrase,
    Word,
    marks_number,
    shows_number,
    verb_words,
    words,
)
from seedlab.tasks.embedded.lexicon import NOUNS_OF, OBJECT_OPTIONAL, PLURAL, REFLEXIVES, SINGULAR
from seedlab.tasks.embedded.random_choices import RandomChoices
from seedlab.tasks.embedded.random_clauses import right_reflexives, simple_phrase

Violation = Callable[[Clause, RandomChoices], Clause | None]

_SWAPPED = {("D", "N"), ("D", "A"), ("A", "N"), ("P", "D"), ("X", "V")}
_FLOATING = ("all", "each")
"""Determiners that may also stand behind their noun, or before a preposition."""


def with_violation(clause: Clause, choices: RandomChoices) -> tuple[str, list[Word]]:
    """Return the name of a violation and the words of a sentence that has it.

    Parameters
    ----------
    clause : Clause
        A grammatical clause.
    choices : RandomChoices
        Source of the violation, among those that apply, and of its place.
    """
    for name in choices.shuffled((*VIOLATIONS, "order")):
        if name == "order":
            swapped = _swap(words(clause), choices)
            if swapped is not None:
                return name, swapped
            continue
        violate = VIOLATIONS[name]
        inner = clause.complement
        if inner is not None and choices.chance(0.5):
            # A negation around it licenses "ever" within.
            licensed = name == "ever" and _licenses(clause)
            made = None if licensed else violate(inner, choices)
            if made is not None:
                return name, words(replace(clause, complement=made))
        made = violate(clause, choices)
        if made is not None:
            return name, words(made)
    raise AssertionError(
        "unreachable: every determiner can be swapped with its noun or disagree with it"
    )


def _swap(tagged: list[Word], choices: RandomChoices) -> list[Word] | None:
    """Return the words with two neighbours of one phrase in the wrong order."""
    places = [
        i
        for i in range(len(tagged) - 1)
        if (tagged[i][1], tagged[i + 1][1]) in _SWAPPED
        and not (tagged[i][0] in _FLOATING and tagged[i + 1][1] == "N")
        and not (tagged[i][1] == "P" and tagged[i + 1][0] in _FLOATING)
    ]
    if not places:
        return None
    i = choices.pick(places)
    return [*tagged[:i], tagged[i + 1], tagged[i], *tagged[i + 2 :]]


def _agreement(clause: Clause, choices: RandomChoices) -> Clause | None:
    """As in "the dogs near the lake sleeps": the verb disagrees with its subject."""
    return replace(clause, agrees=False) if shows_number(clause) else None


def _relative_agreement(clause: Clause, choices: RandomChoices) -> Clause | None:
    """As in "the dog that chase the cat sleeps": the same inside a relative clause."""

    def change(phrase: Phrase) -> Phrase | None:
        relative = phrase.relative
        if relative is None or relative.tense == "past":
            return None
        return replace(phrase, relative=replace(relative, agrees=False))

    return _in_a_phrase(clause, choices, change)


def _gap(clause: Clause, choices: RandomChoices) -> Clause | None:
    """As in "the book that the teacher finds the letter": the gap of a relative clause is filled."""

    def change(phrase: Phrase) -> Phrase | None:
        relative = phrase.relative
        if relative is None or relative.gap == "subject":
            return None
        filler = replace(simple_phrase(choices, relative.verb.objects), determiner="the")
        return replace(phrase, relative=replace(relative, filler=filler))

    return _in_a_phrase(clause, choices, change)


def _determiner(clause: Clause, choices: RandomChoices) -> Clause | None:
    """As in "every dogs", "these dog": the determiner disagrees with its noun."""

    def change(phrase: Phrase) -> Phrase | None:
        if not marks_number(phrase):
            return None
        return replace(phrase, determiner=choices.pick(SINGULAR if phrase.plural else PLURAL))

    return _in_a_phrase(clause, choices, change)


def _bare(clause: Clause, choices: RandomChoices) -> Clause | None:
    """As in "nurse sleeps": a singular noun without its determiner."""

    def change(phrase: Phrase) -> Phrase | None:
        # "Cake", "rabbit" and "school" can do without one.
        if phrase.plural or phrase.noun.kind not in "PT":
            return None
        return replace(phrase, determiner="")

    return _in_a_phrase(clause, choices, change)


def _selection(clause: Clause, choices: RandomChoices) -> Clause | None:
    """As in "the lamp devours the bread": a noun of a kind that does not go with the verb."""
    places = ["subject"] if clause.object is None else ["subject", "object"]
    place = choices.pick(places)
    phrase = clause.subject if place == "subject" else clause.object
    allowed = clause.verb.subjects if place == "subject" else clause.verb.objects
    kinds = [kind for kind in NOUNS_OF if kind not in allowed]
    if "P" in allowed and "L" in kinds:
        # "The hospital hires a nurse": a place can stand for its people.
        kinds.remove("L")
    if phrase is None or phrase.also is not None or not kinds:
        return None
    wrong = replace(phrase, noun=choices.pick(NOUNS_OF[choices.pick(kinds)]))
    return replace(clause, subject=wrong) if place == "subject" else replace(clause, object=wrong)


def _form(clause: Clause, choices: RandomChoices) -> Clause | None:
    """As in "will sleeps", "has sleep": a verb form that its auxiliary does not take."""
    passive = clause.passive and clause.object is not None
    verb = clause.verb
    right = verb_words(verb, clause.tense, False, negated=clause.negated, passive=passive)
    if len(right) < 2:
        return None
    wrong = [f for f in (verb.base, verb.third) if f != right[-1][0]]
    if right[-1][0] == verb.base:
        wrong.append(verb.past)
    return replace(clause, form=choices.pick(wrong))


def _reflexive(clause: Clause, choices: RandomChoices) -> Clause | None:
    """As in "the dogs injure itself": the reflexive disagrees with the subject."""
    if not clause.reflexive:
        return None
    right = right_reflexives(clause.subject)
    wrong = [word for group in REFLEXIVES.values() for word in group if word not in right]
    return replace(clause, reflexive=choices.pick(wrong))


def _object(clause: Clause, choices: RandomChoices) -> Clause | None:
    """As in "the doctor praises", "the dog sleeps the cat": an object missing or too many."""
    verb = clause.verb
    if verb.clausal:
        return None
    if not verb.objects:
        return replace(clause, object=simple_phrase(choices, "PAFT"), passive=False)
    if clause.passive or verb.meaning in OBJECT_OPTIONAL:
        return None
    return replace(clause, object=None, reflexive="")


def _ever(clause: Clause, choices: RandomChoices) -> Clause | None:
    """As in "the dog has ever slept": "ever" without a negation."""
    if _licenses(clause) or clause.verb.clausal:
        return None
    return replace(clause, adverb="ever", adverb_first=True)


def _licenses(clause: Clause) -> bool:
    """Whether "ever" may stand in a clause or in its complement."""
    phrases = [p for p in (clause.subject, clause.object) if p is not None]
    determiners = {p.determiner for p in phrases} | {p.also.determiner for p in phrases if p.also}
    return clause.negated or clause.verb.base == "doubt" or bool(determiners & {"no", "few"})


def _time(clause: Clause, choices: RandomChoices) -> Clause | None:
    """As in "the dog will sleep yesterday": a time that contradicts the tense."""
    if not clause.time:
        return None
    return replace(clause, time=next(t for t in TIMES if t != clause.time))


VIOLATIONS: dict[str, Violation] = {
    "agreement": _agreement,
    "relative agreement": _relative_agreement,
    "gap": _gap,
    "determiner": _determiner,
    "bare noun": _bare,
    "selection": _selection,
    "verb form": _form,
    "reflexive": _reflexive,
    "object": _object,
    "ever": _ever,
    "time": _time,
}


def _in_a_phrase(
    clause: Clause, choices: RandomChoices, change: Callable[[Phrase], Phrase | None]
) -> Clause | None:
    """Return the clause with its subject or its object changed; None if neither can be."""
    for place in choices.shuffled(("subject", "object")):
        phrase = clause.subject if place == "subject" else clause.object
        made = None if phrase is None else change(phrase)
        if made is not None:
            if place == "subject":
                return replace(clause, subject=made)
            return replace(clause, object=made)
    return None
