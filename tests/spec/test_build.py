"""Specifications on disk are read, whichever release wrote them."""

from __future__ import annotations

import dataclasses
import json
import pickle
from typing import Any

import pytest

from seedlab.spec.build import read_stored
from seedlab.spec.recipe import MixoutSpec, RecipeSpec
from seedlab.spec.run import RunSpec, Seeds

RUN = RunSpec(recipe=RecipeSpec(mixout=MixoutSpec(p=0.3)), data_hash="d", weights_hash="w")


def stored(run: RunSpec = RUN) -> dict[str, Any]:
    return json.loads(json.dumps(run.to_dict()))


def test_missing_fields_and_sections_take_their_defaults():
    values = stored()
    del (
        values["recipe"]["adapter"],
        values["recipe"]["mixout"]["granularity"],
        values["diagnostics"],
    )
    read = RunSpec.from_dict(values)
    assert read == dataclasses.replace(RUN, seeds=RUN.seeds.resolved())
    assert read.run_id == RUN.run_id


def test_unknown_fields_survive_in_their_places():
    values = stored()
    values["recipe"]["mixout"]["annealed"] = [1, {"a": None}]
    values["recipe"]["sharpness"] = {"rho": 0.05}
    values["cluster"] = "north"
    # A section where a plain field was, and the reverse.
    values["recipe"]["batch_size"] = {"train": 16}
    values["recipe"]["clip"] = 1.0
    read = RunSpec.from_dict(values)
    assert json.loads(json.dumps(read.to_dict())) == values
    assert (read.recipe.batch_size, read.recipe.clip) == (16, RecipeSpec().clip)
    assert hash(read) == hash(RunSpec.from_dict(values))


def test_unknown_fields_that_have_no_part_in_the_recorded_name_are_no_identity():
    """A newer release wrote them at their default."""
    values = stored()
    values["recipe"]["sharpness"] = {"rho": 0.0}
    read = RunSpec.from_dict(values, RUN.run_id)
    assert read.run_id == RUN.run_id
    assert not read.unknown.decide
    assert read.identity() == RUN.identity()
    other = dataclasses.replace(read, seeds=Seeds(init=4))
    assert other.run_id == dataclasses.replace(RUN, seeds=Seeds(init=4)).run_id


def test_unknown_fields_that_decide_are_identity_and_the_recorded_name_stays():
    values = stored()
    values["recipe"]["sharpness"] = {"rho": 0.05}
    recorded = "0123456789abcdef0123"
    read = RunSpec.from_dict(values, recorded)
    assert read.run_id == recorded
    assert read.unknown.decide
    assert read != RunSpec.from_dict(stored())
    assert read.identity()["recipe"]["sharpness"] == {"rho": 0.05}
    weaker = json.loads(json.dumps(values))
    weaker["recipe"]["sharpness"]["rho"] = 0.01
    assert RunSpec.from_dict(weaker, "f" * 20).identity() != read.identity()
    assert pickle.loads(pickle.dumps(read)).run_id == recorded  # noqa: S301


def test_a_copy_with_other_values_does_not_keep_the_recorded_name():
    read = RunSpec.from_dict(stored(), "0123456789abcdef0123")
    other = dataclasses.replace(read, seeds=Seeds(init=4))
    assert other.run_id == dataclasses.replace(RUN, seeds=Seeds(init=4)).run_id


def test_the_recorded_name_stays_where_a_default_has_changed():
    values = stored()
    del values["recipe"]["epochs"]
    assert RunSpec.from_dict(values, "a" * 20).run_id == "a" * 20


def test_unknown_diagnostics_are_no_identity():
    values = stored()
    values["diagnostics"]["sharpness_every"] = 5
    assert RunSpec.from_dict(values, "a" * 20).identity() == RUN.identity()


@pytest.mark.parametrize("kind", [MixoutSpec, Seeds])
def test_a_section_is_read_by_itself(kind):
    made, unknown = read_stored(kind, {**dataclasses.asdict(kind()), "novel": 1})
    assert made == kind()
    assert unknown == (("novel", "1"),)
