"""Optimisers: torch's AdamW, and BERTAdam without bias correction; gradient clipping."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, overload

import torch
from torch import nn

from seedlab.compat import torch_private


class BertAdam(torch.optim.Optimizer):
    """Adam with decoupled weight decay and without bias correction (Devlin et al. 2019).

    The update is ``p -= lr (m / (sqrt(v) + eps) + weight_decay p)`` with the uncorrected moving
    averages m and v. Adam's t-th step is f(t) = sqrt(1 - beta2^t) / (1 - beta1^t) times this
    one. In the first dozen steps f is as small as .15, so BERTAdam starts much faster.

    Parameters
    ----------
    params : iterable of dict
        Parameter groups.
    lr, beta1, beta2, eps, weight_decay : float
    """

    def __init__(
        self,
        params: Iterable[dict[str, Any]],
        *,
        lr: float,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
    ) -> None:
        defaults = {"lr": lr, "betas": (beta1, beta2), "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, defaults)

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Make one update; parameters without a gradient are left alone."""
        loss = None if closure is None else closure()
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            params = [p for p in group["params"] if p.grad is not None]
            if not params:
                continue
            for p in params:
                if p not in self.state:
                    self.state[p] = {"m": torch.zeros_like(p), "v": torch.zeros_like(p)}
            grads = [p.grad for p in params]
            m = [self.state[p]["m"] for p in params]
            v = [self.state[p]["v"] for p in params]
            torch_private.foreach_lerp_(m, grads, 1.0 - beta1)
            torch_private.foreach_mul_(v, beta2)
            torch_private.foreach_addcmul_(v, grads, grads, 1.0 - beta2)
            scale = torch_private.foreach_sqrt(v)
            torch_private.foreach_add_(scale, group["eps"])
            torch_private.foreach_mul_(params, 1.0 - group["lr"] * group["weight_decay"])
            torch_private.foreach_addcdiv_(params, m, scale, -group["lr"])
        return loss


def make_optimizer(
    groups: list[dict[str, Any]],
    *,
    learning_rate: float,
    beta1: float,
    beta2: float,
    eps: float,
    bias_correction: bool,
) -> torch.optim.Optimizer:
    """Return AdamW or BERTAdam over groups of parameters.

    Parameters
    ----------
    groups : list of dict
        With ``params`` and ``weight_decay``, as torch's optimisers take them.
    learning_rate, beta1, beta2, eps : float
    bias_correction : bool
        True: `torch.optim.AdamW`; False: `BertAdam`.
    """
    if bias_correction:
        return torch.optim.AdamW(
            groups, lr=learning_rate, betas=(beta1, beta2), eps=eps, foreach=True
        )
    return BertAdam(groups, lr=learning_rate, beta1=beta1, beta2=beta2, eps=eps)


def clip_gradients(parameters: Sequence[nn.Parameter], mode: str, limit: float) -> float:
    """Scale gradients down to norm `limit`, in place; return their norm before clipping.

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
    norms = torch_private.foreach_norm(grads)
    total = torch.linalg.vector_norm(torch.stack(norms))
    if mode == "global":
        torch.nn.utils.clip_grads_with_norm_(parameters, limit, total, foreach=True)
    elif mode == "tensor":
        scales = [torch.clamp(limit / (norm + 1e-6), max=1.0) for norm in norms]
        torch_private.foreach_mul_(grads, scales)
    return float(total)
