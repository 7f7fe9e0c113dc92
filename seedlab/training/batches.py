"""Batches of examples, padded to the longest example, and the order in which they are drawn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from seedlab.randomness.streams import permutation
from seedlab.tasks.encoded import Split


@dataclass(frozen=True)
class Batch:
    """A batch of padded examples.

    Parameters
    ----------
    ids, types : (row, position) tensors of int64
        Token ids and token types.
    mask : (row, position) tensor of int64
        1 for tokens, 0 for padding.
    labels : (row,) tensor of int64 or float64
    examples : (row,) tensor of int64
        Numbers of the examples in their split.
    """

    ids: torch.Tensor
    types: torch.Tensor
    mask: torch.Tensor
    labels: torch.Tensor
    examples: torch.Tensor

    def part(self, start: int, stop: int) -> Batch:
        """Return the rows from `start` up to `stop`, padded as the whole batch is."""
        return Batch(*(tensor[start:stop] for tensor in self._tensors()))

    def to(self, device: torch.device) -> Batch:
        """Return the batch on another device."""
        return Batch(*(tensor.to(device) for tensor in self._tensors()))

    def _tensors(self) -> tuple[torch.Tensor, ...]:
        return self.ids, self.types, self.mask, self.labels, self.examples


def collate(split: Split, indices: npt.NDArray[np.int64], pad_id: int) -> Batch:
    """Return a batch of examples, padded on the right to the longest of them.

    Parameters
    ----------
    split : Split
    indices : (row,) array of int64
        Numbers of the examples in the split.
    pad_id : int
        Token id of the padding.
    """
    lengths = split.lengths[indices]
    shape = (len(indices), int(lengths.max()))
    mask = np.arange(shape[1]) < lengths[:, None]
    tokens = (split.offsets[indices][:, None] + np.arange(shape[1]))[mask]
    ids = np.full(shape, pad_id, dtype=np.int64)
    types = np.zeros(shape, dtype=np.int64)
    ids[mask] = split.ids[tokens]
    types[mask] = split.types[tokens]
    arrays = (ids, types, mask.astype(np.int64), split.labels[indices], np.asarray(indices))
    return Batch(*(torch.from_numpy(array) for array in arrays))


def training_batches(n: int, batch_size: int, order_seed: int) -> Iterator[npt.NDArray[np.int64]]:
    """Yield the example numbers of every training batch, without end.

    Epoch e follows the permutation of (order seed, e, n); its last batch may be shorter.
    """
    epoch = 0
    while True:
        order = permutation(order_seed, epoch, n)
        for start in range(0, n, batch_size):
            yield order[start : start + batch_size]
        epoch += 1


def evaluation_batches(split: Split, batch_size: int) -> Iterator[npt.NDArray[np.int64]]:
    """Yield the numbers of all examples, sorted by length, so that batches have little padding."""
    order = np.argsort(split.lengths, kind="stable")
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]
