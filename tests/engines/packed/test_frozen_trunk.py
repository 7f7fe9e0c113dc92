"""Frozen parameters are stored once, and frozen stages computed once, for all runs of a pack."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from seedlab.engines.choose import choose
from seedlab.engines.packed import column
from seedlab.engines.packed.column import ColumnModel
from seedlab.engines.packed.encoder.encoder import StackedEncoder
from seedlab.engines.packed.engine import PackedEngine
from seedlab.engines.packed.options import ComputeOptions
from seedlab.engines.packed.thread_pool import ThreadPool
from seedlab.models.pretrained import Weights
from seedlab.spec.recipe import FreezeSpec, ReinitSpec
from seedlab.spec.run import RunSpec, Seeds
from seedlab.training.result import RunResult
from seedlab.training.step_plan import make_plan
from tests.suites.runs import RECIPE, assert_same, callbacks, make_run
from tests.suites.techniques import TECHNIQUES
from tests.suites.tiny import tiny_task, tiny_weights


def train(runs: list[RunSpec], weights: Weights) -> list[RunResult]:
    """Return results in the order of the runs."""
    results = PackedEngine().train(runs, tiny_task(), weights, callbacks(tiny_task()))
    by_id = {result.spec.run_id: result for result in results}
    return [by_id[run.run_id] for run in runs]


@pytest.mark.parametrize("stack", [1, 100], ids=["stacks of one", "one stack"])
def test_frozen_parameters_are_shared(stack: int, tmp_path: Path) -> None:
    """A run's vectors do not contain them, and all stacks read the same memory."""
    recipe = dataclasses.replace(RECIPE, **TECHNIQUES["freeze"])
    runs = [make_run(init, recipe=recipe) for init in range(4)]
    plans = [make_plan(run.recipe, run.evaluation, 38) for run in runs]
    weights = tiny_weights(tmp_path)
    frozen = {
        name: parameter.numel()
        for name, parameter in weights.model.named_parameters()
        if name.startswith(("bert.embeddings", "bert.encoder.layer.0"))
    }
    trained = sum(p.numel() for p in weights.model.parameters()) - sum(frozen.values())
    with ThreadPool(1) as thread_pool:
        pack_model = ColumnModel(
            runs, plans, tiny_task(), weights, thread_pool, ComputeOptions(stack)
        )
        (memory,) = thread_pool.map(lambda _, memory: memory, [0])
        for stacked in pack_model.stacks:
            optimizer = stacked.optimizer
            for tensor in (optimizer.weights, optimizer.first, optimizer.second, memory.flat):
                # Each of the 20 tensors may be followed by a gap of at most 15 elements.
                assert trained <= tensor.shape[1] <= trained + 20 * 15
            assert {
                stacked.parameters[name].data_ptr()
                == pack_model.batch_builder.frozen_trunk.parameters[name].data_ptr()
                for name in frozen
            } == {True}
        held = pack_model.batch_builder.frozen_trunk.parameters[
            "bert.embeddings.LayerNorm.weight"
        ].untyped_storage()
        assert held.nbytes() < 4 * (sum(frozen.values()) + 20 * 15)


def test_the_frozen_part_is_computed_once_per_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For any number of runs: once per update and dropout key, and once per validation batch."""
    calls, frozen_trunk = [0], StackedEncoder.frozen_trunk

    def count(self: StackedEncoder, at: Any) -> Any:
        calls[0] += 1
        return frozen_trunk(self, at)

    monkeypatch.setattr(StackedEncoder, "frozen_trunk", count)
    weights = tiny_weights(tmp_path)
    for freeze, keys in ((FreezeSpec(1), 2), (FreezeSpec(1, dropout=False), 1)):
        recipe = dataclasses.replace(RECIPE, freeze=freeze)
        runs = [
            make_run(recipe=recipe, seeds=Seeds(init, 0, dropout=key).resolved())
            for init in range(3)
            for key in (0, 1)
        ]
        calls[0] = 0
        train(runs, weights)
        # 20 updates; 21 validation examples in batches of 5.
        assert calls[0] == 20 * keys + 5


@pytest.mark.parametrize("room", [0, 4000, 10**6])
def test_the_cache_size_of_frozen_outputs_changes_no_result(
    room: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outputs that do not fit in the cache are computed again, with the same bits."""
    recipe = dataclasses.replace(RECIPE, **TECHNIQUES["freeze"])
    runs, weights = [make_run(init, recipe=recipe) for init in range(2)], tiny_weights(tmp_path)
    expected = train(runs, weights)
    monkeypatch.setattr(column, "free_bytes", lambda _: 10**9)
    monkeypatch.setattr(column, "_ROOM", room / 10**9)
    for a, b in zip(train(runs, weights), expected, strict=True):
        assert_same(a, b)


def test_layers_both_frozen_and_new_need_the_serial_engine(tmp_path: Path) -> None:
    weights = tiny_weights(tmp_path)
    recipe = dataclasses.replace(RECIPE, freeze=FreezeSpec(1), reinit=ReinitSpec(1))
    assert choose("auto", make_run(recipe=recipe), weights.model) == ("packed", "")
    recipe = dataclasses.replace(RECIPE, freeze=FreezeSpec(1), reinit=ReinitSpec(2))
    engine, reason = choose("auto", make_run(recipe=recipe), weights.model)
    assert engine == "serial"
    assert "reinit.layers=2 and recipe.freeze.layers=1 have layers in common" in reason
