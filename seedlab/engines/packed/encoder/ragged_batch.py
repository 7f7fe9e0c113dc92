"""`Ragged`: a batch as one row of tokens, and the ways between it and padded attention.

Linear layers, norms and dropout work on the tokens there are. Attention alone needs a
rectangle; two index vectors carry head-sized rows there and back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import torch


@dataclass
class Ragged:
    """The tokens of a batch, one after the other; every run of a pack sees the same.

    Parameters
    ----------
    ids, types, positions : (token,) tensors of int64
        Rows of the embedding tables.
    rows, places : (token,) tensors of int64
        The token's example within the update's batch, and its place in the example.
    lengths : (row,) tensor of int64
    first_row : int
        Place of the first example in the update's batch (the later parts of an accumulated
        batch do not start at 0).
    bucket : int, optional
        Places per example in attention's rectangle, more than the longest example has; None: as
        many as it has. See `seedlab.engines.packed.encoder.device_split`.
    """

    ids: torch.Tensor
    types: torch.Tensor
    positions: torch.Tensor
    rows: torch.Tensor
    places: torch.Tensor
    lengths: torch.Tensor
    first_row: int
    bucket: int | None = None
    _ways: dict[tuple[str, int, int, int], torch.Tensor] = field(default_factory=dict)
    _biases: dict[torch.dtype, torch.Tensor] = field(default_factory=dict)

    def anew(self) -> Ragged:
        """Return the same batch without what was derived from it."""
        return self.to(self.ids.device)

    def to(self, device: torch.device) -> Ragged:
        """Return the batch on another device, without what was derived from it."""
        names = ("ids", "types", "positions", "rows", "places", "lengths")
        moved = {name: getattr(self, name).to(device) for name in names}
        return Ragged(**moved, first_row=self.first_row, bucket=self.bucket)

    def filled(self, multiple: int) -> Ragged:
        """Return the batch with as many tokens more as make their number a multiple of that.

        Those belong to no example. They stand in a place of attention's rectangle that is padding,
        where no gradient comes from, so that they change nothing.
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
        """Tokens in all."""
        return self.ids.shape[0]

    @cached_property
    def n_rows(self) -> int:
        """Examples."""
        return self.lengths.shape[0]

    @cached_property
    def longest(self) -> int:
        """Places per example: tokens of the longest, or the bucket."""
        return int(self.lengths.max()) if self.bucket is None else self.bucket

    @cached_property
    def starts(self) -> torch.Tensor:
        """The (row,) numbers of every example's first token."""
        return torch.cumsum(self.lengths, 0) - self.lengths

    @cached_property
    def blocked(self) -> torch.Tensor | None:
        """The (row, 1, 1, place) mask, true where there is no token; None without padding."""
        if self.bucket is None and int(self.lengths.min()) == self.longest:
            return None
        places = torch.arange(self.longest, device=self.lengths.device)
        return (places >= self.lengths[:, None])[:, None, None, :]

    def bias(self, dtype: torch.dtype) -> torch.Tensor | None:
        """The (row, 1, 1, place) addend of attention scores: lowest number where blocked."""
        if self.blocked is None:
            return None
        if dtype not in self._biases:
            zeros = torch.zeros_like(self.blocked, dtype=dtype)
            self._biases[dtype] = zeros.masked_fill_(self.blocked, torch.finfo(dtype).min)
        return self._biases[dtype]

    def to_heads(self, parts: int, runs: int, heads: int) -> torch.Tensor:
        """Return which rows make (part, run, row, head, place) of (run, token + 1, part, head).

        The extra token is a row of zeros, which padding reads.
        """
        name = ("to", parts, runs, heads)
        if name not in self._ways:
            device = self.lengths.device
            places = torch.arange(self.longest, device=device)
            token = self.starts[:, None] + places
            token = torch.where(places < self.lengths[:, None], token, self.n_tokens)
            token = token[None, None, :, None, :]
            part = torch.arange(parts, device=device)[:, None, None, None, None]
            run = torch.arange(runs, device=device)[None, :, None, None, None]
            head = torch.arange(heads, device=device)[None, None, None, :, None]
            index = ((run * (self.n_tokens + 1) + token) * parts + part) * heads + head
            self._ways[name] = index.flatten()
        return self._ways[name]

    def to_tokens(self, parts: int, runs: int, heads: int) -> torch.Tensor:
        """Return which rows make (run, token, part, head) of (part, run, row, head, place)."""
        name = ("from", parts, runs, heads)
        if name not in self._ways:
            device = self.lengths.device
            part = torch.arange(parts, device=device)[None, None, :, None]
            run = torch.arange(runs, device=device)[:, None, None, None]
            head = torch.arange(heads, device=device)
            row = (self.rows - self.first_row)[None, :, None, None]
            line = ((part * runs + run) * self.n_rows + row) * heads + head
            index = line * self.longest + self.places[None, :, None, None]
            self._ways[name] = index.flatten()
        return self._ways[name]


@dataclass(frozen=True)
class Tables:
    """How token ids and places become rows of (trimmed) embedding tables.

    Parameters
    ----------
    words : (vocabulary,) tensor of int64
        Row of every token id; -1 where the task has no such token.
    padding : int
        The token id that gets no gradient and, with `count_tokens`, no position.
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
            # The trimmed table starts at the row of the padding.
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
        """Row of the padding in the trimmed table of words, -1 if it is not kept."""
        inside = 0 <= self.padding < len(self.words)
        return int(self.words[self.padding]) if inside else -1

    @property
    def padding_position(self) -> int:
        """Row of the padding in the trimmed table of positions, -1 if there is none."""
        return 0 if self.count_tokens else -1


def make_tables(
    used: torch.Tensor, vocabulary: int, longest: int, padding: int, count_tokens: bool
) -> tuple[Tables, torch.Tensor, torch.Tensor]:
    """Return the tables of a task, and the rows of words and positions that it can reach.

    Parameters
    ----------
    used : (word,) tensor of int64
        Token ids that occur, ascending.
    vocabulary : int
        Rows of the whole table of words.
    longest : int
        Tokens of the longest example.
    padding, count_tokens
        See `Tables`.
    """
    words = torch.full((vocabulary,), -1, dtype=torch.long)
    words[used] = torch.arange(len(used))
    positions = torch.arange(longest + 1) + padding if count_tokens else torch.arange(longest)
    return Tables(words, padding, count_tokens), used, positions
