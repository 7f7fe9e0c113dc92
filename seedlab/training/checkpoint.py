"""`Checkpoint`: a run in the middle of its training, and who keeps such things."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch

from seedlab.training.history import History


@dataclass(frozen=True)
class Checkpoint:
    """All that a run needs to go on as if it had never been interrupted.

    Parameters
    ----------
    step : int
        Updates made.
    trace : History
        What was seen of it so far.
    tensors : mapping of name to tensor
        Weights and the optimiser's moments, on the host, as the engine that made it wants them
        back. Streams of random numbers need nothing: they are functions of the step.
    """

    step: int
    history: History
    tensors: Mapping[str, torch.Tensor]


class CheckpointManager(Protocol):
    """Keeps checkpoints of the runs of a pack, and says when there are to be any."""

    @property
    def every(self) -> int | None:
        """Updates between two checkpoints; None: there are none but at a pause."""
        ...

    @property
    def pause(self) -> int | None:
        """Number of updates after which runs pause; None: they go on to the end."""
        ...

    def load(self, run_id: str) -> Checkpoint | None:
        """Return the newest checkpoint of a run; None if there is none."""
        ...

    def save(self, run_id: str, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint in the place of an older one."""
        ...
