"""Allowed values of a setting: a range of numbers, or a choice of words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from seedlab.errors import SeedlabError, nearest


class Allowed(Protocol):
    """The values that a setting may have."""

    def check(self, key: str, value: Any) -> None:
        """Refuse a value that is not allowed.

        Raises
        ------
        SeedlabError
            The message names the key, the value and the allowed ones.
        """
        ...


@dataclass(frozen=True)
class Range:
    """Numbers between two bounds. Null is allowed here, because the type of a key decides on null.

    Parameters
    ----------
    low, high : float, optional
        None: no bound.
    above, below : bool
        Whether the bound itself is excluded.
    note : str
        Ends the message, for example with an example.
    """

    low: float | None = None
    high: float | None = None
    above: bool = False
    below: bool = False
    note: str = ""

    def __str__(self) -> str:
        """Return the range in words."""
        if self.low is not None and self.high is not None and not (self.above or self.below):
            return f"between {self.low:g} and {self.high:g}{self.note}"
        bounds = []
        if self.low is not None:
            bounds.append(f"{'above' if self.above else 'at least'} {self.low:g}")
        if self.high is not None:
            bounds.append(f"{'below' if self.below else 'at most'} {self.high:g}")
        return " and ".join(bounds) + self.note

    def check(self, key: str, value: Any) -> None:
        """See `Allowed`. NaN and infinity are in no range."""
        if value is None:
            return
        low, high = self.low, self.high
        inside = (
            (not isinstance(value, float) or math.isfinite(value))
            and (low is None or (value > low if self.above else value >= low))
            and (high is None or (value < high if self.below else value <= high))
        )
        if not inside:
            raise SeedlabError(f"{key}={value} is out of range; it must be {self}.")


@dataclass(frozen=True)
class OneOf:
    """A choice of words."""

    choices: tuple[str, ...]

    def __str__(self) -> str:
        """Return the words."""
        return ", ".join(self.choices)

    def check(self, key: str, value: Any) -> None:
        """See `Allowed`."""
        if value not in self.choices:
            raise SeedlabError(
                f"{key}={value} is not known; allowed: {', '.join(self.choices)}."
                f"{nearest(value, self.choices)}"
            )


AT_LEAST_0, AT_LEAST_1, ABOVE_0 = Range(0), Range(1), Range(0, above=True)
SHARE = Range(0, 1)
FRACTION = Range(0, 1, below=True)
"""A share that may not be the whole."""


def check_values(values: object, allowed: Mapping[str, Allowed], prefix: str = "") -> None:
    """Refuse the first value that is not allowed.

    Parameters
    ----------
    values : object
    allowed : mapping of dotted attribute name to Allowed
    prefix : str
        Beginning of the keys in the configuration, for example ``recipe.``.

    Raises
    ------
    SeedlabError
    """
    for name, limit in allowed.items():
        value: Any = values
        for part in name.split("."):
            value = getattr(value, part)
        limit.check(f"{prefix}{name}", value)
