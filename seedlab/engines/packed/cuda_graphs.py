"""CUDA graphs of training steps: capture, replay, a cache by shape, and streams for stacks."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import torch

from seedlab.engines.packed.encoder.ops import Workspace
from seedlab.engines.packed.thread_pool import WorkBuffers

Result = TypeVar("Result")


class GraphCapturer(Protocol):
    """Captures work on tensors, so that it can be replayed on the same tensors."""

    @property
    def stream(self) -> torch.cuda.Stream | None:
        """Stream of the capture; graphs that run concurrently are replayed on their streams."""
        ...

    def warm_up(self, work: Callable[[], object]) -> None:
        """Do the work once without capturing it, to initialise memory, libraries and compilers."""
        ...

    def capture(self, work: Callable[[], Result]) -> tuple[Result, Callable[[], None]]:
        """Return the result of `work`, and a function that replays it.

        Every replay writes to the tensors of the result. Before the first replay their contents
        are undefined: capturing need not compute anything.
        """
        ...

    def reset(self) -> None:
        """Release the memory pool, after all captured graphs were dropped."""
        ...


class CudaGraphCapturer:
    """A `GraphCapturer` of CUDA graphs. Its graphs share memory, so they must not run concurrently.

    A graph contains the cuBLAS workspace of its stream. Graphs that run concurrently must not share
    a workspace, so they are captured and replayed on different streams. The workspace must not come
    from a graph's memory pool, so `warm_up` uses the stream before the first capture.
    """

    def __init__(self) -> None:
        self.stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self.reset()

    def reset(self) -> None:
        """See `GraphCapturer`; CUDA does not allow reusing a pool whose graphs were all dropped."""
        self._pool = torch.cuda.graph_pool_handle()

    def warm_up(self, work: Callable[[], object]) -> None:
        """See `GraphCapturer`."""
        before = torch.cuda.current_stream()
        self.stream.wait_stream(before)
        with torch.cuda.stream(self.stream):
            work()
        before.wait_stream(self.stream)

    def capture(self, work: Callable[[], Result]) -> tuple[Result, Callable[[], None]]:
        """See `GraphCapturer`."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, stream=self.stream):
            result = work()
        return result, graph.replay


class GraphCache:
    """Captured graphs, by a key that decides the shapes of their tensors.

    Parameters
    ----------
    capturer : GraphCapturer
    workspaces : sequence of Workspace
        Memory that the work uses besides its inputs. If a larger batch makes it grow, all graphs
        are captured again.

    Attributes
    ----------
    version : int
        Number of times that all graphs became invalid.
    """

    def __init__(self, capturer: GraphCapturer, workspaces: Sequence[Workspace]) -> None:
        self.capturer, self.workspaces = capturer, list(workspaces)
        self.version = 0
        self._graphs: dict[Hashable, tuple[Any, Callable[[], None]]] = {}
        self._grown, self._inputs_version = self._growth(), 0

    def run(self, key: Hashable, work: Callable[[], Result], inputs_version: int = 0) -> Result:
        """Replay the graph of this key, after capturing `work` if there is none; return its result.

        Parameters
        ----------
        key : hashable
        work : callable
            Must read and write the same memory at every call with one key, and never wait for a
            value on the device.
        inputs_version : int
            `version` of the cache whose results the work reads. A new version makes all graphs
            invalid.
        """
        if self._grown != self._growth() or self._inputs_version != inputs_version:
            self._inputs_version = inputs_version
            self.clear()
        if key not in self._graphs:
            self.capturer.warm_up(work)
            if self._grown != self._growth():
                self.clear()
            self._graphs[key] = self.capturer.capture(work)
        result: Result
        result, replay = self._graphs[key]
        replay()
        return result

    def clear(self) -> None:
        """Drop all graphs, because the tensors that they were captured on no longer exist."""
        self._graphs.clear()
        self.capturer.reset()
        self.version += 1
        self._grown = self._growth()

    def _growth(self) -> int:
        return sum(workspace.grown for workspace in self.workspaces)


class GraphStream:
    """Memory, graphs and CUDA stream of one stack; a graph needs memory at fixed addresses.

    Parameters
    ----------
    memory : WorkBuffers
    capturer : GraphCapturer
    concurrent : bool
        Compute the stack on its own stream, concurrently with other stacks.
    """

    def __init__(self, memory: WorkBuffers, capturer: GraphCapturer, concurrent: bool) -> None:
        self.memory = memory
        self.graphs = GraphCache(capturer, [memory.work])
        self._stream = capturer.stream if concurrent else None

    @contextmanager
    def open(self) -> Iterator[WorkBuffers]:
        """Make the stack's stream current, after all work queued so far; yield the memory."""
        if self._stream is None:
            yield self.memory
            return
        self._stream.wait_stream(torch.cuda.current_stream(self._stream.device))
        with torch.cuda.stream(self._stream):
            yield self.memory

    def join(self) -> None:
        """Make work queued from now on wait for the stack's work."""
        if self._stream is not None:
            torch.cuda.current_stream(self._stream.device).wait_stream(self._stream)
