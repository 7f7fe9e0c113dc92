"""Checks of options: each raises `OptionError` with the value and the allowed ones."""

from __future__ import annotations

import math
from collections.abc import Collection

from analysis.errors import OptionError


def check_probability(name: str, value: float) -> None:
    """Require a probability strictly between 0 and 1, such as a level or a power."""
    if not 0.0 < value < 1.0:
        raise OptionError(f"{name} is {value}; allowed: between 0 and 1, for instance 0.95.")


def check_positive(name: str, value: float) -> None:
    """Require a positive finite number."""
    if not (value > 0 and math.isfinite(value)):
        raise OptionError(f"{name} is {value}; allowed: positive finite numbers.")


def check_at_least(name: str, value: int, least: int) -> None:
    """Require a whole number that is not below `least`."""
    if value < least:
        raise OptionError(f"{name} is {value}; allowed: whole numbers from {least} on.")


def check_choice(name: str, value: object, allowed: Collection[object]) -> None:
    """Require one of the allowed values."""
    if value not in allowed:
        names = ", ".join(repr(choice) for choice in allowed)
        raise OptionError(f"{name} is {value!r}; allowed: {names}.")
