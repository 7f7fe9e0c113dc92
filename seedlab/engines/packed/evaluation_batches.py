"""`EvaluationBatches`: the batches in which splits are scored; they are built once."""

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
"""Numbers of the examples, their tokens, and the output of the frozen trunk (None without one)."""


@dataclass
class EvaluationBatches:
    """Builds the evaluation batches of a split, and caches outputs of the frozen trunk.

    Parameters
    ----------
    tables : Tables
    pad_id : int
        Token id of the padding.
    size : int
        Examples per batch.
    device : torch.device
    frozen_trunk : FrozenTrunk
    width : int
        Hidden features of the model.
    room : int
        Bytes available for cached outputs of the frozen trunk. Outputs of a split that fit are
        computed once, others at every evaluation.
    keeps_features : bool
        True if the whole encoder is frozen: its first tokens are computed once per example.
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
        """Return the examples with these numbers, without padding."""
        batch = collate(split, indices, self.pad_id)
        return self.tables.ragged(batch.ids, batch.types, batch.mask).to(self.device)

    def batches(self, split: Split) -> Iterator[Batches]:
        """Yield the batches of a split, in lists whose trunk outputs fit in `room`."""
        batches = self._built(split)
        if not self.frozen_trunk:
            yield [(indices, batch, None) for indices, batch in batches]
        elif self.keeps_features:
            features = self.features(split)
            yield [(indices, batch, features[indices]) for indices, batch in batches]
        else:
            yield from self._with_outputs(split, batches)

    def features(self, split: Split) -> torch.Tensor:
        """Return the (example, feature) first tokens of a split; the whole encoder is frozen."""
        if id(split) not in self._features:
            batches = self._built(split)
            found = self.frozen_trunk.score([batch for _, batch in batches])
            order = np.argsort(np.concatenate([indices for indices, _ in batches]))
            self._features[id(split)] = torch.cat(found)[order]
        return self._features[id(split)]

    def _built(self, split: Split) -> list[tuple[npt.NDArray[np.int64], Ragged]]:
        """Return the batches of a split; they are built once."""
        if id(split) not in self._batches:
            self._batches[id(split)] = [
                (indices, self.ragged(split, indices))
                for indices in evaluation_batches(split, self.size)
            ]
        return self._batches[id(split)]

    def _with_outputs(
        self, split: Split, batches: list[tuple[npt.NDArray[np.int64], Ragged]]
    ) -> Iterator[Batches]:
        """Yield batches with outputs of the frozen trunk, in lists that fit in `room`."""
        name, sizes = (
            id(split),
            [self.frozen_trunk.nbytes(batch, self.width) for _, batch in batches],
        )
        if name not in self._kept and sum(sizes) <= self.room:
            self._kept[name] = self.frozen_trunk.score([batch for _, batch in batches])
            self.room -= sum(sizes)
        if name in self._kept:
            yield [(*batch, out) for batch, out in zip(batches, self._kept[name], strict=True)]
            return
        start = 0
        while start < len(batches):
            stop = start + 1
            while stop < len(batches) and sum(sizes[start : stop + 1]) <= self.room:
                stop += 1
            some = batches[start:stop]
            outputs = self.frozen_trunk.score([batch for _, batch in some])
            yield [(*batch, out) for batch, out in zip(some, outputs, strict=True)]
            start = stop
