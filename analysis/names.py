"""Names in tables: the characters that figures, terminals and files can show."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

# They turn the direction of the text that follows (Unicode Standard Annex 9, section 2).
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# Controls, halves of characters (surrogates), separators of lines and of paragraphs.
_UNSHOWN = frozenset({"Cc", "Cs", "Zl", "Zp"})


def unprintable(name: str) -> str | None:
    """The first character of a name that can't be shown; None if all can.

    Emoji, letters of all scripts and the characters that join them (ZWJ, variation selectors)
    can be shown. Control characters, lone surrogates, line separators, direction overrides and
    the noncharacters of Unicode can't.
    """
    if name.isascii() and name.isprintable():
        return None
    return next((c for c in name if _is_unprintable(c)), None)


def character_name(character: str) -> str:
    """A character as ``U+0000``, for a message."""
    return f"U+{ord(character):04X}"


def first_unprintable(names: Iterable[str]) -> tuple[str, str] | None:
    """The first name that can't be shown, and the character; None if all can."""
    for name in names:
        character = unprintable(name)
        if character is not None:
            return name, character
    return None


def _is_unprintable(character: str) -> bool:
    code = ord(character)
    return (
        unicodedata.category(character) in _UNSHOWN
        or character in _TURNING
        or (code & 0xFFFE) == 0xFFFE
        or 0xFDD0 <= code <= 0xFDEF
    )
