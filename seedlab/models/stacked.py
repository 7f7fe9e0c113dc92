"""The stacked encoder: a BERT-like classifier of several runs at once.

Forward and backward are written out: the encoders of the family are one fixed chain of
operations, and written out they need no graph, keep their memory from step to step, write
gradients where the optimiser reads them, and compute in the last layer only what the first
token needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch

from seedlab.models.family import Family
from seedlab.models.ragged import Tables
from seedlab.models.stacked_layer import StackedLayer
from seedlab.models.stacked_ops import (
    activate,
    activate_backward,
    affine,
    affine_backward,
    norm,
    norm_backward,
    product,
    table_backward,
)
from seedlab.models.stacked_pass import Pass


@dataclass
class StackedEncoder:
    """Logits and gradients of several runs of one model on one batch.

    Parameters
    ----------
    family : Family
    tables : Tables
    """

    family: Family
    tables: Tables

    @cached_property
    def layers(self) -> tuple[StackedLayer, ...]:
        """The layers, first to last."""
        f = self.family
        last = len(f.layers) - 1
        return tuple(
            StackedLayer(names, str(n), n == last, f.heads, f.feed_forward, f.eps)
            for n, names in enumerate(f.layers)
        )

    def forward(self, at: Pass) -> torch.Tensor:
        """Return (row, class) logits, with a leading run axis for more than one run."""
        f, batch, work = self.family, at.batch, at.work
        x = torch.index_select(at.p[f.words], -2, batch.ids)
        x += torch.index_select(at.p[f.positions], -2, batch.positions)
        if f.types is not None:
            x += torch.index_select(at.p[f.types], -2, batch.types)
        work.kept["embedded"] = x
        x, work.moments["embedded"] = norm(x, *at.affine(f.norm), f.eps)
        if f.embedding_site in at.masks:
            x.mul_(at.masks[f.embedding_site])
        if f.project is not None:
            work.kept["narrow"] = x
            weight, bias = at.affine(f.project)
            out = work.keep("projected", *x.shape[:-1], weight.shape[-2])
            x = affine(x, weight, bias, out, work)
        for layer in self.layers:
            x = layer.forward(at, x)
        return self._head(at, x)

    def backward(self, at: Pass, grad: torch.Tensor) -> None:
        """Write (or add) the gradients of all parameters, after `forward` with the same pass.

        Parameters
        ----------
        at : Pass
        grad : tensor of the logits' shape
            Gradient of the logits.
        """
        f, batch, work = self.family, at.batch, at.work
        dx = self._head_backward(at, grad)
        for layer in reversed(self.layers):
            dx = layer.backward(at, dx)
        if f.project is not None:
            narrow = work.kept["narrow"]
            affine_backward(dx, narrow, *at.affine_grads(f.project), work, at.accumulate)
            out = work.buffer("dnarrow", *narrow.shape)
            dx = product(dx, at.p[f"{f.project}.weight"], out, work)
        if f.embedding_site in at.masks:
            dx.mul_(at.masks[f.embedding_site])
        x, moments = work.kept["embedded"], work.moments["embedded"]
        grads = at.affine_grads(f.norm)
        dx = norm_backward(dx, x, moments, *at.affine(f.norm), *grads, at.accumulate)
        tables = self.tables
        table_backward(dx, batch.ids, tables.padding_word, at.g[f.words], at.accumulate)
        table_backward(
            dx, batch.positions, tables.padding_position, at.g[f.positions], at.accumulate
        )
        if f.types is not None:
            table_backward(dx, batch.types, -1, at.g[f.types], at.accumulate)

    def _head(self, at: Pass, x: torch.Tensor) -> torch.Tensor:
        """Dense layer, activation and last layer on the first tokens."""
        f, work = self.family, at.work
        if f.dense_site is not None and f.dense_site in at.masks:
            x = x * at.masks[f.dense_site]
        work.kept["head.x"] = x
        weight, bias = at.affine(f.dense)
        u = work.keep("head.u", *x.shape[:-1], weight.shape[-2])
        affine(x, weight, bias, u, work)
        a = activate(f.activation, u, work.keep("head.a", *u.shape))
        dropped = a * at.masks[f.out_site] if f.out_site in at.masks else a
        work.kept["head.dropped"] = dropped
        weight, bias = at.affine(f.out)
        logits = work.buffer("logits", *x.shape[:-1], weight.shape[-2])
        return affine(dropped, weight, bias, logits, work)

    def _head_backward(self, at: Pass, grad: torch.Tensor) -> torch.Tensor:
        """Gradient at the first tokens."""
        f, work, kept = self.family, at.work, at.work.kept
        affine_backward(grad, kept["head.dropped"], *at.affine_grads(f.out), work, at.accumulate)
        a = kept["head.a"]
        da = product(grad, at.p[f"{f.out}.weight"], work.buffer("head.da", *a.shape), work)
        if f.out_site in at.masks:
            da.mul_(at.masks[f.out_site])
        du = activate_backward(f.activation, da, kept["head.u"], a, da)
        x = kept["head.x"]
        affine_backward(du, x, *at.affine_grads(f.dense), work, at.accumulate)
        dx = product(du, at.p[f"{f.dense}.weight"], work.buffer("head.dx", *x.shape), work)
        if f.dense_site is not None and f.dense_site in at.masks:
            dx.mul_(at.masks[f.dense_site])
        return dx
