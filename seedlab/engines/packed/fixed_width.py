"""`FixedWidth`: a column of constant width, so that a run's bits do not change when others end."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch

from seedlab.engines.packed.column import ColumnModel
from seedlab.models.pretrained import Weights
from seedlab.tasks.encoded import Split
from seedlab.training.batches import Batch
from seedlab.training.pack_model import Floats


class FixedWidth:
    """A `seedlab.training.pack_model.PackModel` whose width never changes; unused slots are dummies.

    On a GPU a narrower stack may use other kernels for its matrix products. Here the stack keeps
    its width: a run that ends becomes a dummy, whose results are discarded at a run's full cost.

    Parameters
    ----------
    pack_model : ColumnModel
    n : int
        Number of runs: they are in the first slots, dummies in the others.
    """

    def __init__(self, pack_model: ColumnModel, n: int) -> None:
        self.pack_model, self.live = pack_model, list(range(n))

    def update(self, batch: Batch, step: int, by_depth: bool = False) -> tuple[Floats, Floats]:
        """See `seedlab.training.pack_model.PackModel`."""
        losses, norms = self.pack_model.update(batch, step, by_depth)
        return losses[self.live], norms[self.live]

    def logits(self, split: Split, averaged: bool = False) -> npt.NDArray[np.float32]:
        """See `seedlab.training.pack_model.PackModel`."""
        return self.pack_model.logits(split, averaged)[self.live]

    def drop(self, slots: list[int]) -> None:
        """Turn these slots into dummies; they are still computed."""
        self.live = [own for slot, own in enumerate(self.live) if slot not in slots]

    def state(self, slot: int) -> dict[str, torch.Tensor]:
        """See `seedlab.training.pack_model.PackModel`."""
        return self.pack_model.state(self.live[slot])

    def load(self, slot: int, tensors: Mapping[str, torch.Tensor]) -> None:
        """Set the state of the run in this slot to the tensors that `state` returned."""
        self.pack_model.load(self.live[slot], tensors)

    def restore(self, weights: Weights, slot: int) -> None:
        """Copy the weights of the run in this slot that were scored last into the model."""
        self.pack_model.restore(weights, self.live[slot])

    def scored_weights(self, slot: int) -> dict[str, torch.Tensor]:
        """See `seedlab.training.pack_model.PackModel`."""
        return self.pack_model.scored_weights(self.live[slot])

    def put_back(self, slot: int, weights: Mapping[str, torch.Tensor]) -> None:
        """See `seedlab.training.pack_model.PackModel`."""
        self.pack_model.put_back(self.live[slot], weights)

    def distances(self) -> Floats:
        """See `seedlab.training.pack_model.PackModel`."""
        return self.pack_model.distances()[self.live]

    def representations(self, split: Split, n: int) -> npt.NDArray[np.float32]:
        """See `seedlab.training.pack_model.PackModel`."""
        return self.pack_model.representations(split, n)[self.live]
