"""The grammar of the embedded tasks: clauses, and the words that express them.

A clause states agent, action and patient. `words` turns it into tagged words by the rules of
English: agreement of the verb across modifiers and relative clauses, of determiners and of
reflexives, verb forms after auxiliaries, the passive, negation and "ever" under it, tense and
time. An unacceptable sentence comes from a changed clause (`violations.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from seedlab.tasks.embedded.lexicon import PARTITIVE, SINGULAR, Modifier, Noun, Verb

Tense = Literal["present", "past", "future", "perfect"]
TENSES: tuple[Tense, ...] = ("present", "past", "future", "perfect")
TIMES: dict[str, Tense] = {"yesterday": "past", "tomorrow": "future"}
Word = tuple[str, str]
"""(word, tag); D determiner, A adjective, N noun, P preposition, X auxiliary, V verb, "" other"""


@dataclass(frozen=True)
class Relative:
    """A relative clause: "that chases the cat" (gap subject), "that the cat chases" (object)."""

    gap: Literal["subject", "object"]
    verb: Verb
    other: Phrase
    tense: Tense
    agrees: bool = True
    filler: Phrase | None = None
    """phrase that wrongly fills the gap"""


@dataclass(frozen=True)
class Phrase:
    """A noun phrase; `plural` is the noun's number, see `is_plural` for the phrase's."""

    determiner: str
    noun: Noun
    plural: bool
    adjective: Modifier | None = None
    partitive: bool = False
    """determiner + "of the" + plural noun"""
    preposition: str = ""
    place: Phrase | None = None
    relative: Relative | None = None
    also: Phrase | None = None
    """joined by "and" """

    @property
    def is_plural(self) -> bool:
        """Whether a verb that agrees with the phrase is plural."""
        if self.also is not None:
            return True
        return PARTITIVE[self.determiner] if self.partitive else self.plural


@dataclass(frozen=True)
class Clause:
    """A clause; `subject` and `object` are the logical ones, whatever the voice."""

    subject: Phrase
    verb: Verb
    tense: Tense
    negated: bool = False
    object: Phrase | None = None
    reflexive: str = ""
    passive: bool = False
    adverb: Modifier | str = ""
    """a manner adverb, "never" or "ever" """
    adverb_first: bool = True
    """before the verb; "never" and "ever" always are"""
    time: str = ""
    preposition: str = ""
    place: Phrase | None = None
    front: Literal["", "time", "place"] = ""
    complement: Clause | None = None
    """clause that is said or thought, after "that" """
    agrees: bool = True
    form: str = ""
    """wrong form of the verb, which replaces the right one"""


def sentence(clause: Clause) -> str:
    """Return the text of a clause."""
    return join(words(clause))


def join(tagged: list[Word]) -> str:
    """Return words as text, with blanks, "an" before a vowel, and a full stop at the end."""
    plain = [word for word, _ in tagged]
    for i, word in enumerate(plain[:-1]):
        if word == "a" and plain[i + 1][0] in "aeiou":
            plain[i] = "an"
    return " ".join([*plain, "."])


def words(clause: Clause) -> list[Word]:
    """Return the tagged words of a clause, without the full stop."""
    return list(_clause(clause))


def _clause(clause: Clause) -> Iterator[Word]:
    if clause.front == "time" and clause.time:
        yield clause.time, ""
    if clause.front == "place":
        yield from _place(clause.preposition, clause.place)
    shown, agent = clause.subject, None
    if clause.passive and clause.object is not None:
        shown, agent = clause.object, clause.subject
    yield from phrase_words(shown)
    yield from _verbal(clause, shown.is_plural == clause.agrees)
    if agent is not None:
        yield "by", "P"
        yield from phrase_words(agent)
    elif clause.reflexive:
        yield clause.reflexive, ""
    elif clause.object is not None:
        yield from phrase_words(clause.object)
    if isinstance(clause.adverb, Modifier) and not clause.adverb_first:
        yield clause.adverb.word, ""
    if clause.front != "place":
        yield from _place(clause.preposition, clause.place)
    if clause.front != "time" and clause.time:
        yield clause.time, ""
    if clause.complement is not None:
        yield "that", ""
        yield from _clause(clause.complement)


def phrase_words(phrase: Phrase) -> Iterator[Word]:
    """Yield the tagged words of a noun phrase."""
    if phrase.determiner:
        yield phrase.determiner, "D"
    if phrase.partitive:
        yield "of", ""
        yield "the", "D"
    if phrase.adjective is not None:
        yield phrase.adjective.word, "A"
    yield phrase.noun.plural if phrase.plural else phrase.noun.singular, "N"
    yield from _place(phrase.preposition, phrase.place)
    relative = phrase.relative
    if relative is not None:
        yield "that", ""
        if relative.gap == "object":
            yield from phrase_words(relative.other)
        plural = relative.other.is_plural if relative.gap == "object" else phrase.plural
        yield from verb_words(relative.verb, relative.tense, plural == relative.agrees)
        if relative.gap == "subject":
            yield from phrase_words(relative.other)
        if relative.filler is not None:
            yield from phrase_words(relative.filler)
    if phrase.also is not None:
        yield "and", ""
        yield from phrase_words(phrase.also)


def _place(preposition: str, place: Phrase | None) -> Iterator[Word]:
    if place is not None:
        yield preposition, "P"
        yield from phrase_words(place)


def _verbal(clause: Clause, plural: bool) -> Iterator[Word]:
    """Yield the auxiliaries, the words after them, and the verb."""
    passive = clause.passive and clause.object is not None
    tagged = verb_words(clause.verb, clause.tense, plural, negated=clause.negated, passive=passive)
    *auxiliaries, (verb, tag) = tagged
    yield from auxiliaries
    if clause.adverb and clause.adverb_first:
        yield clause.adverb if isinstance(clause.adverb, str) else clause.adverb.word, ""
    yield clause.form or verb, tag


def verb_words(
    verb: Verb, tense: Tense, plural: bool, *, negated: bool = False, passive: bool = False
) -> list[Word]:
    """Return the auxiliaries of a verb, "not" where negated, and the verb's form, last."""
    no: list[Word] = [("not", "")] if negated else []
    if tense == "future":
        rest = [("be", "X"), (verb.participle, "V")] if passive else [(verb.base, "V")]
        return [("will", "X"), *no, *rest]
    if tense == "perfect":
        rest = [("been", "X")] if passive else []
        return [("have" if plural else "has", "X"), *no, *rest, (verb.participle, "V")]
    if passive:
        be = ("is", "are") if tense == "present" else ("was", "were")
        return [(be[plural], "X"), *no, (verb.participle, "V")]
    if negated:
        do = "did" if tense == "past" else "do" if plural else "does"
        return [(do, "X"), *no, (verb.base, "V")]
    if tense == "past":
        return [(verb.past, "V")]
    return [(verb.base if plural else verb.third, "V")]


def shows_number(clause: Clause) -> bool:
    """Whether the finite verb of a clause has another form in the other number."""
    passive = clause.passive and clause.object is not None
    args = {"negated": clause.negated, "passive": passive}
    return verb_words(clause.verb, clause.tense, True, **args) != verb_words(
        clause.verb, clause.tense, False, **args
    )


def marks_number(phrase: Phrase) -> bool:
    """Whether the determiner of a phrase takes only singular, or only plural nouns."""
    from seedlab.tasks.embedded.lexicon import PLURAL

    return not phrase.partitive and phrase.determiner in (*SINGULAR, *PLURAL)
