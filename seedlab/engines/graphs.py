"""`Graphs`: work on tensors of a few shapes, recorded once per shape and repeated.

A step of a large model is a thousand small kernels, and launching them costs a GPU's host more
time than the GPU needs for them. A CUDA graph launches them at once. It does the same to the same
memory every time: what differs from step to step must lie in tensors that are filled before.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Protocol, TypeVar

import torch

from seedlab.models.stacked_ops import Workspace

Result = TypeVar("Result")


class Recorder(Protocol):
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


class CudaGraphs:
    """A `Recorder` of CUDA graphs, which share memory and so must not run at the same time.

    cuBLAS has a workspace for every stream, which is part of a recording. Recordings that run side by
    side must not share one: they are made and repeated on streams of their own. And it must not
    come from a recording's own memory: the stream is used once before anything is recorded on it.
    """

    def __init__(self) -> None:
        self.stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self.forget()

    def forget(self) -> None:
        """See `Recorder`: a pool of memory whose graphs are all gone can't be used again."""
        self._pool = torch.cuda.graph_pool_handle()

    def prepare(self, work: Callable[[], object]) -> None:
        """See `Recorder`."""
        before = torch.cuda.current_stream()
        self.stream.wait_stream(before)
        with torch.cuda.stream(self.stream):
            work()
        before.wait_stream(self.stream)

    def record(self, work: Callable[[], Result]) -> tuple[Result, Callable[[], None]]:
        """See `Recorder`."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, stream=self.stream):
            result = work()
        return result, graph.replay


class Graphs:
    """Recorded work by what decides the shapes of its tensors.

    Parameters
    ----------
    recorder : Recorder
    spaces : sequence of Workspace
        The memory that the work uses beside what it is given. Where a larger batch makes it
        grow, all that was recorded before is recorded anew.
    """

    def __init__(self, recorder: Recorder, spaces: Sequence[Workspace]) -> None:
        self.recorder, self.spaces = recorder, list(spaces)
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
            self.recorder.prepare(work)
            if self._grown != self._growth():
                self.clear()
            self._made[key] = self.recorder.record(work)
        result: Result
        result, again = self._made[key]
        again()
        return result

    def clear(self) -> None:
        """Forget what was recorded: the tensors it was recorded on are gone."""
        self._made.clear()
        self.recorder.forget()
        self.version += 1
        self._grown = self._growth()

    def _growth(self) -> int:
        return sum(space.grown for space in self.spaces)
