"""Softmax attention of a stack of runs; runs, rows and heads form one batch dimension.

Query, key and value are (run x row x head, position, head feature) tensors.
"""

from __future__ import annotations

import torch

from seedlab.compat.torch_private import softmax_backward
from seedlab.engines.packed.encoder.context import ForwardContext
from seedlab.engines.packed.encoder.matmul import product

Three = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Query, key and value, or their gradients."""


def attend(inputs: Three, ctx: ForwardContext, heads: int, site: str, name: str) -> torch.Tensor:
    """Return the (run x row x head, query, feature) attention output.

    The workspace keeps the probabilities for `attend_backward` under `name`.
    """
    query, key, value = inputs
    work = ctx.work
    shape = (query.shape[0], query.shape[1], key.shape[1])
    scale = query.shape[-1] ** -0.5
    scores = product(query, key.mT, "scores", work)
    bias = ctx.batch.bias(scores.dtype)
    if bias is None:
        scores.mul_(scale)
    else:
        unfolded = _unfold(scores, ctx, heads)
        torch.add(bias, unfolded, alpha=scale, out=unfolded)
    soft = dropped = torch.softmax(scores, -1, out=work.keep(f"{name}.soft", *shape))
    mask = ctx.masks.get(site)
    if mask is not None:
        dropped = work.buffer(f"{name}.dropped", *shape)
        torch.mul(_unfold(soft, ctx, heads), mask, out=_unfold(dropped, ctx, heads))
    work.kept[f"{name}.dropped"] = dropped
    return product(dropped, value, "mixed", work)


def attend_backward(
    grad: torch.Tensor,
    inputs: Three,
    out: Three,
    ctx: ForwardContext,
    heads: int,
    site: str,
    name: str,
) -> None:
    """Write the gradients of query, key and value into `out`.

    Gradients at padding are zero, because its probabilities and its rows of `grad` are zero.
    """
    query, key, value = inputs
    work = ctx.work
    soft, dropped = work.kept[f"{name}.soft"], work.kept[f"{name}.dropped"]
    product(dropped.mT, grad, out[2], work)
    inner = product(grad, value.mT, "scores", work)
    mask = ctx.masks.get(site)
    if mask is not None:
        unfolded = _unfold(inner, ctx, heads)
        torch.mul(unfolded, mask, out=unfolded)
    scores = softmax_backward(inner, soft)
    scores.mul_(query.shape[-1] ** -0.5)
    product(scores, key, out[0], work)
    product(scores.mT, query, out[1], work)


def _unfold(x: torch.Tensor, ctx: ForwardContext, heads: int) -> torch.Tensor:
    """Return a (run x row x head, ...) tensor as (row, head, ...), or (run, row, head, ...)."""
    rows = (ctx.batch.n_rows, heads, *x.shape[1:])
    return x.view(rows if ctx.runs == 1 else (ctx.runs, *rows))
