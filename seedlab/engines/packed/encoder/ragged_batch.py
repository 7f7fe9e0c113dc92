"""`Ragged`: a batch without padding, and the index vectors between it and padded attention.

Linear layers, norms and dropout work on tokens without padding. Only attention needs a padded
rectangle. Two index vectors move head-sized rows into the rectangle and back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import torch


@dataclass
class Ragged:
    """The tokens of a batch as one sequence; all runs of a column share it.

    Parameters
    ----------
    ids, types, positions : (token,) tensors of int64
        Rows of the embedding tables.
    rows, places : (token,) tensors of int64
        Index of the token's example in the update's batch, and of the token in its example.
    lengths : (row,) tensor of int64
        Tokens of every example.
    first_row : int
        Index of the first example in the update's batch; not 0 in the later parts of an
        accumulated batch.
    bucket : int, optional
        Places per example in attention's rectangle, if more than the longest example's tokens.
        See `seedlab.engines.packed.encoder.device_split`.
    """

    ids: torch.Tensor
    types: torch.Tensor
    positions: torch.Tensor
    rows: torch.Tensor
    places: torch.Tensor
    lengths: torch.Tensor
    first_row: int
    bucket: int | None = None
    _indices: dict[tuple[str, int, int, int], torch.Tensor] = field(default_factory=dict)
    _biases: dict[torch.dtype, torch.Tensor] = field(default_factory=dict)

    def uncached(self) -> Ragged:
        """Return the same batch without its cached index vectors."""
        return self.to(self.ids.device)

    def to(self, device: torch.device) -> Ragged:
        """Return the batch on another device, without its cached index vectors."""
        names = ("ids", "types", "positions", "rows", "places", "lengths")
        moved = {name: getattr(self, name).to(device) for name in names}
        return Ragged(**moved, first_row=self.first_row, bucket=self.bucket)

    def filled(self, multiple: int) -> Ragged:
        """Return the batch with extra tokens, so that their number is a multiple of `multiple`.

        Extra tokens belong to no example. They get a padding place of attention's rectangle, where
        gradients are zero, so they change nothing.
        """
        missing = -self.n_tokens % multiple
        if not missing:
            return self
        bucket, row = self.bucket, int(self.lengths.argmin())
        if bucket is None and int(self.lengths[row]) == self.longest:
            bucket = self.longest + 1
        place = (self.longest if bucket is None else bucket) - 1

        def extended(tensor: torch.Tensor, value: int) -> torch.Tensor:
            return torch.cat([tensor, tensor.new_full((missing,), value)])

        return Ragged(
            ids=extended(self.ids, 0),
            types=extended(self.types, 0),
            positions=extended(self.positions, 0),
            rows=extended(self.rows, row + self.first_row),
            places=extended(self.places, place),
            lengths=self.lengths,
            first_row=self.first_row,
            bucket=bucket,
        )

    @cached_property
    def n_tokens(self) -> int:
        """Number of tokens."""
        return self.ids.shape[0]

    @cached_property
    def n_rows(self) -> int:
        """Number of examples."""
        return self.lengths.shape[0]

    @cached_property
    def longest(self) -> int:
        """Places per example in attention: the bucket, or the tokens of the longest example."""
        return int(self.lengths.max()) if self.bucket is None else self.bucket

    @cached_property
    def starts(self) -> torch.Tensor:
        """The (row,) indices of every example's first token."""
        return torch.cumsum(self.lengths, 0) - self.lengths

    @cached_property
    def blocked(self) -> torch.Tensor | None:
        """The (row, 1, 1, place) mask of padding; None without padding."""
        if self.bucket is None and int(self.lengths.min()) == self.longest:
            return None
        places = torch.arange(self.longest, device=self.lengths.device)
        return (places >= self.lengths[:, None])[:, None, None, :]

    def bias(self, dtype: torch.dtype) -> torch.Tensor | None:
        """Return the (row, 1, 1, place) addend of attention scores; None without padding.

        It is 0 for tokens and the type's lowest number for padding.
        """
        if self.blocked is None:
            return None
        if dtype not in self._biases:
            zeros = torch.zeros_like(self.blocked, dtype=dtype)
            self._biases[dtype] = zeros.masked_fill_(self.blocked, torch.finfo(dtype).min)
        return self._biases[dtype]

    def to_heads(self, parts: int, runs: int, heads: int) -> torch.Tensor:
        """Return indices that gather (part, run, row, head, place) from (run, token + 1, part, head).

        The extra token is a row of zeros, which padding reads.
        """
        name = ("to", parts, runs, heads)
        if name not in self._indices:
            device = self.lengths.device
            places = torch.arange(self.longest, device=device)
            token = self.starts[:, None] + places
            token = torch.where(places < self.lengths[:, None], token, self.n_tokens)
            token = token[None, None, :, None, :]
            part = torch.arange(parts, device=device)[:, None, None, None, None]
            run = torch.arange(runs, device=device)[None, :, None, None, None]
            head = torch.arange(heads, device=device)[None, None, None, :, None]
            index = ((run * (self.n_tokens + 1) + token) * parts + part) * heads + head
            self._indices[name] = index.flatten()
        return self._indices[name]

    def to_tokens(self, parts: int, runs: int, heads: int) -> torch.Tensor:
        """Return indices that gather (run, token, part, head) from (part, run, row, head, place)."""
        name = ("from", parts, runs, heads)
        if name not in self._indices:
            device = self.lengths.device
            part = torch.arange(parts, device=device)[None, None, :, None]
            run = torch.arange(runs, device=device)[:, None, None, None]
            head = torch.arange(heads, device=device)
            row = (self.rows - self.first_row)[None, :, None, None]
            line = ((part * runs + run) * self.n_rows + row) * heads + head
            index = line * self.longest + self.places[None, :, None, None]
            self._indices[name] = index.flatten()
        return self._indices[name]


@dataclass(frozen=True)
class Tables:
    """Maps token ids and places to rows of trimmed embedding tables.

    Parameters
    ----------
    words : (vocabulary,) tensor of int64
        Row of every token id; -1 for tokens that the task does not use.
    padding : int
        Token id of the padding. It gets no gradient and, with `count_tokens`, no position.
    count_tokens : bool
        See `seedlab.engines.packed.encoder.architecture.EncoderArchitecture.positions_count_tokens`.
    """

    words: torch.Tensor
    padding: int
    count_tokens: bool

    def ragged(
        self, ids: torch.Tensor, types: torch.Tensor, mask: torch.Tensor, first_row: int = 0
    ) -> Ragged:
        """Return a padded (row, place) batch without its padding."""
        rows, places = torch.nonzero(mask, as_tuple=True)
        tokens = ids[rows, places]
        positions = places
        if self.count_tokens:
            counted = (ids != self.padding) & (mask != 0)
            numbers = torch.cumsum(counted, 1) * counted
            # Row 0 of the trimmed table is the row of the padding.
            positions = numbers[rows, places]
        return Ragged(
            ids=self.words[tokens],
            types=types[rows, places],
            positions=positions,
            rows=rows + first_row,
            places=places,
            lengths=mask.sum(1),
            first_row=first_row,
        )

    @cached_property
    def padding_word(self) -> int:
        """Row of the padding in the trimmed word table; -1 without one."""
        inside = 0 <= self.padding < len(self.words)
        return int(self.words[self.padding]) if inside else -1

    @property
    def padding_position(self) -> int:
        """Row of the padding in the trimmed position table; -1 without one."""
        return 0 if self.count_tokens else -1


def make_tables(
    used: torch.Tensor, vocabulary: int, longest: int, padding: int, count_tokens: bool
) -> tuple[Tables, torch.Tensor, torch.Tensor]:
    """Return the tables of a task, and the rows of the full tables that it uses.

    Parameters
    ----------
    used : (word,) tensor of int64
        Token ids that occur in the task, ascending.
    vocabulary : int
        Rows of the full word table.
    longest : int
        Tokens of the longest example.
    padding, count_tokens
        See `Tables`.

    Returns
    -------
    tables : Tables
    words, positions : (row,) tensors of int64
        Rows of the full tables, ascending.
    """
    words = torch.full((vocabulary,), -1, dtype=torch.long)
    words[used] = torch.arange(len(used))
    positions = torch.arange(longest + 1) + padding if count_tokens else torch.arange(longest)
    return Tables(words, padding, count_tokens), used, positions
