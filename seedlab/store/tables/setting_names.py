"""The settings of recorded runs, with labels that name their differences.

Runs of one setting differ in their seeds alone. Only they may share a table of scores, a median or
a majority value. `seedlab status` and the exported tables have the same labels.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seedlab.fields import flat
from seedlab.spec.column_names import column_of
from seedlab.spec.run import RunSpec
from seedlab.store.record import Record

_SUBSAMPLE = "seeds.subsample"
"""The one seed that decides the data, and with them the setting."""
_NOT_SETTINGS = ("seeds.", "diagnostics.")
# Differences that a user did not type, or that do not decide a result, are named only where
# nothing else tells two settings apart. So a moved folder is not a difference.
_LAST = (
    ("task.path", "task.train_file", "task.dev_file", "task.test_file"),
    ("model.path", "recipe.intermediate.study", "recipe.intermediate.run"),
    (_SUBSAMPLE,),
    ("data_hash", "weights_hash"),
)
_DIGITS = 8
"""Digits of a hash that are shown."""


@dataclass(frozen=True)
class NamedSetting:
    """The records of one setting.

    Parameters
    ----------
    label : str
        The recipe's name and what differs from the other settings of the same task, model, recipe
        and metric: ``devlin, learning_rate=3e-05``.
    spec : RunSpec
        Specification of one of the runs.
    values : mapping of dotted key to value
        The leaves that all runs share.
    records : tuple of Record
        At least one.
    """

    label: str
    spec: RunSpec
    values: Mapping[str, Any]
    records: tuple[Record, ...]


def named_settings(records: Iterable[Record]) -> list[NamedSetting]:
    """Return the settings of some runs, sorted by task, model, recipe, metric and differences."""
    groups: dict[tuple[str, str, str, str], dict[str, list[Record]]] = {}
    names: dict[str, str] = {}
    specs: dict[str, list[RunSpec]] = {}
    for record in records:
        # Specifications that differ in their other seeds alone are built once.
        seeds = {"subsample": record.seeds.get("subsample", 0)}
        text = json.dumps(record.spec | {"seeds": seeds}, sort_keys=True)
        if text not in names:
            spec = record.run_spec()
            names[text] = spec.setting
            specs.setdefault(spec.setting, []).append(spec)
        group = groups.setdefault((record.task, record.model, record.recipe, record.metric), {})
        group.setdefault(names[text], []).append(record)
    found = {name: _common([flat(s.to_dict()) for s in of]) for name, of in specs.items()}
    return [
        NamedSetting(
            ", ".join([key[2], *difference]), specs[name][0], found[name], tuple(group[name])
        )
        for key, group in sorted(groups.items())
        for name, difference in differences({name: found[name] for name in group}).items()
    ]


def differences(found: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return what differs between settings as ``name=value``; nothing for a single setting.

    Settings are sorted by the values of the differing keys, numbers as numbers.
    """
    if len(found) == 1:
        return {name: [] for name in found}
    first, *others = found.values()
    keys = [
        key
        for key in first
        if all(key in other for other in others)
        and (key == _SUBSAMPLE or not key.startswith(_NOT_SETTINGS))
        and any(other[key] != first[key] for other in others)
    ]
    shown = [key for key in keys if not any(key in last for last in _LAST)]
    for last in _LAST:
        if _apart(found, shown):
            break
        shown += [key for key in keys if key in last]
    if not _apart(found, shown):
        found = {name: {**values, "setting": name} for name, values in found.items()}
        shown.append("setting")
    order = sorted(found, key=lambda name: [_rank(found[name][key]) for key in shown])
    return {
        name: [f"{_shown(key)}={value_text(key, found[name][key])}" for key in shown]
        for name in order
    }


def _common(several: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the entries that several mappings share; paths, for one, may differ in a setting."""
    first, *others = several
    return {k: v for k, v in first.items() if all(k in o and o[k] == v for o in others)}


def _apart(found: Mapping[str, Mapping[str, Any]], keys: Sequence[str]) -> bool:
    """Return whether the values of some keys tell all settings apart."""
    return len({json.dumps([v[k] for k in keys]) for v in found.values()}) == len(found)


def _rank(value: Any) -> tuple[int, float, str]:
    """Return a key that sorts numbers by size and other values as text, None first."""
    if value is None:
        return 0, 0.0, ""
    if isinstance(value, int | float):
        return 1, float(value), ""
    return 2, 0.0, str(value)


def _shown(key: str) -> str:
    """Return the name of a key in a label; at the command line the section of seeds is seed."""
    return "recipe" if key == "recipe.name" else column_of(key).replace("seeds.", "seed.")


def value_text(key: str, value: Any) -> str:
    """Return a value as it is written at the command line; of a hash the first digits."""
    if key in _LAST[-1]:
        return str(value)[:_DIGITS]
    if value is None or isinstance(value, bool):
        return str(value).lower().replace("none", "null")
    return str(value)
