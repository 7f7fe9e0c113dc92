"""Replayed training steps have the same bits as steps without CUDA graphs.

A tape imitates CUDA graphs (tests/suites/tape.py). It replays operations on the memory of their
capture, and raises where a graph can't be captured.
"""

from __future__ import annotations

import dataclasses
import gc
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seedlab.engines.packed.column import ColumnModel
from seedlab.engines.packed.cuda_graphs import GraphCache
from seedlab.engines.packed.encoder.ops import Workspace
from seedlab.engines.packed.engine import PackedEngine
from seedlab.engines.packed.options import ComputeOptions
from seedlab.engines.packed.thread_pool import ThreadPool
from seedlab.models.pretrained import Weights
from seedlab.spec.recipe import OptimizerSpec
from seedlab.spec.run import DiagnosticsSpec, ModelSpec, RunSpec, Seeds
from seedlab.training.batches import collate
from seedlab.training.result import RunResult
from seedlab.training.step_plan import make_plan
from tests.suites.runs import RECIPE, MemoryCheckpointManager, assert_same, callbacks, make_run
from tests.suites.tape import Tape
from tests.suites.techniques import TECHNIQUES, model_options
from tests.suites.tiny import ARCHITECTURES, tiny_task, tiny_weights

STEPS = 20
"""Of the suite's recipe: 4 epochs of 5 updates."""


def train(
    engine: PackedEngine,
    runs: list[RunSpec],
    weights: Weights,
    checkpoint_manager: MemoryCheckpointManager | None = None,
    **task: Any,
) -> list[RunResult]:
    """Return results in the order of the runs."""
    made = tiny_task(**task)
    by_id = {
        r.spec.run_id: r
        for r in engine.train(runs, made, weights, callbacks(made, checkpoint_manager))
    }
    return [by_id[run.run_id] for run in runs]


def both(
    runs: list[RunSpec], weights: Weights, stack: int | None = 100, **task: Any
) -> tuple[list[RunResult], list[RunResult], list[Tape]]:
    """Return the results without graphs and with replayed graphs, and the tapes."""
    tapes: list[Tape] = []

    def tape() -> Tape:
        tapes.append(Tape())
        return tapes[-1]

    plain = train(PackedEngine(stack, buckets=True), runs, weights, **task)
    taped = train(PackedEngine(stack, buckets=True, capturer=tape), runs, weights, **task)
    return plain, taped, tapes


@pytest.mark.parametrize("stack", [1, 2, 100])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_same_bits(architecture: str, stack: int, tmp_path: Path) -> None:
    """One stack of all runs, two stacks, and one per run; every stack has its own graphs."""
    runs = [make_run(init, 3) for init in range(3)]
    plain, taped, tapes = both(runs, tiny_weights(tmp_path, architecture), stack)
    for a, b in zip(plain, taped, strict=True):
        assert_same(a, b)
    assert len(tapes) == 1 + -(-3 // stack)
    for made in tapes:
        assert made.replayed == STEPS
        # The last batch of an epoch is shorter than the others.
        assert made.captured == 2


CHANGES: dict[str, dict[str, Any]] = {
    "accumulation": {"accumulation": 3},
    "dropout in the first step of an epoch": {"dropout_active": "epoch_start"},
    "optimisers of their own": {"optimizer": OptimizerSpec(1e-3, weight_decay=0.3)},
    **{
        name: TECHNIQUES[name]
        for name in ("zhang", "reinit", "prior decay", "averaging", "Chang's full set")
    },
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_same_bits_with(change: str, tmp_path: Path) -> None:
    """The optimiser's step is not captured; each setting that changes a graph has its own graph."""
    recipe = dataclasses.replace(RECIPE, **CHANGES[change])
    seeds = (Seeds(0, 0), Seeds(1, 0, dropout=8), Seeds(2, 0))
    runs = [make_run(seeds=s.resolved(), recipe=recipe) for s in seeds]
    plain, taped, tapes = both(runs, tiny_weights(tmp_path, **model_options(recipe)))
    for a, b in zip(plain, taped, strict=True):
        assert_same(a, b)
    assert tapes[0].replayed == STEPS


@pytest.mark.parametrize("technique", ["mixout", "freeze", "lora", "features of the own head"])
def test_work_outside_the_graphs_is_computed(technique: str, tmp_path: Path) -> None:
    """The frozen trunk, and mixout's masks from the host, are not part of a graph."""
    recipe = dataclasses.replace(RECIPE, **TECHNIQUES[technique])
    runs = [make_run(init, recipe=recipe) for init in range(2)]
    plain, taped, tapes = both(runs, tiny_weights(tmp_path, **model_options(recipe)))
    for a, b in zip(plain, taped, strict=True):
        assert_same(a, b)
    assert all(made.captured == 0 for made in tapes)


@pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
def test_the_same_bits_in(dtype: str, tmp_path: Path) -> None:
    weights = tiny_weights(tmp_path, dtype=torch.float64 if dtype == "float64" else torch.float32)
    runs = [make_run(init, model=ModelSpec(dtype=dtype)) for init in range(2)]
    plain, taped, _ = both(runs, weights)
    for a, b in zip(plain, taped, strict=True):
        assert_same(a, b)
    if dtype == "float64":
        for a, b in zip(train(PackedEngine(), runs, weights), taped, strict=True):
            np.testing.assert_allclose(b.losses, a.losses, rtol=1e-9)


def test_regression_and_norms_by_depth(tmp_path: Path) -> None:
    recipe = dataclasses.replace(RECIPE, loss="rmse")
    seen = DiagnosticsSpec(gradient_norms=3, distances=True)
    runs = [make_run(init, recipe=recipe, diagnostics=seen) for init in range(2)]
    plain, taped, _ = both(runs, tiny_weights(tmp_path, n_labels=1), n_labels=1)
    for a, b in zip(plain, taped, strict=True):
        assert_same(a, b)
        assert a.profiles == b.profiles


@pytest.mark.parametrize("stack", [1, 100])
def test_a_run_that_is_dropped(stack: int, tmp_path: Path) -> None:
    """When a run is dropped, its stack's graphs are invalid."""
    wild = dataclasses.replace(RECIPE, optimizer=OptimizerSpec(1e38, bias_correction=False))
    runs = [make_run(0), make_run(1, recipe=wild), make_run(2)]
    plain, taped, tapes = both(runs, tiny_weights(tmp_path), stack)
    assert [r.status for r in taped] == ["finished", "diverged", "finished"]
    for a, b in zip(plain, taped, strict=True):
        assert_same(a, b)
    assert max(made.captured for made in tapes) == (2 if stack == 1 else 3)


def test_a_resumed_run(tmp_path: Path) -> None:
    weights, runs = tiny_weights(tmp_path), [make_run(init) for init in range(2)]
    engine = PackedEngine(100, buckets=True, capturer=Tape)
    whole = train(engine, runs, weights)
    checkpoint_manager = MemoryCheckpointManager(until=7)
    assert [r.status for r in train(engine, runs, weights, checkpoint_manager)] == ["stopped"] * 2
    checkpoint_manager.until = None
    for a, b in zip(whole, train(engine, runs, weights, checkpoint_manager), strict=True):
        assert_same(a, b)


def test_a_larger_buffer_makes_graphs_invalid() -> None:
    """A larger tensor under the same name moves the buffer; old graphs would write elsewhere."""
    work = Workspace(torch.device("cpu"), torch.float32, torch.float32)
    tape = Tape()
    graphs = GraphCache(tape, [work])
    step = torch.zeros(())

    def fill(n: int) -> torch.Tensor:
        return work.buffer("x", n).copy_(step.expand(n))

    for value, n, recorded in ((1.0, 4, 1), (2.0, 4, 1), (3.0, 40, 2), (4.0, 4, 3), (5.0, 40, 3)):
        step.fill_(value)
        assert graphs.run(n, lambda n=n: fill(n)).tolist() == [value] * n  # type: ignore[misc]
        assert tape.captured == recorded
    assert graphs.version == 2


def test_the_tape_refuses_to_wait_for_a_value() -> None:
    """A graph would freeze such a value, and a replay would not notice."""
    x = torch.ones(3)
    for wrong in (lambda: float(x.sum()), lambda: torch.nonzero(x), lambda: bool(x[0] > 0)):
        with pytest.raises(AssertionError, match="a graph can't capture"):
            Tape().capture(wrong)
    frozen, again = Tape().capture(lambda: torch.from_numpy(x.numpy() * 2) + x)
    x.fill_(5.0)
    again()
    assert frozen.tolist() == [7.0] * 3


def test_a_pool_of_dropped_graphs_is_not_reused() -> None:
    """CUDA does not allow it; `reset` starts a new pool."""
    tape, x = Tape(), torch.ones(3)
    graphs = [tape.capture(lambda: x + 1)]
    graphs.clear()
    with pytest.raises(AssertionError, match="whose graphs are all gone"):
        tape.capture(lambda: x + 1)
    tape.reset()
    assert tape.capture(lambda: x + 1)[0].tolist() == [2.0] * 3


def test_new_inputs_make_graphs_invalid() -> None:
    """A graph that reads another graph's results is captured again when these have moved."""
    tape = Tape()
    graphs = GraphCache(tape, [])
    for value, given, recorded in ((1.0, 0, 1), (2.0, 1, 2), (2.0, 1, 2), (3.0, 2, 3)):
        found = graphs.run("key", lambda v=value: torch.full((1,), v), given)  # type: ignore[misc]
        assert (found.item(), tape.captured) == (value, recorded)


def test_dropped_runs_leave_no_memory_behind(tmp_path: Path) -> None:
    """Streams of dropped stacks are freed; evaluation batches cache no index vectors of widths."""
    weights, task = tiny_weights(tmp_path), tiny_task()
    runs = [make_run(init) for init in range(6)]
    plans = [make_plan(run.recipe, run.evaluation, 38) for run in runs]
    with ThreadPool(1) as thread_pool:
        how = ComputeOptions(2, buckets=True, capturer=Tape)
        pack_model = ColumnModel(runs, plans, task, weights, thread_pool, how)
        graph_streams = [weakref.ref(stack.graph_stream) for stack in pack_model.stacks]
        batch = collate(task.splits["train"], np.arange(8), task.pad_id)
        pack_model.update(batch, 0)
        pack_model.logits(task.splits["dev"])
        pack_model.drop([2, 3, 5])
        pack_model.update(batch, 1)
        pack_model.logits(task.splits["dev"])
        gc.collect()
        assert [graph_stream() is not None for graph_stream in graph_streams] == [True, False, True]
        kept = [
            ragged for made in pack_model.evaluation_batches._batches.values() for _, ragged in made
        ]
        assert {runs for ragged in kept for _, _, runs, _ in ragged._indices} <= {1}
