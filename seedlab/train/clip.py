"""Gradient clipping: one norm over all gradients, or one per tensor."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


def clip_gradients(parameters: Sequence[nn.Parameter], mode: str, limit: float) -> float:
    """Scale gradients down to norm `limit`, in place, and return their norm before.

    Parameters
    ----------
    parameters : sequence of parameters
    mode : str
        ``global`` (as `torch.nn.utils.clip_grad_norm_`), ``tensor`` (every gradient by its own
        norm, as BertAdam did) or ``none``.
    limit : float
        Positive.

    Returns
    -------
    float
        The L2 norm over all gradients before clipping, whatever the mode; NaN or infinite
        when a gradient is.
    """
    grads = [p.grad for p in parameters if p.grad is not None]
    norms = torch._foreach_norm(grads)
    total = torch.linalg.vector_norm(torch.stack(norms))
    if mode == "global":
        torch.nn.utils.clip_grads_with_norm_(parameters, limit, total, foreach=True)
    elif mode == "tensor":
        scales = [torch.clamp(limit / (norm + 1e-6), max=1.0) for norm in norms]
        torch._foreach_mul_(grads, scales)
    return float(total)
