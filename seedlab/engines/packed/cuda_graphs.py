"""CUDA graphs of training steps: what is recorded, for which shapes, and the memory it lives in."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import torch

from seedlab.engines.packed.encoder.ops import Workspace
from seedlab.engines.packed.thread_pool import WorkBuffers

Result = TypeVar("Result")


class GraphCapturer(Protocol):
    """Records what is done to tensors, to do it again to the same tensors."""

    @property
    def stream(self) -> torch.cuda.Stream | None:
        """On which it records; work that is to run beside other recordings is repeated on it."""
        ...

    def prepare(self, work: Callable[[], object]) -> None:
        """Do the work once without recording: memory, libraries and compilers get ready."""
        ...

    def record(self, work: Callable[[], Result]) -> tuple[Result, Callable[[], None]]:
        """Return what `work` returns, and how to do it again.

        The tensors in the result are where it lies after each repetition. The first contents
        are undefined: nothing may have been computed yet.
        """
        ...

    def forget(self) -> None:
        """Take notice that all recordings are gone."""
        ...


class CudaGraphCapturer:
    """A `GraphCapturer` of CUDA graphs, which share memory and so must not run at the same time.

    cuBLAS has a workspace for every stream, which is part of a recording. Recordings that run side by
    side must not share one: they are made and repeated on streams of their own. And it must not
    come from a recording's own memory: the stream is used once before anything is recorded on it.
    """

    def __init__(self) -> None:
        self.stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self.forget()

    def forget(self) -> None:
        """See `GraphCapturer`: a pool of memory whose graphs are all gone can't be used again."""
        self._pool = torch.cuda.graph_pool_handle()

    def prepare(self, work: Callable[[], object]) -> None:
        """See `GraphCapturer`."""
        before = torch.cuda.current_stream()
        self.stream.wait_stream(before)
        with torch.cuda.stream(self.stream):
            work()
        before.wait_stream(self.stream)

    def record(self, work: Callable[[], Result]) -> tuple[Result, Callable[[], None]]:
        """See `GraphCapturer`."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, stream=self.stream):
            result = work()
        return result, graph.replay


class GraphCache:
    """Recorded work by what decides the shapes of its tensors.

    Parameters
    ----------
    recorder : GraphCapturer
    spaces : sequence of Workspace
        The memory that the work uses beside what it is given. Where a larger batch makes it
        grow, all that was recorded before is recorded anew.
    """

    def __init__(self, capturer: GraphCapturer, spaces: Sequence[Workspace]) -> None:
        self.capturer, self.spaces = capturer, list(spaces)
        self.version = 0
        """How often everything recorded became void."""
        self._made: dict[Hashable, tuple[Any, Callable[[], None]]] = {}
        self._grown, self._given = self._growth(), 0

    def run(self, key: Hashable, work: Callable[[], Result], given: int = 0) -> Result:
        """Do `work`, or what was recorded for this key.

        Parameters
        ----------
        key : hashable
        work : callable
            Reads and writes tensors of the same places at every call with the same key, and
            never waits for a value.
        given : int
            `version` of the recordings whose results the work reads; with a new one, all that
            was recorded is void.
        """
        if self._grown != self._growth() or self._given != given:
            self._given = given
            self.clear()
        if key not in self._made:
            self.capturer.prepare(work)
            if self._grown != self._growth():
                self.clear()
            self._made[key] = self.capturer.record(work)
        result: Result
        result, again = self._made[key]
        again()
        return result

    def clear(self) -> None:
        """Forget what was recorded: the tensors it was recorded on are gone."""
        self._made.clear()
        self.capturer.forget()
        self.version += 1
        self._grown = self._growth()

    def _growth(self) -> int:
        return sum(space.grown for space in self.spaces)


@dataclass(frozen=True)
class ComputeOptions:
    """How the stacks of a column are computed.

    Parameters
    ----------
    stack : int
        Runs per stack.
    buckets : bool
        Make training batches on the device, in a few shapes (see `seedlab.engines.packed.encoder.device_split`).
    recorder : callable, optional
        Makes a `GraphCapturer`; forward and backward are recorded then. Needs `buckets`.
    """

    stack: int
    buckets: bool = False
    capturer: Callable[[], GraphCapturer] | None = None


class GraphStream:
    """What a stack has for itself where its work is recorded: a recording is of fixed memory.

    Parameters
    ----------
    memory : WorkBuffers
    recorder : GraphCapturer
    beside : bool
        There are other stacks: on a GPU they are computed side by side, on streams.
    """

    def __init__(self, memory: WorkBuffers, capturer: GraphCapturer, beside: bool) -> None:
        self.memory = memory
        self.graphs = GraphCache(capturer, [memory.work])
        self._stream = capturer.stream if beside else None

    @contextmanager
    def open(self) -> Iterator[WorkBuffers]:
        """Work on the lane's stream, after what has been asked for before; its memory."""
        if self._stream is None:
            yield self.memory
            return
        self._stream.wait_stream(torch.cuda.current_stream(self._stream.device))
        with torch.cuda.stream(self._stream):
            yield self.memory

    def join(self) -> None:
        """Let what is asked for from here on wait for the lane's work."""
        if self._stream is not None:
            torch.cuda.current_stream(self._stream.device).wait_stream(self._stream)
