"""The memory of packs: estimates, refused packs, and running out of memory."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from seedlab.engines.packed import column, memory
from seedlab.engines.packed.column import ColumnModel
from seedlab.engines.packed.engine import PackedEngine
from seedlab.engines.packed.memory import (
    PackMemoryError,
    check_fits,
    fitting_width,
    free_bytes,
    ran_out,
)
from seedlab.engines.packed.options import ComputeOptions
from seedlab.engines.packed.partition import partition_model
from seedlab.engines.packed.planning.batch_sizes import BatchSizes
from seedlab.engines.packed.planning.shape import Shape
from seedlab.engines.packed.thread_pool import ThreadPool
from seedlab.errors import SeedlabError, is_out_of_memory
from seedlab.spec.run import EvaluationSpec
from seedlab.training.batches import collate
from seedlab.training.parameter_plan import plan_parameters
from seedlab.training.step_plan import make_plan
from tests.suites.runs import RECIPE, callbacks, make_run
from tests.suites.techniques import TECHNIQUES, model_options
from tests.suites.tiny import tiny_task, tiny_weights

SHAPE = Shape(
    size=110_000_000, hidden=768, feed_forward=3072, heads=12, layers=12, itemsize=4,
    batches=BatchSizes(16, 1024, 1280, 64, 64, 4096, 64, 5120, 5120, 327680),
)  # fmt: skip
GIB = 2**30


@pytest.mark.parametrize("at_once", [1, 2, 16, None])
@pytest.mark.parametrize("gib", [1, 2, 4, 8, 64, 1000])
def test_the_fitting_width_fits_and_one_more_does_not(gib: int, at_once: int | None) -> None:
    width = fitting_width(SHAPE, gib * GIB, at_once)
    budget = 0.9 * gib * GIB
    assert width == 0 or SHAPE.needed(width, at_once) <= budget
    assert SHAPE.needed(width + 1, at_once) > budget


def test_a_pack_that_can_not_fit_is_refused_with_the_width_that_would() -> None:
    with pytest.raises(
        SeedlabError, match=r"pack of 25 runs needs 3\d\.\d GiB.*16\.0 GiB.*engine\.width=\d+"
    ):
        check_fits(SHAPE, 25, 16 * GIB, 2)
    with pytest.raises(SeedlabError, match=r"not even one run fits: use a smaller model"):
        check_fits(SHAPE, 1, GIB, 2)
    check_fits(SHAPE, 5, 16 * GIB, 2)


def test_the_engine_refuses_before_it_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(column, "free_bytes", lambda _: 600_000)
    runs = [make_run(init) for init in range(30)]
    results = PackedEngine().train(
        runs,
        tiny_task(),
        tiny_weights(tmp_path),
        callbacks(tiny_task()),
    )
    with pytest.raises(SeedlabError, match=r"a pack of 30 runs .*engine\.width="):
        next(results)


def test_running_out_of_memory_is_no_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The launcher halves a pack that raised another error than a `SeedlabError`."""

    def fail(*_: Any) -> None:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(ColumnModel, "update", fail)
    results = PackedEngine().train(
        [make_run(0), make_run(1)],
        tiny_task(),
        tiny_weights(tmp_path),
        callbacks(tiny_task()),
    )
    with pytest.raises(
        PackMemoryError, match=r"pack of 2 runs ran out.*; use an engine\.width below 2\.$"
    ) as e:
        next(results)
    assert not isinstance(e.value, SeedlabError)
    assert torch.get_num_threads() >= 1


def test_other_errors_are_passed_on() -> None:
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    cublas = "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"
    capture = "CUDA error: operation failed due to a previous error during capture"
    assert is_out_of_memory(RuntimeError(cublas))
    assert is_out_of_memory(RuntimeError(capture))
    assert not is_out_of_memory(RuntimeError("shapes do not match"))


@pytest.mark.parametrize("stack", [1, 3])
@pytest.mark.parametrize(
    "technique", ["", "averaging", "freeze", "bitfit", "lora", "mixout", "features of the own head"]
)
def test_the_plan_covers_what_is_allocated(technique: str, stack: int, tmp_path: Path) -> None:
    """Weights and gradients exactly; activations are not underestimated.

    They are overestimated at most five times, at these tiny widths and with a batch of mixed
    lengths; ten times if no layer is trained, because the rest is small.
    """
    recipe = dataclasses.replace(RECIPE, **TECHNIQUES.get(technique, {}))
    task, weights = tiny_task(), tiny_weights(tmp_path, **model_options(recipe))
    runs = [make_run(init, recipe=recipe) for init in range(3)]
    plans = [make_plan(run.recipe, run.evaluation, 38) for run in runs]
    shapes: list[Shape] = []
    check = memory.check_fits
    with ThreadPool(1) as thread_pool, pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            column, "check_fits", lambda shape, *rest: (shapes.append(shape), check(shape, *rest))
        )
        pack_model = ColumnModel(runs, plans, task, weights, thread_pool, ComputeOptions(stack))
        for step in range(8):
            rows = torch.arange(8 * (step % 5), min(8 * (step % 5) + 8, 38)).numpy()
            pack_model.update(collate(task.splits["train"], rows, 1), step)
        pack_model.logits(task.splits["dev"])
        (gradients,) = thread_pool.map(lambda _, memory: memory, [0])
    (shape,) = shapes
    optimizers = [s.optimizer for s in pack_model.stacks]
    held = sum(t.nbytes for o in optimizers for t in (o.weights, o.first, o.second))
    for one in pack_model.stacks:
        if one.steps is not None:
            held += sum(buffer.flat.nbytes for buffer in one.steps.buffers.values())
    assert held == 3 * shape.weights
    scratch = gradients._weights.nbytes + gradients._weight_grads.nbytes
    assert gradients.flat.nbytes + scratch == stack * shape.gradients
    used = sum(t.nbytes for t in gradients.work._memory.values())
    bound = 10 if technique == "features of the own head" else 5
    assert used <= stack * shape.activations <= bound * used
    shared = [
        *pack_model.batch_builder.frozen_trunk.parameters.values(),
        *pack_model.evaluation_batches._features.values(),
    ]
    initial_weights = pack_model.stacks[0].initial_weights
    shared += [] if initial_weights is None else list(initial_weights.shared.values())
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in shared}
    assert sum(storages.values()) <= shape.shared


def test_kept_weights_are_planned_where_the_host_computes(tmp_path: Path) -> None:
    """One vector more per run on a CPU; on a GPU they lie on the host, which is not planned."""
    weights, task = tiny_weights(tmp_path), tiny_task()
    vectors = {}
    for keep in ("final", "best"):
        run = make_run(evaluation=EvaluationSpec(keep=keep))
        plan = plan_parameters(
            run, make_plan(run.recipe, run.evaluation, 38), weights.model, weights.new
        )
        partition = partition_model(weights, task, run, plan)
        for device in ("cpu", "cuda"):
            there = dataclasses.replace(partition, device=torch.device(device))
            batches = BatchSizes.of(run, 3, task, device == "cpu")
            vectors[keep, device] = there.shape([run], batches).vectors
    assert vectors == {
        ("final", "cpu"): 3, ("final", "cuda"): 3, ("best", "cpu"): 4, ("best", "cuda"): 3,
    }  # fmt: skip


def test_there_is_free_memory() -> None:
    assert 10_000_000 < free_bytes(torch.device("cpu")) < 2**50


def test_the_message_keeps_what_was_asked_for_and_names_a_remedy() -> None:
    torchs = torch.OutOfMemoryError(
        "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.10 GiB. "
        "If reserved but unallocated memory is large try setting PYTORCH_CUDA_ALLOC_CONF"
    )
    assert ran_out(8, torchs) == (
        "a pack of 8 runs ran out of memory (CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 "
        "has a total capacity of 79.10 GiB.); use an engine.width below 8."
    )
    alone = ran_out(1, RuntimeError("can't allocate memory\nException raised from"))
    assert alone.startswith(
        "a pack of 1 run ran out of memory (can't allocate memory); use a smaller"
    )
    assert "engine.workers_per_gpu" in alone
    assert "engine.width" not in alone


@pytest.mark.parametrize(
    ("share", "free", "expected"),
    [
        (1.0, 60, 65),  # all that is free, and torch's unused reserve
        (0.5, 60, 40 - 10),  # the half of 80, less what this process holds
        (0.5, 12, 17),  # the other worker took more than its half
        (0.1, 60, 0),
    ],
)
def test_a_worker_plans_with_its_share_of_the_gpu(
    monkeypatch: pytest.MonkeyPatch, share: float, free: int, expected: int
) -> None:
    facts = {
        "memory_allocated": 10 * GIB,
        "memory_reserved": 15 * GIB,
        "mem_get_info": (free * GIB, 80 * GIB),
        "get_per_process_memory_fraction": share,
    }
    for name, fact in facts.items():
        monkeypatch.setattr(torch.cuda, name, lambda device, fact=fact: fact)
    assert free_bytes(torch.device("cuda:0")) == expected * GIB
