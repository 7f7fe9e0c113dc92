"""`StackedLayer`: forward and backward pass of one transformer layer for a stack of runs.

A classifier reads only the first token of the last layer. So that layer computes the keys and
values of all tokens, but queries and everything after attention for first tokens only.
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
        Prefix of the layer's names in the workspace.
    last : bool
        Return only the first tokens.
    heads : int
        Attention heads.
    activation : str
        Activation of the feed-forward block.
    eps : float
        Epsilon of the layer norms.
    """

    names: LayerNames
    tag: str
    last: bool
    heads: int
    activation: str
    eps: float

    @property
    def _joined(self) -> tuple[int, str]:
        """Number of maps among query, key and value computed as one, and the fused map's name."""
        return (2, f"{self.names.query}.kv") if self.last else (3, f"{self.names.query}.qkv")

    def _tag(self, ctx: ForwardContext) -> str:
        """Return the prefix of workspace names; all layers share memory without a backward pass."""
        return self.tag if ctx.grads else ""

    def forward(self, ctx: ForwardContext, x: torch.Tensor) -> torch.Tensor:
        """Return the layer's (token, feature) output; (row, feature) for the last layer."""
        batch, work, tag = ctx.batch, ctx.work, self._tag(ctx)
        work.kept[f"{tag}.x"] = x
        width = x.shape[-1]
        size = width // self.heads
        parts, name = self._joined
        # One extra row of zeros, which padding reads.
        flat = work.buffer("joined", *ctx.shape(batch.n_tokens + 1, parts * width))
        flat.select(-2, batch.n_tokens).zero_()
        affine(x, *ctx.affine(name), flat.narrow(-2, 0, batch.n_tokens), work)
        index = batch.to_heads(parts, ctx.runs, self.heads)
        split = work.keep(f"{tag}.split", index.shape[0], size)
        torch.index_select(flat.view(-1, size), 0, index, out=split)
        split = split.view(parts, -1, batch.longest, size)
        site = self.names.attention_site
        if self.last:
            x = work.kept[f"{tag}.first"] = x.index_select(-2, batch.starts)
            shape = ctx.shape(batch.n_rows, width)
            query = affine(x, *ctx.affine(self.names.query), f"{tag}.query", work)
            work.kept[f"{tag}.query"] = query
            mixed = attend(
                (query.view(-1, 1, size), split[0], split[1]), ctx, self.heads, site, tag
            )
            context = work.keep(f"{tag}.context", *shape).copy_(mixed.view(shape))
        else:
            mixed = attend((split[0], split[1], split[2]), ctx, self.heads, site, tag)
            context = work.keep(f"{tag}.context", *ctx.shape(batch.n_tokens, width))
            index = batch.to_tokens(1, ctx.runs, self.heads)
            torch.index_select(mixed.view(-1, size), 0, index, out=context.view(-1, size))
        return self._after_attention(ctx, context, x)

    def backward(
        self, ctx: ForwardContext, grad: torch.Tensor, inwards: bool = True
    ) -> torch.Tensor | None:
        """Write the gradients of the layer's parameters; return the gradient of its input.

        It is None unless `inwards`: the lowest trained layer does not need it.
        """
        batch, work, tag, names = ctx.batch, ctx.work, self.tag, self.names
        x = work.kept[f"{tag}.x"]
        width = x.shape[-1]
        size = width // self.heads
        parts, name = self._joined
        dz = self._after_attention_backward(ctx, grad)
        dy = ctx.masked(dz, names.output_site)
        context = work.kept[f"{tag}.context"]
        affine_backward(dy, context, *ctx.affine_grads(names.output), work, ctx.accumulate)
        split = work.kept[f"{tag}.split"].view(parts, -1, batch.longest, size)
        dsplit = work.buffer("dsplit", *split.shape)
        weight = ctx.parameters[f"{names.output}.weight"]
        site = names.attention_site
        if self.last:
            dmixed = product(dy, weight, "dmixed", work).view(-1, 1, size)
            query = work.kept[f"{tag}.query"]
            dquery = work.buffer("dquery", *query.shape)
            inputs = (query.view(-1, 1, size), split[0], split[1])
            out = (dquery.view(-1, 1, size), dsplit[0], dsplit[1])
        else:
            flat = work.buffer("dcontext", *ctx.shape(batch.n_tokens + 1, width))
            flat.select(-2, batch.n_tokens).zero_()
            product(dy, weight, flat.narrow(-2, 0, batch.n_tokens), work)
            index = batch.to_heads(1, ctx.runs, self.heads)
            dmixed = work.buffer("dmixed", index.shape[0], size)
            torch.index_select(flat.view(-1, size), 0, index, out=dmixed)
            dmixed = dmixed.view(-1, batch.longest, size)
            inputs, out = (split[0], split[1], split[2]), (dsplit[0], dsplit[1], dsplit[2])
        attend_backward(dmixed, inputs, out, ctx, self.heads, site, tag)
        index = batch.to_tokens(parts, ctx.runs, self.heads)
        joined = work.buffer("djoined", *ctx.shape(batch.n_tokens, parts * width))
        torch.index_select(dsplit.view(-1, size), 0, index, out=joined.view(-1, size))
        affine_backward(joined, x, *ctx.affine_grads(name), work, ctx.accumulate)
        weight = ctx.parameters[f"{name}.weight"]
        if self.last:
            first = work.kept[f"{tag}.first"]
            affine_backward(dquery, first, *ctx.affine_grads(names.query), work, ctx.accumulate)
        if not inwards:
            return None
        if not self.last:
            return product(joined, weight, dz, work, accumulate=True)
        product(dquery, ctx.parameters[f"{names.query}.weight"], dz, work, accumulate=True)
        dx = product(joined, weight, "dx", work)
        return dx.index_add_(-2, batch.starts, dz)

    def _after_attention(
        self, ctx: ForwardContext, context: torch.Tensor, x: torch.Tensor
    ) -> torch.Tensor:
        """Return the layer's output from the attention output `context` and the input `x`.

        Output map, residual and norm; feed-forward, residual and norm.
        """
        work, names, tag = ctx.work, self.names, self._tag(ctx)
        y = affine(context, *ctx.affine(names.output), "y", work)
        z = ctx.residual(x, y, names.output_site, f"{tag}.z")
        x, work.moments[f"{tag}.z"] = norm(z, *ctx.affine(names.norm), self.eps)
        work.kept[f"{tag}.h"] = x
        u = work.kept[f"{tag}.u"] = affine(x, *ctx.affine(names.up), f"{tag}.u", work)
        a = activate(self.activation, u, work.keep(f"{tag}.a", *u.shape))
        y = affine(a, *ctx.affine(names.down), "y", work)
        z = ctx.residual(x, y, names.down_site, f"{tag}.z2")
        x, work.moments[f"{tag}.z2"] = norm(z, *ctx.affine(names.final_norm), self.eps)
        return x

    def _after_attention_backward(self, ctx: ForwardContext, grad: torch.Tensor) -> torch.Tensor:
        """Return the gradient at the first residual sum; write those of the parameters after it."""
        work, names, tag = ctx.work, self.names, self.tag
        dz = self._norm_backward(ctx, grad, f"{tag}.z2", names.final_norm)
        dy = ctx.masked(dz, names.down_site)
        u, a = work.kept[f"{tag}.u"], work.kept[f"{tag}.a"]
        affine_backward(dy, a, *ctx.affine_grads(names.down), work, ctx.accumulate)
        da = product(dy, ctx.parameters[f"{names.down}.weight"], "da", work)
        du = activate_backward(self.activation, da, u, a, work.buffer("du", *a.shape))
        affine_backward(
            du, work.kept[f"{tag}.h"], *ctx.affine_grads(names.up), work, ctx.accumulate
        )
        product(du, ctx.parameters[f"{names.up}.weight"], dz, work, accumulate=True)
        return self._norm_backward(ctx, dz, f"{tag}.z", names.norm)

    def _norm_backward(
        self, ctx: ForwardContext, grad: torch.Tensor, kept: str, name: str
    ) -> torch.Tensor:
        z, moments = ctx.work.kept[kept], ctx.work.moments[kept]
        grads = ctx.affine_grads(name)
        return norm_backward(grad, z, moments, *ctx.affine(name), *grads, ctx.accumulate)
