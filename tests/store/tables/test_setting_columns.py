"""Columns and labels of settings: hand-made studies whose settings are known."""

from __future__ import annotations

import dataclasses
import json

import pandas as pd
import pytest

from analysis.data.exported import read_study
from seedlab.commands.study.status import status
from seedlab.fields import flat
from seedlab.spec.column_names import COLUMNS, column_of
from seedlab.spec.run import RunSpec
from seedlab.store.tables.export import export
from seedlab.store.tables.schema import RUNS
from tests.suites.store_cases import make_result, make_spec, make_task


def changed(recipe=(), task=(), **parts):
    """A specification with other leaves: pairs of a section's field and its value."""
    spec = make_spec()
    made = spec.recipe
    for path, value in dict(recipe).items():
        section, _, field = path.rpartition(".")
        if section:
            inner = dataclasses.replace(getattr(made, section), **{field: value})
            made = dataclasses.replace(made, **{section: inner})
        else:
            made = dataclasses.replace(made, **{field: value})
    of_task = dataclasses.replace(spec.task, **dict(task))
    return dataclasses.replace(spec, recipe=made, task=of_task, **parts)


def write(study, specs):
    task = make_task()
    for spec in specs:
        for init in (0, 1):
            study.write(make_result(task, init, spec=spec), task)
    return study


def test_no_setting_has_the_column_of_another_quantity():
    """A new key of the configuration must not take the name of a column that exists."""
    known = {*COLUMNS.values(), "batch_size", "epochs", "max_steps", "accumulation", "dropout"}
    keys = [key for key in flat(RunSpec().to_dict()) if not key.startswith("seeds.")]
    columns = [column_of(key) for key in keys]
    assert len(set(columns)) == len(columns)
    # The recipe's name is the column `recipe`, so its own column is never made.
    assert set(columns) & set(RUNS) == known


def test_a_plain_study_has_the_promised_columns_alone(study):
    folder = export(write(study, [make_spec()]))
    assert list(pd.read_csv(folder / "runs.csv").columns) == list(RUNS)
    entry = json.loads((folder / "schema.json").read_text())["tables"]["runs"]["learning_rate"]
    assert entry["key"] == "recipe.optimizer.learning_rate"


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_a_leaf_that_differs_has_a_column_and_names_the_runs(study, format):
    layers, sizes = (None, 0, 3), (100, 400)
    specs = [
        changed({"reinit.layers": n}, {"dev_examples": size}, data_hash=f"{size:032d}")
        for n in layers
        for size in sizes
    ]
    folder = export(write(study, specs), format=format)
    runs = (pd.read_csv if format == "csv" else pd.read_parquet)(folder / f"runs.{format}")
    assert list(runs.columns) == [*RUNS, "task.dev_examples", "reinit.layers"] or list(
        runs.columns
    ) == [*RUNS, "reinit.layers", "task.dev_examples"]
    expected = {
        f"devlin, task.dev_examples={size}, reinit.layers={'null' if n is None else n}": (size, n)
        for n in layers
        for size in sizes
    }
    for label, part in runs.groupby("label"):
        size, n = expected.pop(label)
        assert (part["task.dev_examples"] == size).all()
        assert (
            part["reinit.layers"].isna().all() if n is None else (part["reinit.layers"] == n).all()
        )
        assert len(part) == 2
    assert not expected
    described = json.loads((folder / "schema.json").read_text())["tables"]["runs"]
    assert described["reinit.layers"] == {
        "type": "integer",
        "meaning": "setting recipe.reinit.layers; its default is null; empty if null",
        "key": "recipe.reinit.layers",
    }
    assert described["task.dev_examples"]["key"] == "task.dev_examples"
    # Status and report name the runs alike, and the report has them in the order of the values.
    read_back = read_study(folder)
    labels = [score.recipe for score in status(study).scores]
    assert [key.recipe for key in read_back.group_keys()] == labels
    assert {"reinit.layers", "task.dev_examples", "learning_rate"} <= set(read_back.settings)
    assert set(read_back.runs["recipe_name"]) == {"devlin"}


def test_a_recipe_that_is_not_the_default_says_so_and_a_task_does_not(study):
    """All runs have one setting: the label is the recipe's name."""
    spec = changed(
        {
            "reinit.layers": 5,
            "layer_rates.multipliers": (1.0, 2.0, 3.0, 4.0),
            "loss": "rmse",
            "features.active": True,
        },
        {"dev_examples": 77},
    )
    runs = pd.read_csv(export(write(study, [spec])) / "runs.csv")
    added = [name for name in runs.columns if name not in RUNS]
    assert sorted(added) == sorted(
        ["loss", "layer_rates.multipliers", "reinit.layers", "features.active"]
    )
    assert set(runs["layer_rates.multipliers"]) == {"[1.0, 2.0, 3.0, 4.0]"}
    assert set(runs["loss"]) == {"rmse"}
    assert runs["features.active"].dtype == bool
    assert set(runs["label"]) == {"devlin"}
