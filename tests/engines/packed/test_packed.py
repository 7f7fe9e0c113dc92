"""The packed engine: the conformance suite, and tests of what only this engine promises."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seedlab.engines.choose import choose, unpackable
from seedlab.engines.engine import Engine
from seedlab.engines.packed.column import ColumnModel
from seedlab.engines.packed.encoder import matmul as products
from seedlab.engines.packed.engine import PackedEngine, columns
from seedlab.engines.packed.options import ComputeOptions
from seedlab.engines.packed.thread_pool import ThreadPool
from seedlab.engines.serial.engine import SerialEngine
from seedlab.models.pretrained import Weights
from seedlab.spec.recipe import (
    ClipSpec,
    FreezeSpec,
    HeadSpec,
    MixoutSpec,
    OptimizerSpec,
    ScheduleSpec,
)
from seedlab.spec.run import ModelSpec, RunSpec, Seeds
from seedlab.training.result import RunResult
from seedlab.training.step_plan import make_plan
from tests.suites.engine import EngineSuite
from tests.suites.runs import RECIPE, assert_same, callbacks, make_run
from tests.suites.techniques import TECHNIQUES, model_options
from tests.suites.tiny import ARCHITECTURES, tiny_task, tiny_weights


class TestPackedEngine(EngineSuite):
    """See `EngineSuite`."""

    def engine(self) -> Engine:
        return PackedEngine()


@pytest.mark.slow
class TestPackedEngineInOneStack(EngineSuite):
    """Stacks of several runs, as on a GPU; a single run uses other kernels."""

    narrowest = 2

    def engine(self) -> Engine:
        return PackedEngine(stack=100)


def train(engine: Any, runs: list[RunSpec], weights: Weights, **task: Any) -> list[RunResult]:
    """Return results in the order of the runs."""
    results = engine.train(
        runs,
        tiny_task(**task),
        weights,
        callbacks(tiny_task()),
    )
    by_id = {result.spec.run_id: result for result in results}
    return [by_id[run.run_id] for run in runs]


@pytest.mark.parametrize("stack", [None, 100], ids=["stacks of one", "one stack"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_width_and_slot_do_not_matter(architecture: str, stack: int | None, tmp_path: Path) -> None:
    """L1 and L2 bit for bit: widths 2, 3, 5, every slot (and width 1 in stacks of one)."""
    engine, weights = PackedEngine(stack), tiny_weights(tmp_path, architecture)
    runs = [make_run(init, 7) for init in range(5)]
    wide = train(engine, runs, weights)
    for chosen in ([3, 1], [1, 4, 3], [4, 3, 2, 1, 0]):
        for number, result in zip(
            chosen, train(engine, [runs[n] for n in chosen], weights), strict=True
        ):
            assert_same(result, wide[number])
    if stack is None:
        assert_same(train(engine, [runs[2]], weights)[0], wide[2])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_products_of_onednn_keep_the_promises(
    architecture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small products use oneDNN here too: same bits at all widths, and the serial engine's losses."""
    monkeypatch.setattr(products, "_LARGE", 0)
    weights = tiny_weights(tmp_path, architecture)
    recipe = dataclasses.replace(RECIPE, optimizer=OptimizerSpec(learning_rate=2e-5))
    runs = [make_run(init, 7, recipe=recipe) for init in range(3)]
    wide = train(PackedEngine(), runs, weights)
    for chosen in ([2], [1, 0]):
        some = train(PackedEngine(), [runs[n] for n in chosen], weights)
        for number, result in zip(chosen, some, strict=True):
            assert_same(result, wide[number])
    for a, b in zip(train(SerialEngine(), runs[:2], weights), wide, strict=False):
        np.testing.assert_allclose(b.losses, a.losses, rtol=1e-5)
        np.testing.assert_allclose(b.logits["dev"], a.logits["dev"], atol=1e-4)


def test_the_number_of_threads_does_not_matter(tmp_path: Path) -> None:
    """On a CPU one thread computes a stack: the same bits with one thread and with three."""
    weights = tiny_weights(tmp_path)
    runs = [make_run(init, 1) for init in range(4)]
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            results.append(train(PackedEngine(), runs, weights))
            assert torch.get_num_threads() == threads
            assert results[-1][0].provenance["threads"] == threads
    finally:
        torch.set_num_threads(before)
    for a, b in zip(*results, strict=True):
        assert_same(a, b)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_float64_training_equals_the_serial_engine(architecture: str, tmp_path: Path) -> None:
    """A whole training with dropout: losses, norms and logits agree to rounding.

    The engines sum in other orders, a few ulps of 2e-16 per step; logits are stored as float32.
    """
    weights = tiny_weights(tmp_path, architecture, dtype=torch.float64)
    runs = [make_run(init, 2, model=ModelSpec(dtype="float64")) for init in range(2)]
    serial, packed = (train(e, runs, weights) for e in (SerialEngine(), PackedEngine()))
    for a, b in zip(serial, packed, strict=True):
        np.testing.assert_allclose(b.losses, a.losses, rtol=1e-9)
        np.testing.assert_allclose(b.grad_norms, a.grad_norms, rtol=1e-8)
        np.testing.assert_allclose(b.logits["dev"], a.logits["dev"], rtol=1e-5, atol=1e-6)
        assert [(e.step, e.metric) for e in a.evaluations] == [
            (e.step, e.metric) for e in b.evaluations
        ]
        np.testing.assert_array_equal(a.learning_rates, b.learning_rates)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_float32_training_starts_as_the_serial_engine(architecture: str, tmp_path: Path) -> None:
    """20 steps at BERT's rates, dropout on: losses to 1e-5, logits to 1e-4.

    One update at 2e-5 moves a weight by 2e-5 whatever its gradient; a rounding of 6e-8 turned
    into a different sign of a vanishing gradient costs at most twice that, 20 times.
    """
    weights = tiny_weights(tmp_path, architecture)
    recipe = dataclasses.replace(RECIPE, optimizer=OptimizerSpec(learning_rate=2e-5))
    runs = [make_run(init, 3, recipe=recipe) for init in range(2)]
    serial, packed = (train(e, runs, weights) for e in (SerialEngine(), PackedEngine()))
    for a, b in zip(serial, packed, strict=True):
        assert len(a.losses) == 20
        np.testing.assert_allclose(b.losses, a.losses, rtol=1e-5)
        np.testing.assert_allclose(b.logits["dev"], a.logits["dev"], atol=1e-4)


@pytest.mark.parametrize(
    "technique",
    ["Chang's full set", "lora", "freeze", "mixout", "bitfit", "features of the own head"],
)
def test_techniques_keep_the_promises(technique: str, tmp_path: Path) -> None:
    """L1 and L2 bit for bit with techniques: widths 1, 2 and 4, any slot, 1 and 3 threads."""
    recipe = dataclasses.replace(RECIPE, **TECHNIQUES[technique])
    runs = [make_run(init, 7, recipe=recipe) for init in range(4)]
    if reason := unpackable(runs[0]):
        pytest.skip(reason)
    weights, before = tiny_weights(tmp_path, **model_options(recipe)), torch.get_num_threads()
    wide = train(PackedEngine(), runs, weights)
    try:
        for threads, chosen in ((1, [3, 1]), (3, [3, 1]), (3, [2]), (1, [0, 3, 2, 1])):
            torch.set_num_threads(threads)
            some = train(PackedEngine(), [runs[n] for n in chosen], weights)
            for number, result in zip(chosen, some, strict=True):
                assert_same(result, wide[number])
    finally:
        torch.set_num_threads(before)


def test_hyperparameters_may_differ_within_a_column(tmp_path: Path) -> None:
    """Rate, betas, decay, schedule, clipping, dropout, techniques: each run as if alone."""
    weights = tiny_weights(tmp_path)
    r = dataclasses.replace
    runs = [
        make_run(0),
        make_run(0, recipe=r(RECIPE, optimizer=OptimizerSpec(1e-3, beta1=0.8, weight_decay=0.3))),
        make_run(0, recipe=r(RECIPE, schedule=ScheduleSpec("constant", 0.5))),
        make_run(0, recipe=r(RECIPE, clip=ClipSpec("tensor", 0.1))),
        make_run(0, recipe=r(RECIPE, dropout_active="epoch_start")),
        make_run(seeds=Seeds(0, 0, dropout=9).resolved()),
        make_run(0, recipe=r(RECIPE, **TECHNIQUES["zhang"])),
        make_run(0, recipe=r(RECIPE, **TECHNIQUES["reinit"])),
        make_run(0, recipe=r(RECIPE, **TECHNIQUES["prior decay"])),
        make_run(0, recipe=r(RECIPE, **TECHNIQUES["prior decay of all"])),
    ]
    assert len(columns(runs, 38, {})) == 1
    together = train(PackedEngine(), runs, weights)
    for run, result in zip(runs, together, strict=True):
        assert_same(result, train(PackedEngine(), [run], weights)[0])
    for a, b in itertools.combinations(together, 2):
        assert not np.array_equal(a.losses, b.losses)
    for result in train(PackedEngine(stack=100), runs, weights):
        alone = together[runs.index(result.spec)]
        np.testing.assert_allclose(result.losses, alone.losses, rtol=1e-3)


def test_seedlab_heads_need_the_serial_engine(tmp_path: Path) -> None:
    run = make_run(recipe=dataclasses.replace(RECIPE, head=HeadSpec("concat", layers=2)))
    for name in ("auto", "packed"):
        engine, reason = choose(
            name, run, tiny_weights(tmp_path, **model_options(run.recipe)).model
        )
        assert engine == "serial"
        assert "architecture's own head alone, not recipe.head.kind=concat" in reason


def test_runs_are_grouped_by_what_must_agree() -> None:
    """Order seed, batch, plan, trained parameters, updates already made; nothing else."""
    longer = dataclasses.replace(RECIPE, epochs=5)
    runs = [make_run(0, 0), make_run(0, 1), make_run(1, 0), make_run(2, 0, recipe=longer)]
    assert columns(runs, 38, {}) == [[runs[0], runs[2]], [runs[1]], [runs[3]]]
    assert columns(runs[:3], 38, {runs[2]: 5}) == [[runs[0]], [runs[1]], [runs[2]]]
    frozen = dataclasses.replace(RECIPE, freeze=FreezeSpec(1))
    mixed = dataclasses.replace(RECIPE, mixout=MixoutSpec(0.1))
    apart = [make_run(0), make_run(0, recipe=frozen), make_run(0, recipe=mixed)]
    assert columns(apart, 38, {}) == [[run] for run in apart]


@pytest.mark.parametrize("stack", [1, 2, 100])
def test_dropped_runs_are_freed(stack: int, tmp_path: Path) -> None:
    """Their weights are freed, and the others continue bit for bit (in stacks of one)."""
    task, weights = tiny_task(), tiny_weights(tmp_path)
    runs = [make_run(init) for init in range(5)]
    plans = [make_plan(run.recipe, run.evaluation, 38) for run in runs]
    with ThreadPool(1) as thread_pool:
        pack_model = ColumnModel(runs, plans, task, weights, thread_pool, ComputeOptions(stack))
        before = pack_model.logits(task.splits["dev"])
        pack_model.drop([0, 3])
        assert sum(len(s) for s in pack_model.stacks) == 3
        assert sum(s.optimizer.weights.shape[0] for s in pack_model.stacks) == 3
        after = pack_model.logits(task.splits["dev"])
        np.testing.assert_allclose(after, before[[1, 2, 4]], atol=1e-6)
        if stack == 1:
            np.testing.assert_array_equal(after, before[[1, 2, 4]])


def test_a_single_run_leaves_its_model_behind(tmp_path: Path) -> None:
    """`seedlab save` takes the model of the weights after a pack of one run."""
    task, weights = tiny_task(), tiny_weights(tmp_path)
    (result,) = train(PackedEngine(), [make_run(3, 1)], weights)
    (serial,) = train(SerialEngine(), [make_run(3, 1)], tiny_weights(tmp_path))
    assert serial.logits["dev"].shape == result.logits["dev"].shape
    split = task.splits["dev"]
    weights.model.eval()
    for example in range(5):
        tokens = slice(split.offsets[example], split.offsets[example + 1])
        ids = torch.from_numpy(split.ids[tokens].astype(np.int64))[None]
        with torch.no_grad():
            logits = weights.model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
        # float32, sums in another order
        np.testing.assert_allclose(logits[0], result.logits["dev"][example], atol=1e-5)


@pytest.mark.parametrize("technique", ["", "prior decay", "zhang", "freeze", "averaging"])
def test_unused_embeddings_end_as_in_the_serial_engine(technique: str, tmp_path: Path) -> None:
    """Words that the task never uses decay, are pulled back, averaged, or stay (float64)."""
    recipe = dataclasses.replace(RECIPE, **TECHNIQUES.get(technique, {}))
    run = make_run(recipe=recipe, model=ModelSpec(dtype="float64"))
    if reason := unpackable(run):
        pytest.skip(reason)
    tables = []
    for engine in (SerialEngine(), PackedEngine()):
        weights = tiny_weights(tmp_path, dtype=torch.float64)
        train(engine, [run], weights)
        tables.append(weights.model.get_parameter("bert.embeddings.word_embeddings.weight"))
    torch.testing.assert_close(tables[0], tables[1], rtol=1e-9, atol=1e-9)


def test_an_earlier_run_leaves_no_flags(tmp_path: Path) -> None:
    """The recipe alone decides which parameters are trained, not the model's last use."""
    weights = tiny_weights(tmp_path)
    (first,) = train(PackedEngine(), [make_run()], weights)
    for parameter in weights.model.parameters():
        parameter.requires_grad_(False)
    (second,) = train(PackedEngine(), [make_run()], weights)
    assert_same(first, second)
