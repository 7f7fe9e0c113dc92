"""Matrix products of a stack of runs, in the precision and with the kernels that are fastest.

On a CPU float32 products are oneDNN's where torch has them: on the processor that was measured they
take half the time of torch's own, which are MKL's (experiments/benchmarks/README.md).
"""

from __future__ import annotations

import torch

from seedlab.compat.torch_private import HAS_ONEDNN_LINEAR, onednn_linear
from seedlab.engines.packed.encoder.ops import Workspace

_LARGE = 1 << 20
"""Multiplications from which on oneDNN's ten microseconds per call are made up for."""


def product(
    a: torch.Tensor,
    b: torch.Tensor,
    out: torch.Tensor | str,
    work: Workspace,
    *,
    accumulate: bool = False,
) -> torch.Tensor:
    """Return matrix products; all have 2 or all 3 dimensions.

    Parameters
    ----------
    a, b : tensors
    out : tensor or str
        Where to write them; a name: anywhere, until the next result of this name.
    work : Workspace
    accumulate : bool
        Add to what is in `out`.
    """
    if _is_onednns(a, b, work):
        return _put(onednn_linear(a, b.t(), None), out, accumulate)
    if work.product_dtype != work.dtype:
        a, b = a.to(work.product_dtype), b.to(work.product_dtype)
        result = torch.mm(a, b) if a.ndim == 2 else torch.bmm(a, b)
        return _put(result, _room(out, a, b, work), accumulate)
    out = _room(out, a, b, work)
    if a.ndim == 2:
        return out.addmm_(a, b) if accumulate else torch.mm(a, b, out=out)
    if accumulate:
        return out.baddbmm_(a, b)
    return torch.bmm(a, b, out=out) if out.is_contiguous() else out.copy_(torch.bmm(a, b))


def affine(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    out: torch.Tensor | str,
    work: Workspace,
) -> torch.Tensor:
    """Return ``x weight^T + bias``; see `product` for `out`."""
    if _is_onednns(x, weight.mT, work):
        return _put(onednn_linear(x, weight, bias), out, accumulate=False)
    out = _room(out, x, weight.mT, work)
    if work.product_dtype == work.dtype:
        if x.ndim == 2:
            return torch.addmm(bias, x, weight.t(), out=out)
        if out.is_contiguous():
            return torch.baddbmm(bias.unsqueeze(-2), x, weight.mT, out=out)
    return product(x, weight.mT, out, work).add_(bias.unsqueeze(-2))


def affine_backward(
    grad: torch.Tensor,
    x: torch.Tensor,
    weight_grad: torch.Tensor | None,
    bias_grad: torch.Tensor | None,
    work: Workspace,
    accumulate: bool,
) -> None:
    """Write (or add) the gradients of an affine map's weight and bias, where they are wanted."""
    if weight_grad is not None:
        product(grad.mT, x, weight_grad, work, accumulate=accumulate)
    if bias_grad is None:
        return
    if accumulate:
        bias_grad.add_(grad.sum(-2))
    else:
        torch.sum(grad, -2, out=bias_grad)


def _is_onednns(a: torch.Tensor, b: torch.Tensor, work: Workspace) -> bool:
    """Whether oneDNN computes a product: by its sizes alone, so that bits depend on nothing else."""
    if not HAS_ONEDNN_LINEAR or a.ndim != 2 or a.device.type != "cpu":
        return False
    large = a.shape[0] * a.shape[1] * b.shape[1] >= _LARGE
    return large and a.dtype == work.product_dtype == torch.float32


def _room(
    out: torch.Tensor | str, a: torch.Tensor, b: torch.Tensor, work: Workspace
) -> torch.Tensor:
    """Return where a product goes."""
    return work.buffer(out, *a.shape[:-1], b.shape[-1]) if isinstance(out, str) else out


def _put(result: torch.Tensor, out: torch.Tensor | str, accumulate: bool) -> torch.Tensor:
    """Write or add a result where it is wanted; return it."""
    if isinstance(out, str):
        return result
    return out.add_(result) if accumulate else out.copy_(result)
