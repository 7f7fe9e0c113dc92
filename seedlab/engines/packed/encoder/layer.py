"""`StackedLayer`: one transformer layer of a stack of runs, forwards and backwards.

The last layer of a classifier is asked for the first token alone: it needs all tokens' keys
and values, but one query per example, and all that follows on one row per example.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from seedlab.engines.packed.encoder.architecture_names import LayerNames
from seedlab.engines.packed.encoder.attention import attend, attend_backward
from seedlab.engines.packed.encoder.context import ForwardContext
from seedlab.engines.packed.encoder.matmul import affine, affine_backward, product
from seedlab.engines.packed.encoder.ops import activate, activate_backward, norm, norm_backward


@dataclass(frozen=True)
class StackedLayer:
    """One layer.

    Parameters
    ----------
    names : LayerNames
    tag : str
        Distinguishes what this layer keeps from what others keep.
    last : bool
        Return the first tokens alone.
    heads : int
    activation : str
    eps : float
    """

    names: LayerNames
    tag: str
    last: bool
    heads: int
    activation: str
    eps: float

    @property
    def _joined(self) -> tuple[int, str]:
        """How many of query, key and value are computed in one product, and its name."""
        return (2, f"{self.names.query}.kv") if self.last else (3, f"{self.names.query}.qkv")

    def _tag(self, at: ForwardContext) -> str:
        """Return the layer's own tag; all layers share memory where there is no way back."""
        return self.tag if at.g else ""

    def forward(self, at: ForwardContext, x: torch.Tensor) -> torch.Tensor:
        """Return the layer's output, of the first tokens if it is the last."""
        batch, work, tag = at.batch, at.work, self._tag(at)
        work.kept[f"{tag}.x"] = x
        width = x.shape[-1]
        size = width // self.heads
        parts, name = self._joined
        # One row more than there are tokens: zeros, for padding to read.
        flat = work.buffer("joined", *at.shape(batch.n_tokens + 1, parts * width))
        flat.select(-2, batch.n_tokens).zero_()
        affine(x, *at.affine(name), flat.narrow(-2, 0, batch.n_tokens), work)
        way = batch.to_heads(parts, at.runs, self.heads)
        split = work.keep(f"{tag}.split", way.shape[0], size)
        torch.index_select(flat.view(-1, size), 0, way, out=split)
        split = split.view(parts, -1, batch.longest, size)
        site = self.names.attention_site
        if self.last:
            x = work.kept[f"{tag}.first"] = x.index_select(-2, batch.starts)
            shape = at.shape(batch.n_rows, width)
            query = affine(x, *at.affine(self.names.query), f"{tag}.query", work)
            work.kept[f"{tag}.query"] = query
            mixed = attend((query.view(-1, 1, size), split[0], split[1]), at, self.heads, site, tag)
            context = work.keep(f"{tag}.context", *shape).copy_(mixed.view(shape))
        else:
            mixed = attend((split[0], split[1], split[2]), at, self.heads, site, tag)
            context = work.keep(f"{tag}.context", *at.shape(batch.n_tokens, width))
            way = batch.to_tokens(1, at.runs, self.heads)
            torch.index_select(mixed.view(-1, size), 0, way, out=context.view(-1, size))
        return self._after_attention(at, context, x)

    def backward(
        self, at: ForwardContext, grad: torch.Tensor, inwards: bool = True
    ) -> torch.Tensor | None:
        """Write the gradients of the layer's parameters; return that of its input.

        None unless `inwards`: below the lowest layer that is trained nobody needs it.
        """
        batch, work, tag, names = at.batch, at.work, self.tag, self.names
        x = work.kept[f"{tag}.x"]
        width = x.shape[-1]
        size = width // self.heads
        parts, name = self._joined
        dz = self._after_attention_backward(at, grad)
        dy = at.masked(dz, names.output_site)
        context = work.kept[f"{tag}.context"]
        affine_backward(dy, context, *at.affine_grads(names.output), work, at.accumulate)
        split = work.kept[f"{tag}.split"].view(parts, -1, batch.longest, size)
        dsplit = work.buffer("dsplit", *split.shape)
        weight = at.p[f"{names.output}.weight"]
        site = names.attention_site
        if self.last:
            dmixed = product(dy, weight, "dmixed", work).view(-1, 1, size)
            query = work.kept[f"{tag}.query"]
            dquery = work.buffer("dquery", *query.shape)
            inputs = (query.view(-1, 1, size), split[0], split[1])
            out = (dquery.view(-1, 1, size), dsplit[0], dsplit[1])
        else:
            flat = work.buffer("dcontext", *at.shape(batch.n_tokens + 1, width))
            flat.select(-2, batch.n_tokens).zero_()
            product(dy, weight, flat.narrow(-2, 0, batch.n_tokens), work)
            way = batch.to_heads(1, at.runs, self.heads)
            dmixed = work.buffer("dmixed", way.shape[0], size)
            torch.index_select(flat.view(-1, size), 0, way, out=dmixed)
            dmixed = dmixed.view(-1, batch.longest, size)
            inputs, out = (split[0], split[1], split[2]), (dsplit[0], dsplit[1], dsplit[2])
        attend_backward(dmixed, inputs, out, at, self.heads, site, tag)
        way = batch.to_tokens(parts, at.runs, self.heads)
        joined = work.buffer("djoined", *at.shape(batch.n_tokens, parts * width))
        torch.index_select(dsplit.view(-1, size), 0, way, out=joined.view(-1, size))
        affine_backward(joined, x, *at.affine_grads(name), work, at.accumulate)
        weight = at.p[f"{name}.weight"]
        if self.last:
            first = work.kept[f"{tag}.first"]
            affine_backward(dquery, first, *at.affine_grads(names.query), work, at.accumulate)
        if not inwards:
            return None
        if not self.last:
            return product(joined, weight, dz, work, accumulate=True)
        product(dquery, at.p[f"{names.query}.weight"], dz, work, accumulate=True)
        dx = product(joined, weight, "dx", work)
        return dx.index_add_(-2, batch.starts, dz)

    def _after_attention(
        self, at: ForwardContext, context: torch.Tensor, x: torch.Tensor
    ) -> torch.Tensor:
        """Output map, residual and norm; feed-forward, residual and norm."""
        work, names, tag = at.work, self.names, self._tag(at)
        y = affine(context, *at.affine(names.output), "y", work)
        z = at.residual(x, y, names.output_site, f"{tag}.z")
        x, work.moments[f"{tag}.z"] = norm(z, *at.affine(names.norm), self.eps)
        work.kept[f"{tag}.h"] = x
        u = work.kept[f"{tag}.u"] = affine(x, *at.affine(names.up), f"{tag}.u", work)
        a = activate(self.activation, u, work.keep(f"{tag}.a", *u.shape))
        y = affine(a, *at.affine(names.down), "y", work)
        z = at.residual(x, y, names.down_site, f"{tag}.z2")
        x, work.moments[f"{tag}.z2"] = norm(z, *at.affine(names.final_norm), self.eps)
        return x

    def _after_attention_backward(self, at: ForwardContext, grad: torch.Tensor) -> torch.Tensor:
        """Gradient at the sum of attention's output and its input."""
        work, names, tag = at.work, self.names, self.tag
        dz = self._norm_backward(at, grad, f"{tag}.z2", names.final_norm)
        dy = at.masked(dz, names.down_site)
        u, a = work.kept[f"{tag}.u"], work.kept[f"{tag}.a"]
        affine_backward(dy, a, *at.affine_grads(names.down), work, at.accumulate)
        da = product(dy, at.p[f"{names.down}.weight"], "da", work)
        du = activate_backward(self.activation, da, u, a, work.buffer("du", *a.shape))
        affine_backward(du, work.kept[f"{tag}.h"], *at.affine_grads(names.up), work, at.accumulate)
        product(du, at.p[f"{names.up}.weight"], dz, work, accumulate=True)
        return self._norm_backward(at, dz, f"{tag}.z", names.norm)

    def _norm_backward(
        self, at: ForwardContext, grad: torch.Tensor, kept: str, name: str
    ) -> torch.Tensor:
        z, moments = at.work.kept[kept], at.work.moments[kept]
        grads = at.affine_grads(name)
        return norm_backward(grad, z, moments, *at.affine(name), *grads, at.accumulate)
