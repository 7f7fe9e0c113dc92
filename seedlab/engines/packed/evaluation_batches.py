"""`EvaluationBatches`: the batches in which splits are scored, made once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from seedlab.engines.packed.encoder.ragged_batch import Ragged, Tables
from seedlab.engines.packed.frozen_trunk import FrozenTrunk
from seedlab.tasks.encoded import Split
from seedlab.training.batches import collate, evaluation_batches

Batches = list[tuple[npt.NDArray[np.int64], Ragged, torch.Tensor | None]]
"""Numbers of the examples, their tokens, and the output of what is below the trained part."""


@dataclass
class EvaluationBatches:
    """Makes the batches of a split, and keeps what is the same at every evaluation.

    Parameters
    ----------
    tables : Tables
    pad_id : int
    size : int
        Examples per batch.
    device : torch.device
    lower : FrozenTrunk
    width : int
        Of the model.
    room : int
        Bytes of outputs of the lower part that may be held; those that fit are computed once.
    keeps_features : bool
        The lower part is the whole encoder: its first tokens are computed once per example.
    """

    tables: Tables
    pad_id: int
    size: int
    device: torch.device
    frozen_trunk: FrozenTrunk
    width: int
    room: int
    keeps_features: bool
    _batches: dict[int, list[tuple[npt.NDArray[np.int64], Ragged]]] = field(default_factory=dict)
    _features: dict[int, torch.Tensor] = field(default_factory=dict)
    _kept: dict[int, list[torch.Tensor]] = field(default_factory=dict)

    def ragged(self, split: Split, indices: npt.NDArray[np.int64]) -> Ragged:
        """Return the named examples without padding."""
        batch = collate(split, indices, self.pad_id)
        return self.tables.ragged(batch.ids, batch.types, batch.mask).to(self.device)

    def batches(self, split: Split) -> Iterator[Batches]:
        """Yield the batches of a split, as many at a time as there is room for."""
        whole = self._made(split)
        if not self.frozen_trunk:
            yield [(indices, batch, None) for indices, batch in whole]
        elif self.keeps_features:
            features = self.features(split)
            yield [(indices, batch, features[indices]) for indices, batch in whole]
        else:
            yield from self._with_outputs(split, whole)

    def features(self, split: Split) -> torch.Tensor:
        """Return the (example, feature) first tokens of a split, where the encoder is frozen."""
        if id(split) not in self._features:
            whole = self._made(split)
            found = self.frozen_trunk.score([batch for _, batch in whole])
            order = np.argsort(np.concatenate([indices for indices, _ in whole]))
            self._features[id(split)] = torch.cat(found)[order]
        return self._features[id(split)]

    def _made(self, split: Split) -> list[tuple[npt.NDArray[np.int64], Ragged]]:
        """Return the batches of a split; they are the same at every evaluation."""
        if id(split) not in self._batches:
            self._batches[id(split)] = [
                (indices, self.ragged(split, indices))
                for indices in evaluation_batches(split, self.size)
            ]
        return self._batches[id(split)]

    def _with_outputs(
        self, split: Split, whole: list[tuple[npt.NDArray[np.int64], Ragged]]
    ) -> Iterator[Batches]:
        """Yield batches with the outputs of the lower part, as many as there is room for."""
        name, sizes = id(split), [self.frozen_trunk.nbytes(batch, self.width) for _, batch in whole]
        if name not in self._kept and sum(sizes) <= self.room:
            self._kept[name] = self.frozen_trunk.score([batch for _, batch in whole])
            self.room -= sum(sizes)
        if name in self._kept:
            yield [(*made, out) for made, out in zip(whole, self._kept[name], strict=True)]
            return
        start = 0
        while start < len(whole):
            stop = start + 1
            while stop < len(whole) and sum(sizes[start : stop + 1]) <= self.room:
                stop += 1
            some = whole[start:stop]
            outputs = self.frozen_trunk.score([batch for _, batch in some])
            yield [(*made, out) for made, out in zip(some, outputs, strict=True)]
            start = stop
