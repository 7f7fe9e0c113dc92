"""`DeviceDataset`: a split in device memory, whose batches are built there in a few shapes.

A CUDA graph can be replayed only if every tensor has the shape that was captured. So the number
of tokens is rounded up to a bucket. The number of places per example is the same for all batches,
with room for the split's longest example. Further shapes would each need another graph, and
attention is a small part of a large encoder's work. Tokens that fill a bucket belong to no example. They get
a padding place in attention, where gradients are zero, so they change nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from seedlab.engines.packed.encoder.ragged_batch import Ragged, Tables

TOKENS, PLACES = 128, 32
"""Multiples to which tokens per batch and places per example are rounded up."""


@dataclass(frozen=True)
class BatchShape:
    """Shape of a batch, or of a part of an accumulated batch.

    Parameters
    ----------
    rows : int
        Examples.
    tokens : int
        Tokens, including those that fill the bucket.
    places : int
        Places per example in attention: more than any example has tokens.
    first_row : int
        Index of the first example in the update's batch.
    """

    rows: int
    tokens: int
    places: int
    first_row: int


class DeviceDataset:
    """The tokens and labels of a split on a device.

    Parameters
    ----------
    ids : (token,) array of int32
    types : (token,) array of int8
    offsets : (example + 1,) array of int64
        Index of each example's first token; see `seedlab.tasks.encoded.Split`.
    labels : (example,) array of int64 or float64
    tables : Tables
    device : torch.device
    """

    def __init__(
        self,
        ids: npt.NDArray[np.int32],
        types: npt.NDArray[np.int8],
        offsets: npt.NDArray[np.int64],
        labels: npt.NDArray[np.generic],
        tables: Tables,
        device: torch.device,
    ) -> None:
        tokens = torch.from_numpy(ids.astype(np.int64))
        # Whether a token advances the position of the tokens after it; see `Tables`.
        counted = (tokens != tables.padding) if tables.count_tokens else torch.ones_like(tokens)
        self.ids = tables.words[tokens].to(device)
        self.types = torch.from_numpy(types.astype(np.int64)).to(device)
        self.counted = counted.long().to(device)
        self.offsets = torch.from_numpy(offsets).to(device)
        self.labels = torch.from_numpy(labels).to(device)
        self.count_tokens = tables.count_tokens
        self.lengths = np.diff(offsets)
        self.places = _up(int(self.lengths.max()) + 1, PLACES)

    def shape(self, examples: npt.NDArray[np.int64], first_row: int = 0) -> BatchShape:
        """Return the shape of a batch of these examples."""
        tokens = int(self.lengths[examples].sum())
        return BatchShape(len(examples), _up(tokens, TOKENS), self.places, first_row)

    def part(self, examples: torch.Tensor, shape: BatchShape) -> tuple[Ragged, torch.Tensor]:
        """Return the tokens and labels of examples, without waiting for values on the device.

        Parameters
        ----------
        examples : (row,) tensor of int64
            On the device.
        shape : BatchShape
        """
        device = examples.device
        begins = self.offsets[examples]
        lengths = self.offsets[examples + 1] - begins
        ends = torch.cumsum(lengths, 0)
        numbers = torch.arange(shape.tokens, device=device)
        rows = torch.searchsorted(ends, numbers, right=True)
        filling = rows == shape.rows
        rows = torch.where(filling, 0, rows)
        places = torch.where(filling, shape.places - 1, numbers - (ends - lengths)[rows])
        tokens = torch.where(filling, 0, begins[rows] + places)
        zero = torch.zeros_like(numbers)
        positions = places
        if self.count_tokens:
            counted = torch.where(filling, zero, self.counted[tokens])
            before = torch.cumsum(counted, 0)
            starts = (ends - lengths)[rows]
            positions = (before - before[starts] + counted[starts]) * counted
        ragged = Ragged(
            ids=torch.where(filling, zero, self.ids[tokens]),
            types=torch.where(filling, zero, self.types[tokens]),
            positions=torch.where(filling, zero, positions),
            rows=rows + shape.first_row,
            places=places,
            lengths=lengths,
            first_row=shape.first_row,
            bucket=shape.places,
        )
        return ragged, self.labels[examples]


def _up(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple
