"""`ConstantWidth`: a column whose slots stay filled, so that nobody's bits change when runs leave."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch

from seedlab.engines.column import PackedTrainee
from seedlab.models.weights import Weights
from seedlab.tasks.encoded import Split
from seedlab.train.batches import Batch
from seedlab.train.loop import Floats


class ConstantWidth:
    """The first runs of a column; its other slots are dummies: a `seedlab.train.loop.Trainee`.

    On a GPU a matrix product may be computed by another kernel when the stack gets narrower. Here
    it does not: a run that ends becomes a dummy, which costs what a run costs and is discarded.

    Parameters
    ----------
    trainee : PackedTrainee
    n : int
        Runs; what its other slots train is never asked for.
    """

    def __init__(self, trainee: PackedTrainee, n: int) -> None:
        self.trainee, self.live = trainee, list(range(n))

    def update(self, batch: Batch, step: int, by_depth: bool = False) -> tuple[Floats, Floats]:
        """See `seedlab.train.loop.Trainee`."""
        losses, norms = self.trainee.update(batch, step, by_depth)
        return losses[self.live], norms[self.live]

    def logits(self, split: Split, averaged: bool = False) -> npt.NDArray[np.float32]:
        """See `seedlab.train.loop.Trainee`."""
        return self.trainee.logits(split, averaged)[self.live]

    def drop(self, slots: list[int]) -> None:
        """Forget these slots; they are computed all the same."""
        self.live = [own for slot, own in enumerate(self.live) if slot not in slots]

    def state(self, slot: int) -> dict[str, torch.Tensor]:
        """See `seedlab.train.loop.Trainee`."""
        return self.trainee.state(self.live[slot])

    def load(self, slot: int, tensors: Mapping[str, torch.Tensor]) -> None:
        """Let the run in this slot go on from what `state` returned."""
        self.trainee.load(self.live[slot], tensors)

    def restore(self, weights: Weights, slot: int) -> None:
        """Leave the weights of the run in this slot that were scored last in its model."""
        self.trainee.restore(weights, self.live[slot])

    def distances(self) -> Floats:
        """See `seedlab.train.loop.Trainee`."""
        return self.trainee.distances()[self.live]

    def representations(self, split: Split, n: int) -> npt.NDArray[np.float32]:
        """See `seedlab.train.loop.Trainee`."""
        return self.trainee.representations(split, n)[self.live]
