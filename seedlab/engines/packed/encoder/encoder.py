"""`StackedEncoder`: a BERT-like classifier of several runs at once.

Forward and backward pass are written out, because the encoders of the family are one fixed chain
of operations. So they need no autograd graph, and reuse their memory at every step. They write
gradients where the optimiser reads them. The last layer computes only what the first token needs.
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
    architecture : EncoderArchitecture
    tables : Tables
    first : int
        Lowest stage with a trained parameter: 0 for the embeddings, i for the i-th layer, the
        number of layers + 1 for the head. The stages below are the same for all runs.
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

    def forward(
        self, ctx: ForwardContext, trunk_output: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return (row, class) logits, with a leading run axis for more than one run.

        Parameters
        ----------
        ctx : ForwardContext
        trunk_output : tensor, optional
            Output of `frozen_trunk` for this batch, with a run axis for more than one run. None:
            computed here.
        """
        x = self.frozen_trunk(ctx) if trunk_output is None else trunk_output
        x = self._through(ctx, x, self.first, len(self.layers) + 1)
        assert x is not None  # stage 0, the embeddings, always exists
        return self._head(ctx, x)

    def frozen_trunk(self, ctx: ForwardContext) -> torch.Tensor | None:
        """Return the output of the stages below `first`; None if `first` is 0.

        It is a (token, feature) tensor, or (row, feature) of the first tokens if only the head is
        trained. Later passes do not overwrite its memory.
        """
        return self._through(ctx, None, 0, self.first)

    def first_tokens(self, ctx: ForwardContext) -> Iterator[torch.Tensor]:
        """Yield the first tokens' (row, feature) states: embeddings, then every layer's output."""
        for stage, x in enumerate(self._stages(ctx, None, 0, len(self.layers) + 1)):
            yield x if stage == len(self.layers) else x.index_select(-2, ctx.batch.starts)

    def backward(self, ctx: ForwardContext, grad: torch.Tensor) -> None:
        """Write the gradients of the trained parameters, after `forward` with the same context.

        Parameters
        ----------
        ctx : ForwardContext
        grad : tensor of the logits' shape
            Gradient of the logits.
        """
        dx = self._head_backward(ctx, grad)
        for stage in range(len(self.layers), max(self.first, 1) - 1, -1):
            assert dx is not None  # the head returns it unless only the head is trained
            dx = self.layers[stage - 1].backward(ctx, dx, inwards=stage > self.first)
        if self.first == 0:
            assert dx is not None
            self._embed_backward(ctx, dx)

    def _stages(
        self, ctx: ForwardContext, x: torch.Tensor | None, start: int, stop: int
    ) -> Iterator[torch.Tensor]:
        """Yield the outputs of stages `start` to `stop` - 1; `x` is the output of the one before."""
        for stage in range(start, stop):
            if stage == 0:
                x = self._embed(ctx)
            else:
                assert x is not None  # from the stage before, or from the caller
                x = self.layers[stage - 1].forward(ctx, x)
            yield x

    def _through(
        self, ctx: ForwardContext, x: torch.Tensor | None, start: int, stop: int
    ) -> torch.Tensor | None:
        """Return the output of stage `stop` - 1; `x` if the range is empty."""
        for out in self._stages(ctx, x, start, stop):
            x = out
        return x

    def _embed(self, ctx: ForwardContext) -> torch.Tensor:
        """Return the sum of the embeddings after layer norm, dropout and projection."""
        f, batch, work = self.architecture, ctx.batch, ctx.work
        x = torch.index_select(ctx.parameters[f.words], -2, batch.ids)
        x += torch.index_select(ctx.parameters[f.positions], -2, batch.positions)
        if f.types is not None:
            x += torch.index_select(ctx.parameters[f.types], -2, batch.types)
        work.kept["embedded"] = x
        x, work.moments["embedded"] = norm(x, *ctx.affine(f.norm), f.eps)
        if f.embedding_site in ctx.masks:
            x.mul_(ctx.masks[f.embedding_site])
        if f.project is None:
            return x
        work.kept["narrow"] = x
        weight, bias = ctx.affine(f.project)
        # Newly allocated: the output of `frozen_trunk` must outlive the next batch.
        out = x.new_empty(*x.shape[:-1], weight.shape[-2])
        return affine(x, weight, bias, out, work)

    def _embed_backward(self, ctx: ForwardContext, dx: torch.Tensor) -> None:
        """Write the gradients of the embeddings, from the gradient `dx` of their output."""
        f, batch, work, tables = self.architecture, ctx.batch, ctx.work, self.tables
        if f.project is not None:
            narrow = work.kept["narrow"]
            affine_backward(dx, narrow, *ctx.affine_grads(f.project), work, ctx.accumulate)
            dx = product(dx, ctx.parameters[f"{f.project}.weight"], "dnarrow", work)
        if f.embedding_site in ctx.masks:
            dx.mul_(ctx.masks[f.embedding_site])
        x, moments = work.kept["embedded"], work.moments["embedded"]
        grads = ctx.affine_grads(f.norm)
        dx = norm_backward(dx, x, moments, *ctx.affine(f.norm), *grads, ctx.accumulate)
        for name, index, padding in (
            (f.words, batch.ids, tables.padding_word),
            (f.positions, batch.positions, tables.padding_position),
            (f.types, batch.types, -1),
        ):
            if name is not None and name in ctx.grads:
                table_backward(dx, index, padding, ctx.grads[name], ctx.accumulate)

    def _head(self, ctx: ForwardContext, x: torch.Tensor) -> torch.Tensor:
        """Return the logits from the first tokens: dense layer, activation, last linear map."""
        f, work = self.architecture, ctx.work
        if f.dense_site is not None and f.dense_site in ctx.masks:
            x = x * ctx.masks[f.dense_site]
        work.kept["head.x"] = x
        u = work.kept["head.u"] = affine(x, *ctx.affine(f.dense), "head.u", work)
        a = activate(f.activation, u, work.keep("head.a", *u.shape))
        dropped = a * ctx.masks[f.out_site] if f.out_site in ctx.masks else a
        work.kept["head.dropped"] = dropped
        return affine(dropped, *ctx.affine(f.out), "logits", work)

    def _head_backward(self, ctx: ForwardContext, grad: torch.Tensor) -> torch.Tensor | None:
        """Return the gradient at the first tokens; None if only the head is trained."""
        f, work, kept = self.architecture, ctx.work, ctx.work.kept
        affine_backward(grad, kept["head.dropped"], *ctx.affine_grads(f.out), work, ctx.accumulate)
        a = kept["head.a"]
        da = product(grad, ctx.parameters[f"{f.out}.weight"], "head.da", work)
        if f.out_site in ctx.masks:
            da.mul_(ctx.masks[f.out_site])
        du = activate_backward(f.activation, da, kept["head.u"], a, da)
        x = kept["head.x"]
        affine_backward(du, x, *ctx.affine_grads(f.dense), work, ctx.accumulate)
        if self.first > len(self.layers):
            return None
        dx = product(du, ctx.parameters[f"{f.dense}.weight"], "head.dx", work)
        if f.dense_site is not None and f.dense_site in ctx.masks:
            dx.mul_(ctx.masks[f.dense_site])
        return dx
