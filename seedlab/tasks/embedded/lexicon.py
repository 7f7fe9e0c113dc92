"""The words of the embedded tasks: their forms, meanings and combinations.

Words joined by ``=`` mean the same. A noun is written ``singular:plural`` and a verb
``base:past:participle`` where the regular form would be wrong. Kinds are single letters:
P person, A animal, F food, T thing, L place. No two words share a form, and no form has two
grammatical functions (no "sheep", no "cut"): a sentence with a violation could otherwise be
right by accident.
"""

from __future__ import annotations

from dataclasses import dataclass

_NOUNS = {
    "P": "doctor=physician teacher=instructor lawyer=attorney kid=youngster farmer baker painter "
    "singer=vocalist soldier sailor=seaman:seamen nurse writer=author driver dancer "
    "student=pupil actor=performer king=monarch:monarchs queen waiter tailor builder plumber engineer "
    "scientist=researcher mayor priest=cleric senator artist hunter thief:thieves=robber clerk "
    "banker gardener librarian editor barber minister captain grocer tourist=visitor neighbor "
    "merchant=trader policeman:policemen=cop lady guy juggler rider",
    "A": "dog=hound cat=feline horse pig=hog cow goat rabbit=bunny fox wolf:wolves lion tiger "
    "monkey elephant donkey=mule camel turtle puppy kitten squirrel mouse:mice goose:geese "
    "zebra",
    "F": "apple pear sandwich cake cookie=biscuit pizza potato:potatoes=spud carrot sausage pie "
    "plum cherry tomato:tomatoes onion banana peach muffin pancake=flapjack lemon candy=sweet",
    "T": "letter book=volume lamp=lantern chair car=automobile wagon=cart ship=vessel boat "
    "bicycle=bike statue=sculpture photograph=picture clock radio piano guitar violin "
    "knife:knives hammer ladder basket bottle jacket=coat hat shoe shirt necklace table "
    "sofa=couch engine=motor computer camera poem novel map contract blanket mirror",
    "L": "garden kitchen village lake river school hospital church museum market castle harbor "
    "station bridge hotel library theater office mountain island street=road shop=store "
    "field=meadow beach=shore",
}

_VERBS = {
    "P>PA": "greet=welcome thank warn=caution invite accuse interview arrest=apprehend",
    "P>PAT": "hire=employ",
    "P>PAFTL": "praise=commend",
    "PA>PA": "bite:bit:bitten lick betray",
    "PA>PAT": "chase=pursue",
    "PA>PAL": "attack=assault",
    "PAT>PA": "injure=wound assist=aid",
    "PAFTL>PA": "frighten=scare surprise=astonish",
    "PA>PAFTL": "watch=observe notice=spot ignore=disregard admire=adore touch hear:heard "
    "avoid=evade find:found=discover trust",
    "PA>AF": "devour=consume swallow=ingest taste smell",
    "P>AF": "slice cook",
    "P>F": "bake peel",
    "P>T": "polish break:broke:broken",
    "P>FT": "hide:hid:hidden=conceal lose:lost=misplace carry=transport borrow deliver smash",
    "P>TL": "repair=mend build:built=construct design",
    "P>AFT": "steal:stole:stolen",
    "P>AFTL": "buy:bought=purchase sell:sold examine=inspect",
    "PAFTL>P": "please=delight annoy=irritate amuse=entertain confuse=puzzle",
    "P>": "complain=grumble pray sneeze smile=grin hesitate giggle=laugh",
    "PA>": "sleep:slept=slumber shiver=tremble yawn wander=roam swim:swam:swum wait snore",
    "A>": "bark growl",
    "F>": "rot=decay",
    "T>": "rust=corrode",
    "PAFT>": "arrive",
    "PAFTL>": "disappear=vanish fall:fell:fallen",
    "P>that": "say:said=state think:thought=believe claim=assert know:knew:known doubt "
    "admit=confess",
}

_ADJECTIVES = {
    "PA": "hungry=starving tired=weary angry=furious happy=glad brave=courageous clever=smart lazy "
    "nervous=anxious young gentle=kind",
    "F": "fresh tasty=delicious rotten sour",
    "T": "wooden expensive=costly cheap rusty antique",
    "L": "quiet=silent crowded=packed famous=renowned distant=remote",
    "PAFTL": "big=large small=little strange=odd beautiful=pretty ugly",
}

_ADVERBS = (
    "quickly=rapidly slowly quietly=silently suddenly=abruptly carefully eagerly often=frequently"
)

SINGULAR = ("a", "every", "each", "this", "that")
"""Determiners that take singular nouns only."""
PLURAL = ("these", "those", "many", "several", "few", "all", "two", "three", "some")
"""Determiners that take plural nouns only."""
EITHER = ("the", "the", "the", "my", "our", "no")
"""Determiners of both numbers; "the" is the most frequent one."""
PARTITIVE = {"each": False, "one": False, "many": True, "several": True, "most": True, "two": True}
"""Determiner before "of the", and whether the phrase is plural."""
OBJECT_OPTIONAL = (
    "watch",
    "observe",
    "hear",
    "attack",
    "assault",
    "bite",
    "taste",
    "smell",
    "bake",
    "cook",
    "steal",
)
"""Transitive verbs that are also acceptable without an object."""
PREPOSITIONS = ("in", "near", "beside", "behind")
REFLEXIVES = {"P": ("himself", "herself"), "A": ("itself",), "plural": ("themselves",)}
FUNCTION_WORDS = [
    "an",
    "and",
    "by",
    "of",
    "that",
    "one",
    "most",
    "is",
    "are",
    "was",
    "were",
    "be",
    "been",
    "has",
    "have",
    "do",
    "does",
    "did",
    "will",
    "not",
    "never",
    "ever",
    "yesterday",
    "tomorrow",
    ".",
]


@dataclass(frozen=True)
class Noun:
    """A countable noun; `meaning` is the first of its synonyms, `kind` a letter."""

    singular: str
    plural: str
    kind: str
    meaning: str


@dataclass(frozen=True)
class Verb:
    """A verb; `subjects` and `objects` are kinds of noun (no objects: intransitive)."""

    base: str
    third: str
    past: str
    participle: str
    subjects: str
    objects: str
    clausal: bool
    meaning: str


@dataclass(frozen=True)
class Modifier:
    """An adjective (with the kinds of its nouns) or an adverb (no kinds)."""

    word: str
    kinds: str
    meaning: str


def _groups(text: str) -> list[list[list[str]]]:
    """Return groups of synonyms, each a list of forms."""
    return [[word.split(":") for word in group.split("=")] for group in text.split()]


def _with_s(word: str) -> str:
    """Return the regular plural or third person."""
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return word + "es"
    if word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "ies"
    return word + "s"


_DOUBLED = ("spot", "rot", "grin", "admit")


def _with_ed(word: str) -> str:
    """Return the regular past."""
    if word.endswith("e"):
        return word + "d"
    if word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "ied"
    return word + (word[-1] if word in _DOUBLED else "") + "ed"


def _nouns() -> tuple[Noun, ...]:
    return tuple(
        Noun(forms[0], forms[1] if len(forms) > 1 else _with_s(forms[0]), kind, group[0][0])
        for kind, text in _NOUNS.items()
        for group in _groups(text)
        for forms in group
    )


def _verbs() -> tuple[Verb, ...]:
    out = []
    for frame, text in _VERBS.items():
        subjects, _, objects = frame.partition(">")
        clausal = objects == "that"
        for group in _groups(text):
            for forms in group:
                base = forms[0]
                past = forms[1] if len(forms) > 1 else _with_ed(base)
                participle = forms[2] if len(forms) > 2 else past
                out.append(
                    Verb(
                        base,
                        _with_s(base),
                        past,
                        participle,
                        subjects,
                        "" if clausal else objects,
                        clausal,
                        group[0][0],
                    )
                )
    return tuple(out)


def _modifiers(kinds: str, text: str) -> tuple[Modifier, ...]:
    return tuple(Modifier(f[0], kinds, g[0][0]) for g in _groups(text) for f in g)


NOUNS = _nouns()
VERBS = _verbs()
ADJECTIVES = tuple(word for kinds, text in _ADJECTIVES.items() for word in _modifiers(kinds, text))
ADVERBS = _modifiers("", _ADVERBS)

NOUNS_OF = {kind: tuple(n for n in NOUNS if n.kind == kind) for kind in _NOUNS}
ADJECTIVES_OF = {kind: tuple(a for a in ADJECTIVES if kind in a.kinds) for kind in _NOUNS}
TRANSITIVE = tuple(v for v in VERBS if v.objects)
INTRANSITIVE = tuple(v for v in VERBS if not v.objects and not v.clausal)
CLAUSAL = tuple(v for v in VERBS if v.clausal)


def vocabulary() -> list[str]:
    """Return every word that a sentence can hold, sorted, without repetition."""
    words = set(FUNCTION_WORDS) | set(SINGULAR) | set(PLURAL) | set(EITHER) | set(PARTITIVE)
    words |= set(PREPOSITIONS) | {word for group in REFLEXIVES.values() for word in group}
    words |= {form for n in NOUNS for form in (n.singular, n.plural)}
    words |= {form for v in VERBS for form in (v.base, v.third, v.past, v.participle)}
    words |= {m.word for m in (*ADJECTIVES, *ADVERBS)}
    return sorted(words)
