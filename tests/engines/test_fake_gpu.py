"""The CUDA path on a GPU that is not there: what a GPU would object to, before one has run it."""

from __future__ import annotations

import dataclasses
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import DynamicOutputShapeException

from seedlab.engines.choose import unpackable
from seedlab.engines.packed.encoder import ragged_dropout
from seedlab.randomness.philox import kept_on_device
from seedlab.spec.recipe import ClipSpec
from seedlab.spec.run import DiagnosticsSpec, EvaluationSpec, ModelSpec, RunSpec, Seeds
from tests.suites.fake_gpu.mode import FakeCapturer, FakeGpu
from tests.suites.fake_gpu.training import ENGINES, fake_cuda, train_on_fake_gpu
from tests.suites.runs import RECIPE, MemoryCheckpointManager, make_run
from tests.suites.techniques import TECHNIQUES, model_options
from tests.suites.tiny import ARCHITECTURES, tiny_task

PACKED = [name for name in ENGINES if name != "serial"]
SHORT = dataclasses.replace(RECIPE, epochs=1, batch_size=19)
ONCE = EvaluationSpec(per_epoch=1, batch_size=21)


def runs_of(dtype: str = "bfloat16", **changes: Any) -> list[RunSpec]:
    """Three runs of a column, one with dropout masks of its own."""
    seeds = (Seeds(0, 0), Seeds(1, 0, dropout=8), Seeds(2, 0))
    values = {"recipe": SHORT, "evaluation": ONCE, "model": ModelSpec(dtype=dtype), **changes}
    return [make_run(seeds=own.resolved(), **values) for own in seeds]


def check(engine: str, folder: Path, runs: list[RunSpec], task: Any = None, **load: Any) -> FakeGpu:
    """Train, and check that all runs end, that nothing is refused and no capture waits."""
    gpu, results = train_on_fake_gpu(engine, runs, task or tiny_task(), folder, **load)
    assert [result.status for result in results] == ["finished"] * len(runs)
    assert not gpu.errors
    return gpu


@pytest.mark.parametrize("engine", ENGINES)
def test_a_training_is_what_a_gpu_allows(engine: str, tmp_path: Path) -> None:
    gpu = check(engine, tmp_path, runs_of())
    assert gpu.accounts.flops > 0


@pytest.mark.slow
@pytest.mark.parametrize("architecture", [name for name in ARCHITECTURES if name != "bert"])
@pytest.mark.parametrize("engine", ENGINES)
def test_every_architecture_in_every_mode(engine: str, architecture: str, tmp_path: Path) -> None:
    check(engine, tmp_path, runs_of(), architecture=architecture)


def test_masks_are_drawn_on_the_device(tmp_path: Path) -> None:
    """Drawn on the host they take ten seconds a step at BERT-large's size."""
    with_dropout = check("serial", tmp_path / "some", runs_of()[:1])
    recipe = dataclasses.replace(SHORT, dropout=0.0)
    runs = runs_of(recipe=recipe)[:1]
    without = check("serial", tmp_path / "none", runs, **model_options(recipe))
    assert with_dropout.copies == without.copies
    assert sum(with_dropout.accounts.kernels.values()) > sum(without.accounts.kernels.values())


@pytest.mark.slow
@pytest.mark.parametrize("technique", TECHNIQUES)
@pytest.mark.parametrize("engine", ENGINES)
def test_every_technique(engine: str, technique: str, tmp_path: Path) -> None:
    # Averages of one set begin with the third epoch.
    recipe = dataclasses.replace(SHORT, epochs=3, **TECHNIQUES[technique])
    if engine != "serial" and (reason := unpackable(runs_of(recipe=recipe)[0])):
        pytest.skip(reason)
    check(engine, tmp_path, runs_of(recipe=recipe), **model_options(recipe))


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_precision(engine: str, dtype: str, tmp_path: Path) -> None:
    check(engine, tmp_path, runs_of(dtype))


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_diagnostics_clipping_by_tensor_and_checkpoints(engine: str, tmp_path: Path) -> None:
    every = DiagnosticsSpec(gradient_norms=3, distances=True, representations=5)
    # Two epochs have four updates: a checkpoint is written before the last.
    regression = dataclasses.replace(SHORT, epochs=2, loss="rmse", clip=ClipSpec("tensor", 1.0))
    runs = runs_of(recipe=regression, diagnostics=every)
    manager = MemoryCheckpointManager(every=2)
    task = tiny_task(n_labels=1)
    check(engine, tmp_path, runs, task, n_labels=1, checkpoint_manager=manager)
    assert len(manager.kept) == len(runs)


class TestPlantedFaults:
    """The fake GPU objects to what a real one would."""

    @pytest.fixture
    def gpu(self) -> FakeGpu:
        return FakeGpu()

    def found(self, gpu: FakeGpu, work: Any) -> str:
        with fake_cuda(gpu):
            x = torch.ones(4, 4, device="cuda:0")
            with suppress(DynamicOutputShapeException):
                FakeCapturer(gpu).capture(lambda: work(x))
        return "; ".join(gpu.errors)

    @pytest.mark.parametrize(
        ("work", "message"),
        [
            (lambda x: x.sum().item(), "in a capture: item"),
            (lambda x: x.cpu(), "in a capture: device to host"),
            (lambda x: x + torch.ones(4).to("cuda:0"), "in a capture: host to device"),
            (lambda x: x[x > 0], "index: a shape that depends on values"),
            (lambda x: x[torch.tensor([0, 1])], "index from the host"),
            (lambda x: x.nonzero(), "nonzero: a shape that depends on values"),
        ],
    )
    def test_a_wait_in_a_capture(self, gpu: FakeGpu, work: Any, message: str) -> None:
        assert message in self.found(gpu, work)

    def test_work_that_can_be_captured(self, gpu: FakeGpu) -> None:
        assert not self.found(gpu, lambda x: (x @ x + 1.0).softmax(-1)[:2].sum(0))

    def test_tensors_of_two_devices(self, gpu: FakeGpu) -> None:
        with pytest.raises(RuntimeError, match="at least two devices, cuda:0 and cpu"):
            self.found(gpu, lambda x: x + torch.ones(4))

    def test_products_of_two_types(self, gpu: FakeGpu) -> None:
        with pytest.raises(RuntimeError, match=r"mm.* of \[torch.float32, torch.bfloat16\]"):
            self.found(gpu, lambda x: x @ x.bfloat16())

    def test_what_deterministic_algorithms_refuse(self, gpu: FakeGpu) -> None:
        def work(x: torch.Tensor) -> None:
            torch.use_deterministic_algorithms(True)
            x.cumsum(0)

        assert "deterministic algorithms refuse cumsum" in self.found(gpu, work)

    def test_memory_is_counted_while_it_is_held(self, gpu: FakeGpu) -> None:
        with fake_cuda(gpu):
            kept = torch.zeros(1024, device="cuda:0")
            del kept
            torch.zeros(256, device="cuda:0")
        assert (gpu.accounts.peak, gpu.accounts.live) == (4096, 0)


def test_a_mask_of_a_known_shape_is_counted_as_if_it_were_drawn() -> None:
    """Repeated draws are not run, or the masks would take most of these tests' time."""
    gpu, found = FakeGpu(), []
    with fake_cuda(gpu):
        elements = torch.arange(512, device="cuda:0")[:, None] * torch.ones(
            1, 64, dtype=torch.long, device="cuda:0"
        )
        rows = torch.zeros(1, 1, dtype=torch.long, device="cuda:0")
        for site, draw in enumerate((kept_on_device, *2 * [ragged_dropout.kept_on_device])):
            gpu.accounts.reset()
            mask = draw(elements, rows, site, 3, (1, 2), 7)
            counts = sum(gpu.accounts.kernels.values()), sum(gpu.accounts.bytes.values())
            found.append((mask.shape, mask.dtype, gpu.accounts.peak, *counts))
            del mask
    assert found[0] == found[1] == found[2]
    assert found[0][3] > 90
