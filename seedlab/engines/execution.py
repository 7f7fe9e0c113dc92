"""`Execution`: how the stacks of a column are computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from seedlab.engines.graphs import Recorder


@dataclass(frozen=True)
class Execution:
    """How the stacks of a column are computed.

    Parameters
    ----------
    stack : int
        Runs per stack.
    buckets : bool
        Make training batches on the device, in a few shapes (see `seedlab.models.resident`).
    recorder : callable, optional
        Makes a `Recorder`; forward and backward are recorded then. Needs `buckets`.
    """

    stack: int
    buckets: bool = False
    recorder: Callable[[], Recorder] | None = None
