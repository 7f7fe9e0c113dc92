"""`PackModel`: the computation that an engine supplies to the training loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from seedlab.tasks.encoded import Split
from seedlab.training.batches import Batch

Floats = npt.NDArray[np.float64]


class PackModel(Protocol):
    """The models of a column in training, one slot per run."""

    def update(self, batch: Batch, step: int, by_depth: bool) -> tuple[Floats, Floats]:
        """Make one update of every run; return losses and gradient norms.

        Parameters
        ----------
        batch : Batch
        step : int
            Number of the update, counted from 0.
        by_depth : bool
            Return one gradient norm per depth.

        Returns
        -------
        losses : (slot,) array of float64
        norms : (slot,) array of float64, or (slot, depth) with `by_depth`
            L2 norms of the gradients before clipping.
        """
        ...

    def logits(self, split: Split, averaged: bool) -> npt.NDArray[np.float32]:
        """Return the (slot, example, class) logits of a split in float32.

        With `averaged` they are computed with the averaged weights. No state changes.
        """
        ...

    def drop(self, slots: list[int]) -> None:
        """Remove these slots; the numbers of later slots decrease accordingly."""
        ...

    def state(self, slot: int) -> dict[str, torch.Tensor]:
        """Return the state of the run in this slot, copied to the host; see `Checkpoint`."""
        ...

    def distances(self) -> Floats:
        """Return the (slot, depth) L2 distances of the weights from their initial values."""
        ...

    def representations(self, split: Split, n: int) -> npt.NDArray[np.float32]:
        """Return hidden states of the first tokens of the first `n` examples.

        The result is a (slot, depth, example, feature) array of float32; depth 0 is the
        embeddings, depth i the output of the i-th layer.
        """
        ...

    def scored_weights(self, slot: int) -> dict[str, torch.Tensor]:
        """Return the weights of the run in this slot that were scored last, copied to the host.

        They are the averaged weights, if there are any.
        """
        ...

    def put_back(self, slot: int, weights: Mapping[str, torch.Tensor]) -> None:
        """Make weights that `scored_weights` returned the run's live and averaged weights.

        The run is not trained on.
        """
        ...
