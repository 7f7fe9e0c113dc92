"""`Scored`: the batches in which splits are scored, made once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from seedlab.engines.lower import Lower
from seedlab.models.ragged import Ragged, Tables
from seedlab.tasks.encoded import Split
from seedlab.train.batches import collate, evaluation_batches

Batches = list[tuple[npt.NDArray[np.int64], Ragged, torch.Tensor | None]]
"""Numbers of the examples, their tokens, and the output of what is below the trained part."""


@dataclass
class Scored:
    """Makes the batches of a split, and keeps what is the same at every evaluation.

    Parameters
    ----------
    tables : Tables
    pad_id : int
    size : int
        Examples per batch.
    device : torch.device
    lower : Lower
    width : int
        Of the model.
    room : int
        Bytes of outputs of the lower part that may be held; those that fit are computed once.
    """

    tables: Tables
    pad_id: int
    size: int
    device: torch.device
    lower: Lower
    width: int
    room: int
    _batches: dict[int, list[tuple[npt.NDArray[np.int64], Ragged]]] = field(default_factory=dict)
    _kept: dict[int, list[torch.Tensor]] = field(default_factory=dict)

    def ragged(self, split: Split, indices: npt.NDArray[np.int64]) -> Ragged:
        """Return the named examples without padding."""
        batch = collate(split, indices, self.pad_id)
        return self.tables.ragged(batch.ids, batch.types, batch.mask).to(self.device)

    def batches(self, split: Split) -> Iterator[Batches]:
        """Yield the batches of a split, as many at a time as there is room for."""
        name = id(split)
        if name not in self._batches:
            self._batches[name] = [
                (indices, self.ragged(split, indices))
                for indices in evaluation_batches(split, self.size)
            ]
        whole = self._batches[name]
        if not self.lower:
            yield [(indices, batch, None) for indices, batch in whole]
            return
        sizes = [self.lower.nbytes(batch, self.width) for _, batch in whole]
        if name not in self._kept and sum(sizes) <= self.room:
            self._kept[name] = self.lower.score([batch for _, batch in whole])
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
            outputs = self.lower.score([batch for _, batch in some])
            yield [(*made, out) for made, out in zip(some, outputs, strict=True)]
            start = stop
