"""Dataclasses from plain values: `build` in general, `read_stored` for values on disk.

`seedlab.config.settings` builds a configuration strictly: it refuses an unknown key. Values on
disk may come from another release, so `read_stored` keeps unknown keys.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from seedlab.fields import hints_of, section_in

T = TypeVar("T")
Convert = Callable[[Any, Any, str], Any]
"""(type hint, value, dotted name) -> the field's value, or `dataclasses.MISSING` for its default"""
Refuse = Callable[[str, Any, str, Mapping[str, Any]], None]
"""(key, value, dotted name of its section, the section's type hints) -> None, for an unknown key"""


def build(
    kind: type[T], values: Mapping[str, Any], where: str, convert: Convert, unknown: Refuse
) -> T:
    """Build a dataclass from plain values, nested ones included.

    Parameters
    ----------
    kind : dataclass type
    values : mapping
        Keys may be missing: they take their defaults.
    where : str
        Dotted name of the section; empty at the top.
    convert : callable
        Makes every value that is no section.
    unknown : callable
        Called with every key that the dataclass does not have.
    """
    hints = hints_of(kind)
    made: dict[str, Any] = {}
    for key, value in values.items():
        if key not in hints:
            unknown(str(key), value, where, hints)
            continue
        name, section = f"{where}.{key}" if where else str(key), section_in(hints[key])
        if section is not None and isinstance(value, Mapping):
            made[key] = build(section, value, name, convert, unknown)
        else:
            made[key] = convert(hints[key], value, name)
    return kind(**{key: value for key, value in made.items() if value is not dataclasses.MISSING})


@dataclass(frozen=True)
class UnknownFields:
    """Content of a stored specification that this release has no field for.

    Parameters
    ----------
    values : tuple of (dotted name, JSON text)
    decide : bool
        Whether they are part of the run's identity.
    """

    values: tuple[tuple[str, str], ...] = ()
    decide: bool = False

    def put_into(self, values: dict[str, Any], omitted: tuple[str, ...] = ()) -> dict[str, Any]:
        """Return nested plain values, with the unknown ones added.

        Parameters
        ----------
        values : dict
            Changed in place.
        omitted : tuple of str
            Top-level sections that are left out.
        """
        for name, text in self.values:
            *sections, key = name.split(".")
            if sections[:1] and sections[0] in omitted:
                continue
            place = values
            for section in sections:
                place = place.setdefault(section, {})
            place[key] = json.loads(text)
        return values


def read_stored(kind: type[T], values: Mapping[str, Any]) -> tuple[T, tuple[tuple[str, str], ...]]:
    """Build a dataclass from values on disk, whichever release wrote them.

    Parameters
    ----------
    kind : dataclass type
        Every field has a default.
    values : mapping
        Plain values, as JSON holds them.

    Returns
    -------
    the instance
        Missing fields have their defaults. Lists are tuples.
    unknown : tuple of (dotted name, JSON text)
        Values without a field, sorted by name: unknown keys, sections where the field is plain,
        and plain values where the field is a section.
    """
    found: list[tuple[str, str]] = []

    def keep(name: str, value: Any) -> None:
        found.append((name, json.dumps(value, sort_keys=True)))

    def convert(hint: Any, value: Any, name: str) -> Any:
        if isinstance(value, Mapping) or section_in(hint) is not None:
            keep(name, value)
            return dataclasses.MISSING
        return _frozen(value)

    def unknown(key: str, value: Any, where: str, hints: Mapping[str, Any]) -> None:
        keep(f"{where}.{key}" if where else key, value)

    made = build(kind, values, "", convert, unknown)
    return made, tuple(sorted(found))


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
