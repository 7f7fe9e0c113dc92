"""The keys of a configuration: their meanings, types, allowed values and defaults.

A meaning is the text below the field of a dataclass. So the help of `seedlab run`, the page
docs/reference/configuration.md and the code are one source.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import re
import textwrap
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from omegaconf import OmegaConf

from seedlab.allowed import Allowed, OneOf
from seedlab.config.checks import allowed_values
from seedlab.config.settings import SECTIONS
from seedlab.fields import hints_of, section_in, types_in
from seedlab.paths import conf_folder

_TYPES = {
    int: "whole number",
    float: "number",
    str: "text",
    bool: "true or false",
    list: "list",
    tuple: "list",
    dict: "mapping",
    Any: "text or list",
}
_HYDRA = {
    "hydra.launcher": "hydra/launcher/seedlab.yaml",
    "hydra.sweeper": "hydra/sweeper/seedlab_optuna.yaml",
}
"""Sections of Hydra's own configuration and the places of our classes in its config store."""
_GENERAL = {
    "study": ("name of the study; by default made of the names of task and model", "text"),
    "studies_dir": ("folder of all studies", "text"),
    "dry": ("print the plan and train nothing", "true or false"),
}


@dataclass(frozen=True)
class Key:
    """One key of a configuration.

    Parameters
    ----------
    name : str
        In dotted form, as on the command line.
    default : str
        Without any override, as it is written on the command line.
    meaning : str
    allowed : str
        The type, and the range or the choice.
    """

    name: str
    default: str
    meaning: str
    allowed: str


@dataclass(frozen=True)
class KeySection:
    """A section of a configuration, its purpose and its keys."""

    name: str
    purpose: str
    keys: tuple[Key, ...]


def key_sections(defaults: Mapping[str, Any]) -> list[KeySection]:
    """Return all keys of a configuration, section by section.

    Parameters
    ----------
    defaults : mapping
        The composed configuration without overrides, as nested plain values.
    """
    limits = allowed_values()
    found = []
    for name, kind in SECTIONS.items():
        found += list(_sections(kind, name, defaults[name], limits))
    keys = tuple(
        Key(name, "TASK-MODEL" if name == "study" else _text(defaults[name]), *words)
        for name, words in _GENERAL.items()
    )
    found.append(KeySection("", "The study, and the command as a whole.", keys))
    # Hydra registers our plugins' classes when it searches for plugins.
    Plugins.instance()
    for name, place in _HYDRA.items():
        node = ConfigStore.instance().load(place).node
        kind = typing.cast("type", OmegaConf.get_type(node))
        values = typing.cast("dict[str, Any]", OmegaConf.to_container(node))
        found += list(_sections(kind, name, values, limits))
    return found


def choices() -> dict[str, list[str]]:
    """Return the names that ``GROUP=NAME`` may have, by group."""
    folders = sorted(path for path in conf_folder().iterdir() if path.is_dir())
    return {folder.name: sorted(path.stem for path in folder.glob("*.yaml")) for folder in folders}


def _sections(
    kind: type, name: str, values: Mapping[str, Any], limits: Mapping[str, Allowed]
) -> Iterator[KeySection]:
    hints = hints_of(kind)
    meanings = field_meanings(kind)
    nested = {field: section for field in hints if (section := section_in(hints[field]))}
    keys = tuple(
        Key(
            f"{name}.{field}",
            _text(values[field]),
            meanings.get(field, ""),
            _allowed(hints[field], limits.get(f"{name}.{field}")),
        )
        for field in hints
        if field not in nested and not field.startswith("_")
    )
    purpose = " ".join(inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0].split())
    if keys:
        yield KeySection(name, purpose, keys)
    for field, section in nested.items():
        yield from _sections(section, f"{name}.{field}", values[field], limits)


@cache
def field_meanings(kind: type) -> dict[str, str]:
    """Return the text below every field of a dataclass, on one line.

    Python keeps no such text, so the source is read.
    """
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    body = typing.cast("ast.ClassDef", tree.body[0]).body
    found = {}
    for above, below in itertools.pairwise(body):
        if (
            isinstance(above, ast.AnnAssign)
            and isinstance(above.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
        ):
            text = " ".join(str(below.value.value).split())
            found[above.target.id] = re.sub(r"\bNone\b", "null", text)
    return found


def _allowed(hint: Any, limit: Allowed | None) -> str:
    wanted = types_in(hint)[0]
    text = _TYPES[typing.get_origin(wanted) or wanted]
    if isinstance(limit, OneOf):
        text = str(limit)
    elif limit is not None:
        text += f" {limit}" if str(limit)[0].isalpha() else str(limit)
    optional = types.NoneType in typing.get_args(hint)
    return f"{text}, or null" if optional and "or null" not in text else text


def _text(value: Any) -> str:
    """Return a value as a user writes it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return f"[{','.join(_text(item) for item in value)}]"
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{key}:{_text(item)}' for key, item in value.items())}}}"
    return f"{value:g}" if isinstance(value, float) else str(value)
