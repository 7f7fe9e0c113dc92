"""Fields that come later change no name on disk, at whatever depth they lie."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, make_dataclass
from typing import Any

import pytest

from seedlab.fields import hints_of, identity_of, later, required, section_in
from seedlab.spec.early_stopping import EarlyStoppingSpec
from seedlab.spec.recipe import ClipSpec, MixoutSpec, OptimizerSpec, RecipeSpec
from seedlab.spec.run import EvaluationSpec, RunSpec, Seeds, TaskSpec
from tests.suites.pinned_ids import pinned


@dataclass(frozen=True)
class NovelSpec:
    """A section that no release has."""

    strength: float = 0.0
    inner: ClipSpec = later(ClipSpec)


def widened(kind: type) -> type:
    """Return a dataclass like another one, with a later field and a later section at every depth."""
    fields: list[tuple[str, Any, Any]] = []
    for item in dataclasses.fields(kind):
        section = section_in(hints_of(kind)[item.name])
        if section is None or item.name == "unknown":
            continue
        wide = widened(section)
        marked = item.metadata.get("later")
        fields.append(
            (item.name, wide, later(wide) if marked else dataclasses.field(default_factory=wide))
        )
    fields.append(("novel", int | None, later(None)))
    fields.append(("novel_section", NovelSpec, later(NovelSpec)))
    return make_dataclass(f"Wide{kind.__name__}", fields, bases=(kind,), frozen=True)


def moved(kind: Any, part: Any) -> Any:
    """Return the same values in the widened dataclass."""
    values = {}
    for item in dataclasses.fields(part):
        value = getattr(part, item.name)
        inner = section_in(hints_of(kind)[item.name])
        nested = dataclasses.is_dataclass(value) and item.name != "unknown"
        values[item.name] = moved(inner, value) if nested else value
    return kind(**values)


WideRun = widened(RunSpec)
SECTIONS = [
    (),
    ("task",),
    ("model",),
    ("evaluation",),
    ("seeds",),
    ("diagnostics",),
    ("recipe",),
    *(
        ("recipe", f.name)
        for f in dataclasses.fields(RecipeSpec)
        if section_in(hints_of(RecipeSpec)[f.name])
    ),
]


def put(part: Any, path: tuple[str, ...], **values: Any) -> Any:
    if not path:
        return dataclasses.replace(part, **values)
    inner = put(getattr(part, path[0]), path[1:], **values)
    return dataclasses.replace(part, **{path[0]: inner})


@pytest.mark.parametrize("line", pinned(), ids=str)
def test_later_fields_at_their_default_change_no_name(line):
    """Known answers of 0.1, computed with dataclasses that have a later field everywhere."""
    assert moved(WideRun, line.spec).run_id == line.run_id


@pytest.mark.parametrize("path", SECTIONS, ids=lambda path: ".".join(path) or "run")
def test_a_later_field_that_is_set_names_another_run(path):
    wide = WideRun(data_hash="data")
    for values in ({"novel": 3}, {"novel_section": NovelSpec(0.5)}):
        same = put(wide, path, **values).run_id == wide.run_id
        # What is watched and where the weights come from is no identity, whichever field it is.
        assert same == (path in (("diagnostics",), ("recipe", "intermediate")))


def test_of_a_section_that_is_on_only_the_fields_that_are_set_count():
    on = put(WideRun(), ("recipe", "mixout"), p=0.1)
    assert on.identity()["recipe"]["mixout"] == identity_of(MixoutSpec(p=0.1))
    inner = put(WideRun(), ("recipe",), novel_section=NovelSpec(0.5))
    assert inner.identity()["recipe"]["novel_section"] == {"strength": 0.5}


def test_a_later_stream_that_follows_order_changes_no_name():
    @dataclass(frozen=True)
    class MoreSeeds(Seeds):
        shuffle: int | None = later(None)

        def resolved(self) -> MoreSeeds:
            made = super().resolved()
            assert isinstance(made, MoreSeeds)
            return dataclasses.replace(
                made, shuffle=self.order if self.shuffle is None else self.shuffle
            )

    before = RunSpec(seeds=Seeds(init=1, order=5)).run_id
    assert RunSpec(seeds=MoreSeeds(init=1, order=5)).run_id == before
    assert RunSpec(seeds=MoreSeeds(init=1, order=5, shuffle=5)).run_id == before
    assert RunSpec(seeds=MoreSeeds(init=1, order=5, shuffle=6)).run_id != before


def test_whole_numbers_and_floats_name_one_run():
    whole = RunSpec(
        task=TaskSpec(noise=0),
        recipe=RecipeSpec(
            optimizer=OptimizerSpec(learning_rate=1), epochs=3.0, dropout=0, mixout=MixoutSpec(p=1)
        ),
        evaluation=EvaluationSpec(start_epoch=1),
    )
    floats = RunSpec(
        task=TaskSpec(noise=0.0),
        recipe=RecipeSpec(
            optimizer=OptimizerSpec(learning_rate=1.0),
            epochs=3,
            dropout=0.0,
            mixout=MixoutSpec(p=1.0),
        ),
        evaluation=EvaluationSpec(start_epoch=1.0),
    )
    assert whole.run_id == floats.run_id
    layers = RecipeSpec().layer_rates
    rates = [
        dataclasses.replace(layers, multipliers=m) for m in ((1, 2, 3, 4), (1.0, 2.0, 3.0, 4.0))
    ]
    assert len({RunSpec(recipe=RecipeSpec(layer_rates=r)).run_id for r in rates}) == 1


def test_a_later_setting_of_early_stopping_orphans_no_decision():
    """A cohort's folder is named by a hash of these values."""
    policy = EarlyStoppingSpec("start_many", fraction=0.5, continued=2)
    wide = moved(widened(EarlyStoppingSpec), policy)
    assert identity_of(wide) == identity_of(policy) == dataclasses.asdict(policy)
    assert json.dumps(identity_of(EarlyStoppingSpec(improvement=0))) == json.dumps(
        dataclasses.asdict(EarlyStoppingSpec())
    )
    assert identity_of(dataclasses.replace(wide, novel=1)) != identity_of(policy)


def test_required_fields_are_those_without_default():
    @dataclass
    class Some:
        a: int
        b: int = 3
        c: int = later(4)
        d: list[int] = dataclasses.field(default_factory=list)

    assert required(Some) == ["a"]
