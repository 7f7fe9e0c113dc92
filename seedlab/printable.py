"""Texts of files and users as a terminal may show them: no control characters, no long lines."""

from __future__ import annotations

import unicodedata

# Controls, halves of characters (surrogates), separators of lines and of paragraphs.
_UNSHOWN = frozenset({"Cc", "Cs", "Zl", "Zp"})
# They turn the direction of the text that follows (Unicode Standard Annex 9, section 2).
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_LONGEST = 1000
_KEPT_END = 300


def is_printable(text: str) -> bool:
    """Return whether every character of a text can be shown; emoji and joiners can."""
    return text.isprintable() or not any(map(_is_unshown, text))


def printable(text: str) -> str:
    r"""Return a text for the terminal.

    Characters that can't be shown become escapes such as ``\x1b``; line ends and tabs stay. The
    middle of a line of more than 1,000 characters is left out, because its end has the remedy.
    """
    return "\n".join(map(_shortened, map(_escaped, text.split("\n"))))


def _escaped(line: str) -> str:
    if is_printable(line):
        return line
    return "".join(ascii(c)[1:-1] if _is_unshown(c) and c != "\t" else c for c in line)


def _shortened(line: str) -> str:
    if len(line) <= _LONGEST:
        return line
    left_out = len(line) - _LONGEST
    return f"{line[: _LONGEST - _KEPT_END]} [{left_out:,} characters left out] {line[-_KEPT_END:]}"


def _is_unshown(character: str) -> bool:
    return unicodedata.category(character) in _UNSHOWN or character in _TURNING
