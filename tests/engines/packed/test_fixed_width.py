"""Constant width: a run has the same bits alone, in a pack, and when a neighbour ends."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from seedlab.engines.packed.engine import PackedEngine
from seedlab.models.pretrained import Weights
from seedlab.spec.pack import EngineSpec
from seedlab.spec.recipe import OptimizerSpec
from seedlab.spec.run import DiagnosticsSpec, RunSpec
from seedlab.training.result import RunResult
from tests.suites.runs import RECIPE, MemoryCheckpointManager, assert_same, callbacks, make_run
from tests.suites.tiny import tiny_task, tiny_weights

WILD = dataclasses.replace(RECIPE, optimizer=OptimizerSpec(1e38, bias_correction=False))


def train(
    runs: list[RunSpec],
    weights: Weights,
    slots: int | None,
    checkpoint_manager: MemoryCheckpointManager | None = None,
) -> list[RunResult]:
    """Return the results of one stack of all slots, in the order of the runs."""
    engine = PackedEngine(stack=100, slots=slots)
    results = engine.train(runs, tiny_task(), weights, callbacks(tiny_task(), checkpoint_manager))
    by_id = {result.spec.run_id: result for result in results}
    return [by_id[run.run_id] for run in runs]


def test_a_run_alone_is_the_run_in_its_pack(tmp_path: Path) -> None:
    """A single run uses other kernels than a stack of several, except among dummies."""
    weights, runs = tiny_weights(tmp_path, "roberta"), [make_run(init) for init in range(3)]
    together = train(runs, weights, 3)
    for run, result in zip(runs, together, strict=True):
        (alone,) = train([run], weights, 3)
        assert_same(alone, result)
        assert alone.provenance["width"] == alone.provenance["stack"] == 3
        assert alone.provenance["constant_width"] is True


def test_the_model_of_a_run_alone_is_its_own(tmp_path: Path) -> None:
    """`seedlab save` writes the run's weights, not a dummy's."""
    weights = tiny_weights(tmp_path)
    kept = []
    for slots in (2, 5):
        train([make_run(4)], weights, slots)
        state = weights.model.state_dict()
        kept.append({name: tensor.clone() for name, tensor in state.items()})
    assert all(np.array_equal(kept[0][name], kept[1][name]) for name in kept[0])


def test_a_neighbour_that_diverges_changes_nothing(tmp_path: Path) -> None:
    """A run has the same bits beside a neighbour that diverges and beside one that finishes."""
    weights, seen = tiny_weights(tmp_path), DiagnosticsSpec(distances=True, representations=3)
    calm = [make_run(init, diagnostics=seen) for init in range(2)]
    wild = make_run(0, recipe=WILD, diagnostics=seen)
    beside_calm = train(calm, weights, 2)[1]
    gone, beside_wild = train([wild, calm[1]], weights, 2)
    assert gone.status == "diverged"
    assert_same(beside_wild, beside_calm)
    assert beside_wild.profiles == beside_calm.profiles
    assert np.array_equal(beside_wild.representations, beside_calm.representations)
    assert beside_wild.provenance["narrowed"] is False


def test_without_dummies_the_record_says_that_the_stack_got_narrower(tmp_path: Path) -> None:
    runs = [make_run(0, recipe=WILD), make_run(1), make_run(2)]
    gone, *others = train(runs, tiny_weights(tmp_path), None)
    assert gone.provenance["narrowed"] is False
    assert [r.provenance["narrowed"] for r in others] == [True, True]
    assert {r.provenance["width"] for r in others} == {3}


def test_a_resumed_run(tmp_path: Path) -> None:
    weights, runs = tiny_weights(tmp_path), [make_run(init) for init in range(2)]
    whole = train(runs, weights, 3)
    checkpoint_manager = MemoryCheckpointManager(until=7)
    train(runs, weights, 3, checkpoint_manager)
    checkpoint_manager.until = None
    for a, b in zip(whole, train(runs, weights, 3, checkpoint_manager), strict=True):
        assert_same(a, b)


@pytest.mark.parametrize(("constant", "slots"), [(True, 7), (False, None)])
def test_the_setting(constant: bool, slots: int | None) -> None:
    engine = PackedEngine.of(EngineSpec("packed", width=7, stack=3, constant_width=constant))
    assert (engine.stack, engine.slots, engine.capturer) == (3, slots, None)
