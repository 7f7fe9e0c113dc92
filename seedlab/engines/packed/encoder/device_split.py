"""`DeviceDataset`: a split that lives on the device, whose batches are made there in a few shapes.

What a GPU does for a batch can be recorded once and repeated (a CUDA graph) if every tensor has
the shape it had. So the number of tokens is rounded up to a bucket, and places per example are those
of the split's longest example: attention is little of a large encoder's work, and every
shape more is another recording. The tokens that fill a bucket belong to no example: they stand in a place of attention that
is padding, where no gradient comes from, so that they change nothing.
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
    """The shape of (a part of) a batch.

    Parameters
    ----------
    rows : int
        Examples.
    tokens : int
        Tokens, those that fill the bucket included.
    places : int
        Places per example, at least one more than any example has tokens.
    first_row : int
        Place of the first example in the update's batch.
    """

    rows: int
    tokens: int
    places: int
    first_row: int


class DeviceDataset:
    """The tokens and labels of a split on a device.

    Parameters
    ----------
    ids, types : (token,) arrays of int
    offsets : (example + 1,) array of int64
        Where examples begin; see `seedlab.tasks.encoded.Split`.
    labels : (example,) array
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
        # Tokens that count towards the positions of those after them; see `Tables`.
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
        """Return the bucket of these examples; see `BatchShape`."""
        tokens = int(self.lengths[examples].sum())
        return BatchShape(len(examples), _up(tokens, TOKENS), self.places, first_row)

    def part(self, examples: torch.Tensor, shape: BatchShape) -> tuple[Ragged, torch.Tensor]:
        """Return the tokens and labels of examples, without a look at what is on the device.

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
