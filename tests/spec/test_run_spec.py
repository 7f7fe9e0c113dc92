"""A run's name: stable, and a hash of everything that decides what the run computes."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedlab.spec.recipe import ClipSpec, OptimizerSpec, RecipeSpec, ReinitSpec, ScheduleSpec
from seedlab.spec.run import EvaluationSpec, ModelSpec, RunSpec, Seeds, TaskSpec

PLACES = {
    ("task", "path"),
    ("task", "train_file"),
    ("task", "dev_file"),
    ("task", "test_file"),
    ("task", "allow_unknown_tokens"),
    ("model", "name"),
    ("model", "path"),
    ("model", "allow_pickle"),
    ("model", "trust_remote_code"),
    ("recipe", "intermediate", "study"),
    ("recipe", "intermediate", "run"),
    ("diagnostics", "gradient_norms"),
    ("diagnostics", "distances"),
    ("diagnostics", "representations"),
    ("diagnostics", "test_curve"),
}
BASE = RunSpec(data_hash="d" * 32, weights_hash="w" * 32)


def leaves(values: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if not dataclasses.is_dataclass(values):
        return [path]
    names = [field.name for field in dataclasses.fields(values)]
    return [leaf for name in names for leaf in leaves(getattr(values, name), (*path, name))]


def changed(values: Any, path: tuple[str, ...]) -> Any:
    """Return the specification with the field at `path` set to another value."""
    name, *rest = path
    old = getattr(values, name)
    if rest:
        return dataclasses.replace(values, **{name: changed(old, tuple(rest))})
    if isinstance(old, bool):
        new: Any = not old
    elif isinstance(old, (int, float)):
        new = old + 1
    elif isinstance(old, str):
        new = old + "x"
    else:
        new = ("a", "b") if name == "labels" else 17
    return dataclasses.replace(values, **{name: new})


FIELDS = [path for path in leaves(BASE) if path[0] != "unknown"]


def test_the_name_of_the_default_run_is_what_it_was():
    """Known answer: if it changes, every old study is trained again; raise SPEC_VERSION."""
    assert RunSpec().run_id == "32faf26c9183088b8bae"


@pytest.mark.parametrize("path", [f for f in FIELDS if f not in PLACES], ids=".".join)
def test_the_name_depends_on_every_field_that_decides(path):
    assert changed(BASE, path).run_id != BASE.run_id


@pytest.mark.parametrize("path", sorted(PLACES), ids=".".join)
def test_the_name_does_not_depend_on_where_things_lie_or_on_what_is_watched(path):
    assert path in FIELDS
    assert changed(BASE, path).run_id == BASE.run_id


def test_seeds_that_follow_order_and_seeds_that_say_the_same_name_one_run():
    follows = dataclasses.replace(BASE, seeds=Seeds(init=1, order=5))
    says = dataclasses.replace(BASE, seeds=Seeds(init=1, order=5, dropout=5, mixout=5))
    other = dataclasses.replace(BASE, seeds=Seeds(init=1, order=5, dropout=6))
    assert follows.run_id == says.run_id != other.run_id


SMALL = st.integers(0, 2**64)
UNIT = st.floats(0, 1)
SPECS = st.builds(
    RunSpec,
    task=st.builds(
        TaskSpec,
        name=st.text(),
        path=st.none() | st.text(),
        labels=st.none() | st.lists(st.text(), max_size=3).map(tuple),
        train_size=st.none() | SMALL,
        noise=UNIT,
    ),
    model=st.builds(ModelSpec, name=st.text(), path=st.none() | st.text()),
    recipe=st.builds(
        RecipeSpec,
        optimizer=st.builds(OptimizerSpec, learning_rate=UNIT, bias_correction=st.booleans()),
        schedule=st.builds(ScheduleSpec, warmup_ratio=UNIT, warmup_steps=st.none() | SMALL),
        clip=st.builds(ClipSpec, norm=UNIT),
        max_steps=st.none() | SMALL,
        reinit=st.builds(ReinitSpec, layers=st.none() | SMALL),
        dropout=st.none() | UNIT,
    ),
    evaluation=st.builds(EvaluationSpec, every=st.none() | SMALL),
    seeds=st.builds(Seeds, init=SMALL, order=SMALL, dropout=st.none() | SMALL),
    data_hash=st.text("0123456789abcdef", max_size=32),
    weights_hash=st.text("0123456789abcdef", max_size=32),
)


@settings(max_examples=100, deadline=None)
@given(SPECS)
def test_a_specification_survives_json_with_its_name(spec):
    again = RunSpec.from_dict(json.loads(json.dumps(spec.to_dict())))
    assert again == dataclasses.replace(spec, seeds=spec.seeds.resolved())
    assert again.run_id == spec.run_id
    assert len(spec.run_id) == 20
    assert set(spec.run_id) <= set("0123456789abcdef")
