"""The stacked encoder: a BERT-like classifier of several runs at once.

Forward and backward are written out: the encoders of the family are one fixed chain of
operations, and written out they need no graph, keep their memory from step to step, write
gradients where the optimiser reads them, and compute in the last layer only what the first
token needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch

from seedlab.engines.packed.encoder.architecture import EncoderArchitecture
from seedlab.engines.packed.encoder.context import ForwardContext
from seedlab.engines.packed.encoder.layer import StackedLayer
from seedlab.engines.packed.encoder.matmul import affine, affine_backward, product
from seedlab.engines.packed.encoder.ops import (
    activate,
    activate_backward,
    norm,
    norm_backward,
    table_backward,
)
from seedlab.engines.packed.encoder.ragged_batch import Tables


@dataclass
class StackedEncoder:
    """Logits and gradients of several runs of one model on one batch.

    Parameters
    ----------
    family : EncoderArchitecture
    tables : Tables
    first : int
        Lowest stage with a parameter that is trained: 0 for the embeddings, i for the i-th
        layer, the number of layers + 1 for the head. What is below is the same for all runs.
    """

    architecture: EncoderArchitecture
    tables: Tables
    first: int = 0

    @cached_property
    def layers(self) -> tuple[StackedLayer, ...]:
        """The layers, first to last."""
        f = self.architecture
        last = len(f.layers) - 1
        return tuple(
            StackedLayer(names, str(n), n == last, f.heads, f.feed_forward, f.eps)
            for n, names in enumerate(f.layers)
        )

    def forward(self, at: ForwardContext, below: torch.Tensor | None = None) -> torch.Tensor:
        """Return (row, class) logits, with a leading run axis for more than one run.

        Parameters
        ----------
        at : ForwardContext
        below : tensor, optional
            What `lower` returned for this batch, with a run axis where logits have one; None:
            it is computed here.
        """
        x = self.frozen_trunk(at) if below is None else below
        x = self._through(at, x, self.first, len(self.layers) + 1)
        assert x is not None  # there always are embeddings
        return self._head(at, x)

    def frozen_trunk(self, at: ForwardContext) -> torch.Tensor | None:
        """Return the output of what is below the first stage that is trained.

        A (token, feature) tensor, or (row, feature) of the first tokens where the head alone is
        trained, in memory of its own; None if nothing is below.
        """
        return self._through(at, None, 0, self.first)

    def first_tokens(self, at: ForwardContext) -> Iterator[torch.Tensor]:
        """Yield (row, feature) first tokens of the embeddings and of every layer's output."""
        for stage, x in enumerate(self._stages(at, None, 0, len(self.layers) + 1)):
            yield x if stage == len(self.layers) else x.index_select(-2, at.batch.starts)

    def backward(self, at: ForwardContext, grad: torch.Tensor) -> None:
        """Write (or add) the gradients of what is trained, after `forward` with the same pass.

        Parameters
        ----------
        at : ForwardContext
        grad : tensor of the logits' shape
            Gradient of the logits.
        """
        dx = self._head_backward(at, grad)
        for stage in range(len(self.layers), max(self.first, 1) - 1, -1):
            assert dx is not None  # the head passes it on unless it alone is trained
            dx = self.layers[stage - 1].backward(at, dx, inwards=stage > self.first)
        if self.first == 0:
            assert dx is not None
            self._embed_backward(at, dx)

    def _stages(
        self, at: ForwardContext, x: torch.Tensor | None, start: int, stop: int
    ) -> Iterator[torch.Tensor]:
        """Yield the outputs of stages, from the output `x` of the one before."""
        for stage in range(start, stop):
            if stage == 0:
                x = self._embed(at)
            else:
                assert x is not None  # a stage before it, or the caller, has made it
                x = self.layers[stage - 1].forward(at, x)
            yield x

    def _through(
        self, at: ForwardContext, x: torch.Tensor | None, start: int, stop: int
    ) -> torch.Tensor | None:
        """Return the output of the last of some stages; `x` if there are none."""
        for out in self._stages(at, x, start, stop):
            x = out
        return x

    def _embed(self, at: ForwardContext) -> torch.Tensor:
        """Sum of the embeddings, norm and dropout."""
        f, batch, work = self.architecture, at.batch, at.work
        x = torch.index_select(at.p[f.words], -2, batch.ids)
        x += torch.index_select(at.p[f.positions], -2, batch.positions)
        if f.types is not None:
            x += torch.index_select(at.p[f.types], -2, batch.types)
        work.kept["embedded"] = x
        x, work.moments["embedded"] = norm(x, *at.affine(f.norm), f.eps)
        if f.embedding_site in at.masks:
            x.mul_(at.masks[f.embedding_site])
        if f.project is None:
            return x
        work.kept["narrow"] = x
        weight, bias = at.affine(f.project)
        # Memory of its own: the output of `lower` must outlive the next batch.
        out = x.new_empty(*x.shape[:-1], weight.shape[-2])
        return affine(x, weight, bias, out, work)

    def _embed_backward(self, at: ForwardContext, dx: torch.Tensor) -> None:
        """Gradients of the embeddings, from that of their output."""
        f, batch, work, tables = self.architecture, at.batch, at.work, self.tables
        if f.project is not None:
            narrow = work.kept["narrow"]
            affine_backward(dx, narrow, *at.affine_grads(f.project), work, at.accumulate)
            dx = product(dx, at.p[f"{f.project}.weight"], "dnarrow", work)
        if f.embedding_site in at.masks:
            dx.mul_(at.masks[f.embedding_site])
        x, moments = work.kept["embedded"], work.moments["embedded"]
        grads = at.affine_grads(f.norm)
        dx = norm_backward(dx, x, moments, *at.affine(f.norm), *grads, at.accumulate)
        for name, index, padding in (
            (f.words, batch.ids, tables.padding_word),
            (f.positions, batch.positions, tables.padding_position),
            (f.types, batch.types, -1),
        ):
            if name is not None and name in at.g:
                table_backward(dx, index, padding, at.g[name], at.accumulate)

    def _head(self, at: ForwardContext, x: torch.Tensor) -> torch.Tensor:
        """Dense layer, activation and last layer on the first tokens."""
        f, work = self.architecture, at.work
        if f.dense_site is not None and f.dense_site in at.masks:
            x = x * at.masks[f.dense_site]
        work.kept["head.x"] = x
        u = work.kept["head.u"] = affine(x, *at.affine(f.dense), "head.u", work)
        a = activate(f.activation, u, work.keep("head.a", *u.shape))
        dropped = a * at.masks[f.out_site] if f.out_site in at.masks else a
        work.kept["head.dropped"] = dropped
        return affine(dropped, *at.affine(f.out), "logits", work)

    def _head_backward(self, at: ForwardContext, grad: torch.Tensor) -> torch.Tensor | None:
        """Gradient at the first tokens; None if nothing below is trained."""
        f, work, kept = self.architecture, at.work, at.work.kept
        affine_backward(grad, kept["head.dropped"], *at.affine_grads(f.out), work, at.accumulate)
        a = kept["head.a"]
        da = product(grad, at.p[f"{f.out}.weight"], "head.da", work)
        if f.out_site in at.masks:
            da.mul_(at.masks[f.out_site])
        du = activate_backward(f.activation, da, kept["head.u"], a, da)
        x = kept["head.x"]
        affine_backward(du, x, *at.affine_grads(f.dense), work, at.accumulate)
        if self.first > len(self.layers):
            return None
        dx = product(du, at.p[f"{f.dense}.weight"], "head.dx", work)
        if f.dense_site is not None and f.dense_site in at.masks:
            dx.mul_(at.masks[f.dense_site])
        return dx
