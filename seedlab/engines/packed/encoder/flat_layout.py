"""`FlatLayout`: positions of all parameters of a model in one vector per run.

With one vector per run the optimiser is a single pass. Parameters with weight decay come first,
exempt ones after. Embedding tables keep only the rows that the task uses. The other rows never
get a gradient: weight decay alone changes them, and `FlatLayout.restore` applies it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

import torch
from torch import nn

from seedlab.engines.packed.encoder.architecture import EncoderArchitecture
from seedlab.models.parameter_groups import is_exempt

_ALIGNED = 16
"""Tensors start at multiples of this: 64 bytes of float32, a cache line and a vector register."""


@dataclass(frozen=True)
class Piece:
    """Position and shape of a tensor in a run's vector."""

    start: int
    shape: tuple[int, ...]

    @property
    def stop(self) -> int:
        """One past the tensor's last element."""
        size = 1
        for n in self.shape:
            size *= n
        return self.start + size


@dataclass(frozen=True)
class Segment:
    """A range of a run's vector with one learning rate and one weight decay.

    Parameters
    ----------
    start, stop : int
    column : int
        The number that the tensors' names map to, for example the index of a learning rate.
    decayed : bool
        Whether weight decay applies.
    """

    start: int
    stop: int
    column: int
    decayed: bool


@dataclass(frozen=True)
class FlatLayout:
    """Positions of parameters in a run's vector.

    Parameters
    ----------
    pieces : mapping of parameter name to Piece
    fused : mapping of name to Piece
        Adjacent tensors as one: ``NAME.qkv.weight`` and so on, where NAME is the query's name.
    rows : mapping of embedding table to (row,) tensor of int64
        Rows of the table that are kept, ascending.
    decayed : int
        Weight decay applies to the first `decayed` elements.
    size : int
        Elements per run, including gaps for alignment, which stay zero.
    maps : frozenset of str
        Names of the weights of linear maps, including fused ones.
    """

    pieces: Mapping[str, Piece]
    fused: Mapping[str, Piece]
    rows: Mapping[str, torch.Tensor]
    decayed: int
    size: int
    maps: frozenset[str] = frozenset()

    def views(
        self,
        flat: torch.Tensor,
        copies: torch.Tensor | None = None,
        exempt: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:
        """Return the tensors of a (..., size) buffer by name, as (..., *shape) views.

        Parameters
        ----------
        flat : (..., size) tensor
        copies : (..., size) tensor, optional
            Buffer of low precision; weights of linear maps are views of it.
        exempt : (..., size - decayed) tensor, optional
            Biases and norms, which weight decay exempts, are views of it.
        """
        found = {}
        for name, piece in (*self.pieces.items(), *self.fused.items()):
            buffer, start = flat, 0
            if copies is not None and name in self.maps:
                buffer = copies
            elif exempt is not None and piece.start >= self.decayed:
                buffer, start = exempt, self.decayed
            part = buffer[..., piece.start - start : piece.stop - start]
            found[name] = part.view(*flat.shape[:-1], *piece.shape)
        return found

    def tensors(self, flat: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the parameters of a (..., size) buffer by name, without those seen as one."""
        return {
            name: flat[..., piece.start : piece.stop].view(*flat.shape[:-1], *piece.shape)
            for name, piece in self.pieces.items()
        }

    def gaps(self) -> torch.Tensor:
        """Return the (gap,) indices of elements between tensors, which stay zero."""
        free = torch.ones(self.size, dtype=torch.bool)
        for piece in self.pieces.values():
            free[piece.start : piece.stop] = False
        return free.nonzero()[:, 0]

    def segments(self, column: Callable[[str], int] = lambda name: 0) -> list[Segment]:
        """Return the vector split into segments of one column and one weight decay.

        Parameters
        ----------
        column : callable
            Maps a parameter's name to a number, for example its depth.

        Returns
        -------
        list of Segment
            In order and without gaps. The models of the family list their parameters from the
            embeddings upwards, so each depth has at most two segments.
        """
        found: list[Segment] = []
        for name, piece in sorted(self.pieces.items(), key=lambda item: item[1].start):
            kind = column(name), piece.start < self.decayed
            if found and kind == (found[-1].column, found[-1].decayed):
                continue
            if found:
                found[-1] = replace(found[-1], stop=piece.start)
            found.append(Segment(piece.start, self.size, *kind))
        return found

    def fill(self, row: torch.Tensor, model: nn.Module) -> None:
        """Copy a model's parameters into a run's (size,) vector."""
        with torch.no_grad():
            for name, piece in self.pieces.items():
                parameter = model.get_parameter(name)
                kept = parameter[self.rows[name]] if name in self.rows else parameter
                row[piece.start : piece.stop].view(piece.shape).copy_(kept)

    def restore(self, row: torch.Tensor, model: nn.Module, decay: float) -> None:
        """Copy a run's (size,) vector into a model.

        Parameters
        ----------
        row : (size,) tensor
        model : torch.nn.Module
            Its embedding rows that the layout does not keep must have their initial values.
        decay : float
            Factor of those rows: the product over all updates of 1 - rate x weight decay.
        """
        with torch.no_grad():
            for name, piece in self.pieces.items():
                parameter = model.get_parameter(name)
                values = row[piece.start : piece.stop].view(piece.shape)
                if name in self.rows:
                    parameter.mul_(decay)
                    parameter[self.rows[name]] = values.to(parameter.device, parameter.dtype)
                else:
                    parameter.copy_(values)


def make_layout(
    model: nn.Module,
    architecture: EncoderArchitecture,
    rows: Mapping[str, torch.Tensor],
    names: Collection[str] | None = None,
) -> FlatLayout:
    """Return the layout of a model's parameters.

    Parameters
    ----------
    model : torch.nn.Module
    architecture : EncoderArchitecture
    rows : mapping of embedding table to (row,) tensor of int64
        Rows that are kept.
    names : collection of str, optional
        Parameters of the layout; None: all parameters.
    """
    named = {n: p for n, p in model.named_parameters() if names is None or n in names}
    decayed = {name for name in named if not is_exempt(model, name)}
    ordered = [name for name in named if name in decayed]
    ordered += [name for name in named if name not in decayed]
    # Key and value follow the query without a gap, so the three are one matrix.
    trios = [trio for trio in _trios(architecture) if trio[0] in named]
    following = {name for _, *others in trios for name in others}
    ordered = [name for name in ordered if name not in following]
    for query, *others in trios:
        at = ordered.index(query) + 1
        ordered[at:at] = others
    pieces: dict[str, Piece] = {}
    end = n_decayed = 0
    for name in ordered:
        shape = tuple(named[name].shape)
        if name in rows:
            shape = (len(rows[name]), *shape[1:])
        start = end if name in following else _aligned(end)
        pieces[name] = Piece(start, shape)
        end = pieces[name].stop
        if name in decayed:
            n_decayed = _aligned(end)
    fused: dict[str, Piece] = {}
    for query, key, _ in trios:
        module, _, leaf = query.rpartition(".")
        width, *rest = pieces[query].shape
        fused[f"{module}.qkv.{leaf}"] = Piece(pieces[query].start, (3 * width, *rest))
        fused[f"{module}.kv.{leaf}"] = Piece(pieces[key].start, (2 * width, *rest))
    flat = {name for name, piece in (*pieces.items(), *fused.items()) if len(piece.shape) == 2}
    kept = {name: kept_rows for name, kept_rows in rows.items() if name in pieces}
    maps = frozenset(flat.difference(architecture.tables))
    return FlatLayout(pieces, fused, kept, n_decayed, _aligned(end), maps)


def _trios(architecture: EncoderArchitecture) -> list[tuple[str, str, str]]:
    """Return the names of query, key and value of every layer, weights and biases."""
    return [
        (f"{layer.query}.{leaf}", f"{layer.key}.{leaf}", f"{layer.value}.{leaf}")
        for layer in architecture.layers
        for leaf in ("weight", "bias")
    ]


def _aligned(end: int) -> int:
    """Return the next index at which a tensor may start."""
    return -(-end // _ALIGNED) * _ALIGNED
