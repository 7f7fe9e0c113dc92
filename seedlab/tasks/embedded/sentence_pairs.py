"""Pairs of sentences: the same meaning in other words, or another meaning in similar words.

`meaning` returns the parts of a clause that its wording does not change. `restyled` changes
the wording alone (synonyms, voice, order of time and place), `changed` one part of the meaning.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

from seedlab.tasks.embedded.grammar import TENSES, TIMES, Clause, Phrase
from seedlab.tasks.embedded.lexicon import (
    ADJECTIVES,
    ADJECTIVES_OF,
    ADVERBS,
    NOUNS,
    NOUNS_OF,
    PREPOSITIONS,
    TRANSITIVE,
    VERBS,
    Modifier,
    Noun,
    Verb,
)
from seedlab.tasks.embedded.random_choices import RandomChoices
from seedlab.tasks.embedded.random_clauses import DEFINITE, definite_phrase, with_time_and_place

_QUANTIFIERS = {
    False: ("every", "each", "a", "no"),
    True: ("all", "many", "several", "few", "two", "three"),
}
_SAME = {"each": "every", "all": "every"}
"""Determiners of equal meaning, with singular and plural nouns."""


def _synonyms(items: tuple[Any, ...], *, by_kinds: bool = False) -> dict[Any, tuple[Any, ...]]:
    groups: dict[Any, list[Any]] = {}
    for item in items:
        groups.setdefault((item.meaning, item.kinds if by_kinds else ""), []).append(item)
    return {item: tuple(group) for group in groups.values() for item in group}


_NOUN_SYNONYMS: dict[Noun, tuple[Noun, ...]] = _synonyms(NOUNS)
_VERB_SYNONYMS: dict[Verb, tuple[Verb, ...]] = _synonyms(VERBS)
_MODIFIER_SYNONYMS: dict[Modifier, tuple[Modifier, ...]] = _synonyms(
    (*ADJECTIVES, *ADVERBS), by_kinds=True
)


def pair_clause(choices: RandomChoices) -> Clause:
    """Return a clause that has paraphrases: transitive, with at most one quantifier.

    Two quantifiers, or one under a negation, would change their meaning with the voice.
    """
    verb = choices.pick(TRANSITIVE)
    subject = definite_phrase(choices, verb.subjects)
    goal = definite_phrase(choices, verb.objects)
    clause = Clause(subject, verb, choices.pick(TENSES), object=goal, passive=choices.chance(0.35))
    if choices.chance(0.25):
        clause = replace(clause, negated=True)
    elif choices.chance(0.4):
        clause = _quantified(clause, choices)
    if choices.chance(0.2):
        clause = replace(clause, adverb=choices.pick(ADVERBS), adverb_first=choices.chance(0.5))
    return with_time_and_place(choices, clause, 0.3)


def meaning(clause: Clause) -> dict[str, str]:
    """Return the parts of the meaning of a clause from `pair_clause`, by name."""
    parts = {
        "verb": clause.verb.meaning,
        "tense": clause.tense,
        "negated": str(clause.negated),
        "adverb": clause.adverb.meaning if isinstance(clause.adverb, Modifier) else clause.adverb,
        "time": clause.time,
    }
    phrases = {"agent": clause.subject, "patient": clause.object, "place": clause.place}
    for role, phrase in phrases.items():
        if phrase is not None:
            determiner = _SAME.get(phrase.determiner, phrase.determiner)
            parts[role] = phrase.noun.meaning
            parts[f"{role} determiner"] = determiner
            parts[f"{role} number"] = str(phrase.plural) if determiner != "every" else "every"
            parts[f"{role} adjective"] = phrase.adjective.meaning if phrase.adjective else ""
    parts["preposition"] = clause.preposition
    return parts


_WEIGHTS = {"verb": 3.0, "agent": 3.0, "patient": 3.0, "place": 1.0, "negated": 1.5}
_ROLES = {"agent": "patient", "patient": "agent"}


def likeness(first: Clause, second: Clause) -> float:
    """Return the similarity of two clauses, from 0 (nothing in common) to 5 (the same meaning).

    It is 5 times the weighted share of the parts of meaning that agree. Verb, agent and patient
    weigh 3 each, polarity 1.5, place 1, and every other part of either clause 0.5. Half the
    weight counts where the agent of one clause is the patient of the other.
    """
    a, b = meaning(first), meaning(second)
    total = common = 0.0
    for part in sorted(a.keys() | b.keys()):
        mine, yours = a.get(part, ""), b.get(part, "")
        if not mine and not yours:
            continue
        weight = _WEIGHTS.get(part, 0.5)
        total += weight
        if mine == yours:
            common += weight
        elif part in _ROLES and mine == b.get(_ROLES[part]):
            common += weight / 2
    return 5.0 * common / total


def restyled(clause: Clause, choices: RandomChoices) -> Clause:
    """Return a clause of the same meaning, with the same or another wording."""
    clause = replace(
        clause,
        subject=_reworded(clause.subject, choices),
        object=_reworded(clause.object, choices) if clause.object else None,
        place=_reworded(clause.place, choices) if clause.place else None,
        verb=choices.pick(_VERB_SYNONYMS[clause.verb]),
    )
    if isinstance(clause.adverb, Modifier):
        adverb = choices.pick(_MODIFIER_SYNONYMS[clause.adverb])
        clause = replace(clause, adverb=adverb, adverb_first=choices.chance(0.5))
    if choices.chance(0.5):
        clause = replace(clause, passive=not clause.passive)
    fronts: list[Literal["", "time", "place"]] = [""]
    if clause.time:
        fronts.append("time")
    if clause.place is not None:
        fronts.append("place")
    return replace(clause, front=choices.pick(fronts))


def _reworded(phrase: Phrase, choices: RandomChoices) -> Phrase:
    phrase = replace(phrase, noun=choices.pick(_NOUN_SYNONYMS[phrase.noun]))
    if phrase.adjective is not None:
        phrase = replace(phrase, adjective=choices.pick(_MODIFIER_SYNONYMS[phrase.adjective]))
    if _SAME.get(phrase.determiner, phrase.determiner) == "every":
        determiner = choices.pick(("every", "each", "all"))
        phrase = replace(phrase, determiner=determiner, plural=determiner == "all")
    return phrase


def changed(clause: Clause, choices: RandomChoices) -> Clause:
    """Return a clause that differs in one part of its meaning."""
    before = meaning(clause)
    for change in choices.shuffled(_CHANGES):
        made = change(clause, choices)
        if made is not None and meaning(made) != before:
            return made
    return _tense(clause, choices)


def _roles(clause: Clause, choices: RandomChoices) -> Clause | None:
    agent, patient, verb = clause.subject, clause.object, clause.verb
    if (
        patient is None
        or patient.noun.kind not in verb.subjects
        or agent.noun.kind not in verb.objects
    ):
        return None
    return replace(clause, subject=patient, object=agent)


def _noun(clause: Clause, choices: RandomChoices) -> Clause | None:
    role = choices.pick(("subject", "object"))
    phrase = clause.subject if role == "subject" else clause.object
    if phrase is None:
        return None
    noun = replace(phrase, noun=choices.pick(NOUNS_OF[phrase.noun.kind]))
    return replace(clause, subject=noun) if role == "subject" else replace(clause, object=noun)


def _verb(clause: Clause, choices: RandomChoices) -> Clause | None:
    agent, patient = clause.subject.noun.kind, clause.object.noun.kind if clause.object else ""
    fitting = [v for v in TRANSITIVE if agent in v.subjects and patient in v.objects]
    return replace(clause, verb=choices.pick(fitting))


def _polarity(clause: Clause, choices: RandomChoices) -> Clause | None:
    if any(p is not None and not _definite(p) for p in (clause.subject, clause.object)):
        return None
    return replace(clause, negated=not clause.negated)


def _tense(clause: Clause, choices: RandomChoices) -> Clause:
    tense = choices.pick([tense for tense in TENSES if tense != clause.tense])
    time = next((word for word, its in TIMES.items() if its == tense), "") if clause.time else ""
    front = "" if clause.front == "time" and not time else clause.front
    return replace(clause, tense=tense, time=time, front=front)


def _adjective(clause: Clause, choices: RandomChoices) -> Clause | None:
    first, second = clause.subject.adjective, clause.object.adjective if clause.object else None
    if clause.object is None or (first is None and second is None):
        return None
    kinds = clause.subject.noun.kind, clause.object.noun.kind
    if first is None or second is None:
        # The adjective moves to the other noun, if it suits both kinds.
        moved = first or second
        if moved is not None and all(kind in moved.kinds for kind in kinds):
            return replace(
                clause,
                subject=replace(clause.subject, adjective=second),
                object=replace(clause.object, adjective=first),
            )
    if first is not None:
        other = choices.pick(ADJECTIVES_OF[kinds[0]])
        return replace(clause, subject=replace(clause.subject, adjective=other))
    other = choices.pick(ADJECTIVES_OF[kinds[1]])
    return replace(clause, object=replace(clause.object, adjective=other))


def _determiner(clause: Clause, choices: RandomChoices) -> Clause | None:
    return None if clause.negated else _quantified(clause, choices)


def _where(clause: Clause, choices: RandomChoices) -> Clause | None:
    if clause.place is None:
        return None
    if choices.chance(0.4):
        return replace(clause, preposition=choices.pick(PREPOSITIONS))
    return replace(clause, place=replace(clause.place, noun=choices.pick(NOUNS_OF["L"])))


_CHANGES: tuple[Callable[[Clause, RandomChoices], Clause | None], ...] = (
    _roles,
    _noun,
    _verb,
    _polarity,
    _tense,
    _adjective,
    _determiner,
    _where,
)


def _definite(phrase: Phrase) -> bool:
    return phrase.determiner in DEFINITE[phrase.plural]


def _quantified(clause: Clause, choices: RandomChoices) -> Clause:
    """Return the clause with a quantifier on one noun and a definite determiner on the other."""
    role = choices.pick(("subject", "object"))

    def changed_to(phrase: Phrase, quantified: bool) -> Phrase:
        if quantified:
            return replace(phrase, determiner=choices.pick(_QUANTIFIERS[phrase.plural]))
        if _definite(phrase):
            return phrase
        return replace(phrase, determiner=choices.pick(DEFINITE[phrase.plural]))

    return replace(
        clause,
        subject=changed_to(clause.subject, role == "subject"),
        object=changed_to(clause.object, role == "object") if clause.object else None,
    )
