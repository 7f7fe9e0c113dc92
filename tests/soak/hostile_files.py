"""Bytes and characters that damage a file, for tables of scores and for task files alike."""

from __future__ import annotations

import json
from collections.abc import Sequence

from numpy.random import Generator

HOSTILE_NAMES = (
    "👨‍👩‍👧‍👦" * 12,
    "🇩🇪🇫🇷" * 15,
    "recipe-with-a-long-name-" + "🏴󠁧󠁢󠁥󠁮󠁧󠁿" * 9,
    "e\u0301" * 60,
    "नमस्ते" * 20,
    "שלום עולם",
    "漢字" * 40,
    "a" * 300,
    "a/../../b",
    "CON",
    "🚀",
    "x\u200dy",
    "'; DROP TABLE runs; --",
    "=1+1",
)
"""Names that are unusual, and can be shown."""


def pick(rng: Generator, values: Sequence[str]) -> str:
    """One of some texts. numpy's own choice would lose a NUL at the end of a text."""
    return values[int(rng.integers(len(values)))]


def hostile_characters() -> list[str]:
    """Characters that no name may hold."""
    return ["\0", "\x1b", "\x07", "\x7f", "\x9b", "\u202e", "\u2066", "\u2028", "\ufffe", "\b"]


def deep_json(rng: Generator) -> str:
    """A line of JSON that is nested thousands of levels."""
    depth = int(rng.choice([2_000, 100_000, 300_000]))
    return pick(rng, ["[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth])


def long_integer_json(record: dict[str, object], column: str, digits: int) -> str:
    """A record as a line of JSON, one value an integer of so many digits."""
    return json.dumps({**record, column: "XX"}).replace('"XX"', "9" * digits)


def damage(content: bytes, rng: Generator) -> bytes:
    """Content that was cut, overwritten, extended or repeated somewhere."""
    damaged = bytearray(content)
    kind = int(rng.integers(5))
    place = int(rng.integers(len(damaged)))
    if kind == 0:
        return bytes(damaged[:place])
    if kind == 1:
        for at in rng.integers(len(damaged), size=int(rng.integers(1, 30))):
            damaged[int(at)] = int(rng.integers(256))
    elif kind == 2:
        damaged[place : place + 100] = bytes(100)
    elif kind == 3:
        damaged[place:place] = rng.bytes(int(rng.integers(1, 200)))
    else:
        damaged += damaged[place:]
    return bytes(damaged)
