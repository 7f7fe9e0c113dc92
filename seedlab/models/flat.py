"""`FlatLayout`: all parameters of a model in one vector per run.

One vector per run makes the optimiser a single pass and gives every tensor a fixed place.
Decayed parameters come first, exempt ones after. Embedding tables keep only the rows that
the task can reach: the others never get a gradient and only feel weight decay, which is
made up for when a run's model is put back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from seedlab.models.family import Family
from seedlab.models.groups import parameter_groups

_ALIGNED = 16
"""Numbers after which a tensor starts: 64 bytes of float32, a cache line and a vector."""


@dataclass(frozen=True)
class Piece:
    """Where a tensor lies in a run's vector."""

    start: int
    shape: tuple[int, ...]

    @property
    def stop(self) -> int:
        """One past the last number."""
        size = 1
        for n in self.shape:
            size *= n
        return self.start + size


@dataclass(frozen=True)
class FlatLayout:
    """Places of all parameters in a run's vector.

    Parameters
    ----------
    pieces : mapping of parameter name to Piece
    fused : mapping of name to Piece
        Neighbouring tensors seen as one: ``NAME.qkv.weight`` and so on, NAME being the query's.
    rows : mapping of embedding table to (row,) tensor of int64
        Rows of the table that are kept, ascending.
    decayed : int
        The first so many numbers feel weight decay.
    size : int
        Numbers per run, gaps for alignment included (they stay zero).
    """

    pieces: Mapping[str, Piece]
    fused: Mapping[str, Piece]
    rows: Mapping[str, torch.Tensor]
    decayed: int
    size: int

    def views(self, flat: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the tensors of a (..., size) buffer by name, (..., *shape) each; no copies."""
        return {
            name: flat[..., piece.start : piece.stop].view(*flat.shape[:-1], *piece.shape)
            for name, piece in (*self.pieces.items(), *self.fused.items())
        }

    def fill(self, row: torch.Tensor, model: nn.Module) -> None:
        """Copy a model's parameters into a run's (size,) vector."""
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                piece = self.pieces[name]
                kept = parameter[self.rows[name]] if name in self.rows else parameter
                row[piece.start : piece.stop].view(piece.shape).copy_(kept)

    def restore(self, row: torch.Tensor, model: nn.Module, decay: float) -> None:
        """Copy a run's (size,) vector into a model.

        Parameters
        ----------
        row : (size,) tensor
        model : torch.nn.Module
            Its embedding rows that are not kept must be those that training began with.
        decay : float
            Product over all updates of 1 - rate x weight decay: what became of those rows.
        """
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                piece = self.pieces[name]
                values = row[piece.start : piece.stop].view(piece.shape)
                if name in self.rows:
                    parameter.mul_(decay)
                    parameter[self.rows[name]] = values.to(parameter.device, parameter.dtype)
                else:
                    parameter.copy_(values)


def make_layout(model: nn.Module, family: Family, rows: Mapping[str, torch.Tensor]) -> FlatLayout:
    """Return the layout of a model whose embedding tables keep the given rows."""
    heavy = {name for group in parameter_groups(model) if group.decayed for name in group.names}
    named = list(model.named_parameters())
    ordered = [n for n in named if n[0] in heavy] + [n for n in named if n[0] not in heavy]
    # Key and value follow the query without a gap, so that the three are one matrix.
    joined = {f"{m}.{leaf}" for la in family.layers for m in (la.key, la.value) for leaf in _LEAVES}
    pieces: dict[str, Piece] = {}
    end = n_decayed = 0
    for name, parameter in ordered:
        shape = tuple(parameter.shape)
        if name in rows:
            shape = (len(rows[name]), *shape[1:])
        start = end if name in joined else -(-end // _ALIGNED) * _ALIGNED
        if name not in heavy and not n_decayed:
            n_decayed = start
        pieces[name] = Piece(start, shape)
        end = pieces[name].stop
    fused: dict[str, Piece] = {}
    for layer in family.layers:
        for leaf in _LEAVES:
            query, key = pieces[f"{layer.query}.{leaf}"], pieces[f"{layer.key}.{leaf}"]
            width, rest = query.shape[0], query.shape[1:]
            fused[f"{layer.query}.qkv.{leaf}"] = Piece(query.start, (3 * width, *rest))
            fused[f"{layer.query}.kv.{leaf}"] = Piece(key.start, (2 * width, *rest))
    return FlatLayout(pieces, fused, dict(rows), n_decayed, -(-end // _ALIGNED) * _ALIGNED)


_LEAVES = ("weight", "bias")
