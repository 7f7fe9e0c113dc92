"""Columns of the table `runs` for settings: one per leaf that differs, from the default or by run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from seedlab.fields import flat
from seedlab.spec.column_names import COLUMNS, column_of
from seedlab.spec.run import RunSpec
from seedlab.store.tables.schema import RUNS, Columns
from seedlab.store.tables.setting_names import NamedSetting, value_text

# Names and places: other columns have them, or they are no part of a run's identity.
_NOT_COLUMNS = frozenset(
    {
        *("recipe.name", "recipe.intermediate.study", "recipe.intermediate.run"),
        *("task.name", "task.path", "task.train_file", "task.dev_file", "task.test_file"),
        *("task.allow_unknown_tokens", "model.name", "model.path", "model.allow_pickle"),
        *("model.trust_remote_code", "data_hash", "weights_hash"),
    }
)
_OF_RUN = ("seeds.", "diagnostics.")

KEYS = {
    **{column: key for key, column in COLUMNS.items()},
    **{
        name: f"recipe.{name}"
        for name in ("batch_size", "epochs", "max_steps", "accumulation", "dropout")
    },
}
"""Keys of the configuration whose columns every table has, by column."""


def setting_columns(settings: Sequence[NamedSetting]) -> dict[str, tuple[str, tuple[str, str]]]:
    """Return the columns of a study's further settings.

    A leaf of the recipe has a column if a run's value is not the default. Leaves of the task, the
    model and the evaluations have one if the runs differ in it.

    Returns
    -------
    dict of column to (key of the configuration, (type, meaning))
        In the order of the configuration.
    """
    default = flat(RunSpec().to_dict())
    keys = dict.fromkeys(key for setting in settings for key in setting.values)
    made: dict[str, tuple[str, tuple[str, str]]] = {}
    for key in sorted(keys, key=lambda key: list(default).index(key) if key in default else 10**6):
        column = column_of(key)
        if key in _NOT_COLUMNS or key.startswith(_OF_RUN) or column in RUNS:
            continue
        values = [setting.values.get(key, default.get(key)) for setting in settings]
        reference = default.get(key) if key.startswith("recipe.") else values[0]
        if any(value != reference for value in values):
            usual = value_text(key, default.get(key))
            text = f"setting {key}; its default is {usual}; empty if null"
            made[column] = (key, (_type(values), text))
    return made


def setting_values(setting: NamedSetting, columns: Mapping[str, tuple[str, Any]]) -> dict[str, Any]:
    """Return the values of a setting's columns; lists and texts among numbers as text."""
    default = flat(RunSpec().to_dict())
    found: dict[str, Any] = {}
    for column, (key, (kind, _)) in columns.items():
        value = setting.values.get(key, default.get(key))
        text = kind == "string" and value is not None and not isinstance(value, str)
        found[column] = json.dumps(value) if text else value
    return found


def with_settings(runs: Columns, columns: Mapping[str, tuple[str, tuple[str, str]]]) -> Columns:
    """Return the columns of the table `runs` with those of further settings at the end."""
    return {**runs, **{name: described for name, (_, described) in columns.items()}}


def _type(values: Iterable[Any]) -> str:
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return "boolean"
    if kinds and kinds <= {int}:
        return "integer"
    return "number" if kinds and kinds <= {int, float} else "string"
