"""Known answers: the names that 0.1 gave. If one changes, studies on disk are trained again."""

from __future__ import annotations

import dataclasses
import json

import pytest

from seedlab.spec.run import RunSpec
from tests.suites.pinned_ids import pinned

PINNED = pinned()
# Fields of 0.1. A later one is named below only if its identity is pinned as well.
NEVER_SET = {"data_hash", "weights_hash"}


def flat(part, prefix=""):
    found = {}
    for item in dataclasses.fields(part):
        value = getattr(part, item.name)
        name = prefix + item.name
        found |= flat(value, f"{name}.") if dataclasses.is_dataclass(value) else {name: value}
    return found


@pytest.mark.parametrize("line", PINNED, ids=str)
def test_a_run_has_the_name_that_0_1_gave_it(line):
    assert line.spec.run_id == line.run_id
    stored = json.loads(json.dumps(line.spec.to_dict()))
    assert RunSpec.from_dict(stored).run_id == line.run_id


def test_every_field_is_set_in_some_pinned_run():
    plain = flat(RunSpec())
    still = {
        name
        for name, value in plain.items()
        if not name.startswith("unknown.")
        and all(flat(line.spec)[name] == value for line in PINNED[1:])
    }
    assert still - NEVER_SET == set(), "pin the name of a run that sets the new field"
    assert len({line.run_id for line in PINNED}) > 100
