"""`Lane`: memory, recordings and a stream of a stack's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from seedlab.engines.graphs import Graphs, Recorder
from seedlab.engines.scratch import Gradients


class Lane:
    """What a stack has for itself where its work is recorded: a recording is of fixed memory.

    Parameters
    ----------
    memory : Gradients
    recorder : Recorder
    beside : bool
        There are other stacks: on a GPU they are computed side by side, on streams.
    """

    def __init__(self, memory: Gradients, recorder: Recorder, beside: bool) -> None:
        self.memory = memory
        self.graphs = Graphs(recorder, [memory.work])
        self._stream = recorder.stream if beside else None

    @contextmanager
    def open(self) -> Iterator[Gradients]:
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
