"""`Checkpoint`: the state of a run in training, and the protocol of checkpoint managers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch

from seedlab.training.history import History


@dataclass(frozen=True)
class Checkpoint:
    """The state from which a run resumes as if it had never been interrupted.

    Parameters
    ----------
    step : int
        Updates made.
    history : History
    tensors : mapping of name to tensor
        Weights and the optimiser's moments, on the host, in the layout of the engine that made
        it. Random streams have no state: they are functions of the step.
    """

    step: int
    history: History
    tensors: Mapping[str, torch.Tensor]


class CheckpointManager(Protocol):
    """Saves and loads the checkpoints of the runs of a pack, and decides at which steps."""

    @property
    def every(self) -> int | None:
        """Updates between two checkpoints; None: only one at `until`."""
        ...

    @property
    def until(self) -> int | None:
        """Number of updates after which runs stop; None: they train to the end."""
        ...

    def load(self, run_id: str) -> Checkpoint | None:
        """Return the newest checkpoint of a run; None without one."""
        ...

    def save(self, run_id: str, checkpoint: Checkpoint) -> None:
        """Save a checkpoint; it replaces the run's older one."""
        ...
