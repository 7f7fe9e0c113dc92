"""Whole trainings on a fake GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from seedlab.engines.packed import column as column_module
from seedlab.engines.packed import engine as engine_module
from seedlab.engines.packed.encoder import ragged_dropout
from seedlab.engines.packed.engine import PackedEngine
from seedlab.engines.packed.thread_pool import ThreadPool
from seedlab.engines.serial.engine import SerialEngine
from seedlab.models import keyed_dropout
from seedlab.spec.run import RunSpec
from seedlab.tasks.encoded import EncodedTask
from seedlab.training.checkpoint import CheckpointManager
from seedlab.training.result import RunResult
from seedlab.training.techniques import mixout
from tests.suites.fake_gpu.masks import CountedMasks
from tests.suites.fake_gpu.mode import FakeCapturer, FakeGpu
from tests.suites.runs import callbacks
from tests.suites.tiny import tiny_weights

GIB = 2**30
FREE = 138 * GIB
"""Free memory of an H200 in bytes."""

ENGINES: dict[str, Callable[[FakeGpu], Any]] = {
    "packed": lambda gpu: PackedEngine(),
    "graphs": lambda gpu: PackedEngine(capturer=lambda: FakeCapturer(gpu)),
    "side by side": lambda gpu: PackedEngine(1, capturer=lambda: FakeCapturer(gpu)),
    "constant width": lambda gpu: PackedEngine(slots=4, capturer=lambda: FakeCapturer(gpu)),
    "serial": lambda gpu: SerialEngine(),
}


class CallingThread(ThreadPool):
    """A `ThreadPool` of the calling thread: a dispatch mode belongs to one thread."""

    def __enter__(self) -> ThreadPool:
        return self

    def __exit__(self, *error: Any) -> None:
        self.release()

    def map(self, work: Any, jobs: Sequence[Any]) -> list[Any]:
        """See `ThreadPool`."""
        return [self._do(work, job) for job in jobs]


def train_on_fake_gpu(
    engine: str,
    runs: Sequence[RunSpec],
    task: EncodedTask,
    folder: Path,
    architecture: str = "bert",
    checkpoint_manager: CheckpointManager | None = None,
    **load: Any,
) -> tuple[FakeGpu, list[RunResult]]:
    """Train runs on a fake GPU; return it and the results, whose numbers mean nothing.

    Parameters
    ----------
    engine : str
        A name of `ENGINES`.
    runs, task, checkpoint_manager
        See `PackedEngine.train`.
    folder : Path
        For the tiny checkpoint.
    architecture : str
        One of `tests.suites.tiny.ARCHITECTURES`.
    **load
        See `tiny_weights`.
    """
    weights, gpu = tiny_weights(folder, architecture, **load), FakeGpu()
    with fake_cuda(gpu):
        weights.model.to("cuda:0")

        def backward(loss: torch.Tensor) -> None:
            for parameter in weights.model.parameters():
                if parameter.requires_grad:
                    parameter.grad = torch.zeros_like(parameter)

        # Autograd's engine asks the driver for the device.
        stub = mock.patch.object(torch.autograd, "backward", backward)
        made = ENGINES[engine](gpu).train(runs, task, weights, callbacks(task, checkpoint_manager))
        with stub:
            return gpu, list(made)


@contextmanager
def fake_cuda(gpu: FakeGpu, free: int = FREE) -> Iterator[None]:
    """Run the block on a fake GPU with `free` bytes of memory; torch's settings are restored after it."""
    masks = CountedMasks(gpu.accounts)
    deterministic = torch.are_deterministic_algorithms_enabled()
    overwrite = torch.__future__.get_overwrite_module_params_on_conversion()
    with ExitStack() as stack:
        stack.callback(torch.use_deterministic_algorithms, deterministic)
        stack.callback(torch.__future__.set_overwrite_module_params_on_conversion, overwrite)
        # A fake tensor can't take the place of a real one's data; parameters are replaced.
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        for module, name, value in (
            (column_module, "free_bytes", lambda device: free),
            (engine_module, "ThreadPool", CallingThread),
            # Autocast asks the driver.
            (torch.cuda, "is_bf16_supported", lambda: True),
            (torch.cuda.amp.common, "amp_definitely_not_available", lambda: False),
            *(
                (module, "kept_on_device", masks)
                for module in (ragged_dropout, keyed_dropout, mixout)
            ),
        ):
            stack.enter_context(mock.patch.object(module, name, value))
        stack.enter_context(gpu)
        yield
