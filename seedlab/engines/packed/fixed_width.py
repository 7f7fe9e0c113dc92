"""`FixedWidth`: a column whose slots stay filled, so that nobody's bits change when runs leave."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch

from seedlab.engines.packed.column import ColumnModel
from seedlab.models.pretrained import Weights
from seedlab.tasks.encoded import Split
from seedlab.training.batches import Batch
from seedlab.training.loop import Floats


class FixedWidth:
    """The first runs of a column; its other slots are dummies: a `seedlab.training.loop.PackModel`.

    On a GPU a matrix product may be computed by another kernel when the stack gets narrower. Here
    it does not: a run that ends becomes a dummy, which costs what a run costs and is discarded.

    Parameters
    ----------
    trainee : ColumnModel
    n : int
        Runs; what its other slots train is never asked for.
    """

    def __init__(self, pack_model: ColumnModel, n: int) -> None:
        self.pack_model, self.live = pack_model, list(range(n))

    def update(self, batch: Batch, step: int, by_depth: bool = False) -> tuple[Floats, Floats]:
        """See `seedlab.training.loop.PackModel`."""
        losses, norms = self.pack_model.update(batch, step, by_depth)
        return losses[self.live], norms[self.live]

    def logits(self, split: Split, averaged: bool = False) -> npt.NDArray[np.float32]:
        """See `seedlab.training.loop.PackModel`."""
        return self.pack_model.logits(split, averaged)[self.live]

    def drop(self, slots: list[int]) -> None:
        """Forget these slots; they are computed all the same."""
        self.live = [own for slot, own in enumerate(self.live) if slot not in slots]

    def state(self, slot: int) -> dict[str, torch.Tensor]:
        """See `seedlab.training.loop.PackModel`."""
        return self.pack_model.state(self.live[slot])

    def load(self, slot: int, tensors: Mapping[str, torch.Tensor]) -> None:
        """Let the run in this slot go on from what `state` returned."""
        self.pack_model.load(self.live[slot], tensors)

    def restore(self, weights: Weights, slot: int) -> None:
        """Leave the weights of the run in this slot that were scored last in its model."""
        self.pack_model.restore(weights, self.live[slot])

    def distances(self) -> Floats:
        """See `seedlab.training.loop.PackModel`."""
        return self.pack_model.distances()[self.live]

    def representations(self, split: Split, n: int) -> npt.NDArray[np.float32]:
        """See `seedlab.training.loop.PackModel`."""
        return self.pack_model.representations(split, n)[self.live]
