"""Softmax attention of a stack of runs: runs, rows and heads fold into one batch.

Query, key and value are (run x row x head, place, head feature).
"""

from __future__ import annotations

import torch

from seedlab.compat.torch_private import softmax_backward
from seedlab.engines.packed.encoder.context import ForwardContext
from seedlab.engines.packed.encoder.matmul import product

Three = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def attend(inputs: Three, at: ForwardContext, heads: int, site: str, name: str) -> torch.Tensor:
    """Return the mixed values, (folded, query, feature); what the way back needs is kept."""
    query, key, value = inputs
    work = at.work
    shape = (query.shape[0], query.shape[1], key.shape[1])
    scale = query.shape[-1] ** -0.5
    scores = product(query, key.mT, "scores", work)
    bias = at.batch.bias(scores.dtype)
    if bias is None:
        scores.mul_(scale)
    else:
        unfolded = _unfold(scores, at, heads)
        torch.add(bias, unfolded, alpha=scale, out=unfolded)
    soft = dropped = torch.softmax(scores, -1, out=work.keep(f"{name}.soft", *shape))
    mask = at.masks.get(site)
    if mask is not None:
        dropped = work.buffer(f"{name}.dropped", *shape)
        torch.mul(_unfold(soft, at, heads), mask, out=_unfold(dropped, at, heads))
    work.kept[f"{name}.dropped"] = dropped
    return product(dropped, value, "mixed", work)


def attend_backward(
    grad: torch.Tensor,
    inputs: Three,
    out: Three,
    at: ForwardContext,
    heads: int,
    site: str,
    name: str,
) -> None:
    """Write the gradients of query, key and value into `out`.

    Places without a token get zero: their probabilities are zero, and so are the rows of
    `grad` that belong to them.
    """
    query, key, value = inputs
    work = at.work
    soft, dropped = work.kept[f"{name}.soft"], work.kept[f"{name}.dropped"]
    product(dropped.mT, grad, out[2], work)
    inner = product(grad, value.mT, "scores", work)
    mask = at.masks.get(site)
    if mask is not None:
        unfolded = _unfold(inner, at, heads)
        torch.mul(unfolded, mask, out=unfolded)
    scores = softmax_backward(inner, soft)
    scores.mul_(query.shape[-1] ** -0.5)
    product(scores, key, out[0], work)
    product(scores.mT, query, out[1], work)


def _unfold(x: torch.Tensor, at: ForwardContext, heads: int) -> torch.Tensor:
    """Return a folded tensor as (row, head, query, key), runs before where there are some."""
    rows = (at.batch.n_rows, heads, *x.shape[1:])
    return x.view(rows if at.runs == 1 else (at.runs, *rows))
