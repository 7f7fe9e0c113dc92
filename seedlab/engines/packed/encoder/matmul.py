"""Matrix products of a stack of runs, with the fastest kernels for the device and precision.

On a CPU, large float32 products use oneDNN if torch includes it. On the measured processor they
take half the time of torch's default kernels from MKL (experiments/benchmarks/README.md).
"""

from __future__ import annotations

import torch

from seedlab.compat.torch_private import HAS_ONEDNN_LINEAR, onednn_linear
from seedlab.engines.packed.encoder.ops import Workspace

_LARGE = 1 << 20
"""Number of multiplications above which oneDNN wins despite its overhead of 10 us per call."""


def product(
    a: torch.Tensor,
    b: torch.Tensor,
    out: torch.Tensor | str,
    work: Workspace,
    *,
    accumulate: bool = False,
) -> torch.Tensor:
    """Return the matrix product of `a` and `b`.

    Parameters
    ----------
    a : (row, k) or (run, row, k) tensor
    b : (k, column) or (run, k, column) tensor
    out : tensor or str
        Tensor to write to. A name stands for a buffer that the next result of this name may
        overwrite.
    work : Workspace
    accumulate : bool
        Add to `out` instead of overwriting it.
    """
    if _uses_onednn(a, b, work):
        return _store(onednn_linear(a, b.t(), None), out, accumulate)
    if work.product_dtype != work.dtype:
        a, b = _converted(a, work.product_dtype), _converted(b, work.product_dtype)
        result = torch.mm(a, b) if a.ndim == 2 else torch.bmm(a, b)
        return _store(result, _destination(out, a, b, work), accumulate)
    out = _destination(out, a, b, work)
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
    if _uses_onednn(x, weight.mT, work):
        return _store(onednn_linear(x, weight, bias), out, accumulate=False)
    out = _destination(out, x, weight.mT, work)
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
    """Write or add the gradients of an affine map's weight and bias; None: skip that gradient."""
    if weight_grad is not None:
        product(grad.mT, x, weight_grad, work, accumulate=accumulate)
    if bias_grad is None:
        return
    if accumulate:
        bias_grad.add_(grad.sum(-2))
    else:
        torch.sum(grad, -2, out=bias_grad)


def _uses_onednn(a: torch.Tensor, b: torch.Tensor, work: Workspace) -> bool:
    """Whether oneDNN computes a product; only its sizes, types and device decide."""
    if not HAS_ONEDNN_LINEAR or a.ndim != 2 or a.device.type != "cpu":
        return False
    large = a.shape[0] * a.shape[1] * b.shape[1] >= _LARGE
    return large and a.dtype == work.product_dtype == torch.float32


def _destination(
    out: torch.Tensor | str, a: torch.Tensor, b: torch.Tensor, work: Workspace
) -> torch.Tensor:
    """Return the tensor that a product is written to."""
    return work.buffer(out, *a.shape[:-1], b.shape[-1]) if isinstance(out, str) else out


def _converted(x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return a tensor in another type; what all runs share is converted once, not once per run."""
    if x.ndim == 3 and x.stride(0) == 0:
        return x[0].to(dtype).expand_as(x)
    return x.to(dtype)


def _store(result: torch.Tensor, out: torch.Tensor | str, accumulate: bool) -> torch.Tensor:
    """Return `result`, written or added to `out` if that is a tensor."""
    if isinstance(out, str):
        return result
    return out.add_(result) if accumulate else out.copy_(result)
