"""A column's memory is released before the next column is planned by the free memory."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from seedlab.engines.packed import column
from seedlab.engines.packed.encoder.flat_layout import FlatLayout
from seedlab.engines.packed.engine import PackedEngine
from seedlab.engines.packed.thread_pool import ThreadPool, WorkBuffers
from tests.suites.runs import callbacks, make_run
from tests.suites.tape import Tape
from tests.suites.tiny import tiny_task, tiny_weights

ROOM = 100_000_000
ENGINES = {
    "one stack per run": PackedEngine(),
    "one stack": PackedEngine(stack=3),
    "recorded": PackedEngine(stack=3, buckets=True, capturer=Tape),
    "recorded side by side": PackedEngine(stack=1, buckets=True, capturer=Tape),
    "constant width": PackedEngine(stack=4, slots=4),
}


def live_bytes() -> int:
    """Return the bytes of all tensors that anything still refers to, cycles included."""
    # `isinstance` would ask lazy modules for their class.
    tensors = [each for each in gc.get_objects() if issubclass(type(each), torch.Tensor)]
    storages = [tensor.untyped_storage() for tensor in tensors if tensor.device.type == "cpu"]
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Simulate a device of fixed size; return the list of free bytes seen by each column."""
    told: list[int] = []
    gc.collect()
    # A device's memory does not wait for the collector either.
    gc.disable()
    before = live_bytes()

    def free_bytes(_: torch.device) -> int:
        told.append(ROOM - (live_bytes() - before))
        return told[-1]

    monkeypatch.setattr(column, "free_bytes", free_bytes)
    yield told
    gc.enable()


SLOW = ("one stack per run", "recorded", "constant width")


@pytest.mark.parametrize(
    "engine",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in ENGINES],
)
def test_every_column_is_planned_with_the_same_free_memory(
    engine: str, free: list[int], tmp_path: Path
) -> None:
    task, weights = tiny_task(), tiny_weights(tmp_path)
    runs = [make_run(init, order) for order in range(3) for init in range(3)]
    results = list(ENGINES[engine].train(runs, task, weights, callbacks(task)))
    assert len(results) == len(runs)
    assert len(free) == 3
    # They differ by less than one run's weights.
    assert max(free) - min(free) < 10_000, free


@pytest.mark.parametrize("how", ["release", "error", "end"])
def test_a_thread_pool_releases_its_buffers(how: str) -> None:
    """The buffers and the tensors of their factory are freed, while the pool still exists."""
    made: list[weakref.ref[object]] = []
    layout = FlatLayout({}, {}, {}, 0, 3, frozenset())

    def use_buffers(thread_pool: ThreadPool) -> None:
        like = torch.zeros(1, 3)
        made.append(weakref.ref(like))

        def memory() -> WorkBuffers:
            gradients = WorkBuffers(layout, 1, like, torch.float32)
            made.append(weakref.ref(gradients))
            return gradients

        thread_pool.use_buffers(memory)

    thread_pool = ThreadPool(2)
    try:
        with thread_pool:
            use_buffers(thread_pool)
            thread_pool.map(lambda job, _: job, [1, 2, 3])
            assert len(made) > 1
            assert all(each() is not None for each in made)
            if how == "release":
                thread_pool.release()
                assert all(each() is None for each in made)
                use_buffers(thread_pool)
                assert thread_pool.map(lambda job, _: job, [4]) == [4]
            if how == "error":
                raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    assert all(each() is None for each in made)
