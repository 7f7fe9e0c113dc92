"""Fields of stored dataclasses: their defaults and types, and the fields that an identity leaves out.

It imports the standard library alone, so that every layer may mark its fields.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any


def later(default: Any) -> Any:
    """Return a dataclass field that is not part of an identity at its default.

    A field that is added after a release must be marked so, at any depth. The names
    of all runs, cohorts and searches on disk then stay as they are.

    Parameters
    ----------
    default : a value, or a type that is called for one
    """
    if isinstance(default, type):
        return dataclasses.field(default_factory=default, metadata={"later": True})
    return dataclasses.field(default=default, metadata={"later": True})


def is_later(item: dataclasses.Field[Any]) -> bool:
    """Whether a field is marked with `later`."""
    return bool(item.metadata.get("later"))


def default_of(item: dataclasses.Field[Any]) -> Any:
    """Return a field's default, a new one if it has a factory; `MISSING` without a default."""
    made = item.default_factory
    return item.default if made is dataclasses.MISSING else made()


def required(kind: type) -> list[str]:
    """Return the names of a dataclass's fields that have no default."""
    return [f.name for f in dataclasses.fields(kind) if default_of(f) is dataclasses.MISSING]


def split_known(
    values: Mapping[str, Any], known: typing.Iterable[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the entries under known names, and the others."""
    names = set(known)
    return (
        {key: value for key, value in values.items() if key in names},
        {key: value for key, value in values.items() if key not in names},
    )


def flat(values: Mapping[str, Any], section: str = "") -> dict[str, Any]:
    """Return nested values by dotted key; tuples become lists."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{section}{key}.")
        else:
            found[f"{section}{key}"] = list(value) if isinstance(value, tuple) else value
    return found


def hints_of(kind: type) -> dict[str, Any]:
    """Return the types of a dataclass's fields."""
    return _hints(typing.cast("Any", kind))


@cache
def _hints(kind: Any) -> dict[str, Any]:
    # Cached, because resolving hints is slow. A class variable is no field.
    hints = typing.get_type_hints(kind)
    return {item.name: hints[item.name] for item in dataclasses.fields(kind)}


def types_in(hint: Any) -> tuple[Any, ...]:
    """Return the types that a hint allows, None's left out: those of a union, or the hint itself."""
    union = isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union
    options = typing.get_args(hint) if union else (hint,)
    return tuple(option for option in options if option is not types.NoneType)


def section_in(hint: Any) -> Any:
    """Return the dataclass that a hint allows; None where it allows none."""
    return next(
        (o for o in types_in(hint) if isinstance(o, type) and dataclasses.is_dataclass(o)), None
    )


def identity_of(part: Any, defaults: Any = None) -> dict[str, Any]:
    """Return a dataclass as plain values, later fields at their default left out at every depth.

    Parameters
    ----------
    part : dataclass instance
    defaults : instance of the same dataclass, optional
        Its later fields have their defaults, if these depend on other fields.

    Returns
    -------
    dict
        Numbers have the form of their field's type, so that 1 and 1.0 are one identity:
        a whole number in a field of floats is a float, and the reverse. Tuples stay tuples.
    """
    hints = hints_of(type(part))
    return {
        item.name: _form(hints[item.name], getattr(part, item.name))
        for item in dataclasses.fields(part)
        if not (is_later(item) and getattr(part, item.name) == _default_in(defaults, item))
    }


def _default_in(defaults: Any, item: dataclasses.Field[Any]) -> Any:
    return default_of(item) if defaults is None else getattr(defaults, item.name)


def _form(hint: Any, value: Any) -> Any:
    """Return a value of an identity in the form that its type asks for."""
    if dataclasses.is_dataclass(value):
        return identity_of(value)
    options = types_in(hint)
    if isinstance(value, tuple | list):
        return tuple(
            _form(inner, item)
            for inner, item in zip(_items(options, len(value)), value, strict=True)
        )
    whole = isinstance(value, int) and not isinstance(value, bool)
    if whole and float in options and int not in options:
        return float(value)
    if isinstance(value, float) and value.is_integer() and int in options and float not in options:
        return int(value)
    return value


def _items(options: tuple[Any, ...], length: int) -> Iterator[Any]:
    """Yield the type of every item of a tuple; `Any` where the hint does not say."""
    given = next((typing.get_args(o) for o in options if typing.get_origin(o) in (tuple, list)), ())
    if len(given) == length and Ellipsis not in given:
        yield from given
        return
    yield from [given[0] if given else Any] * length
