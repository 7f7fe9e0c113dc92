"""Operations of a stacked encoder, forward and backward, and their reusable memory.

Tensors are (token, feature) for a stack of one run and (run, token, feature) for more, because
two-dimensional kernels are faster on a CPU. Every operation treats the runs independently.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from seedlab.compat import torch_private

_FEW_ROWS = 4
"""Rows of an embedding table up to which a GPU sums the gradient row by row."""
Moments = tuple[torch.Tensor, torch.Tensor]
"""(..., token, 1) means and reciprocal standard deviations of a layer norm's input."""


@dataclass
class Workspace:
    """Buffers by name that are reused at every step; they carry tensors to the backward pass.

    Parameters
    ----------
    device : torch.device
    dtype : torch.dtype
        Type of the weights.
    product_dtype : torch.dtype
        Type in which matrix products are computed; their results are converted to `dtype`.

    Attributes
    ----------
    kept : dict of str to tensor
        Tensors that the backward pass reads.
    moments : dict of str to Moments
        Moments of layer norms, for the backward pass.
    grown : int
        Number of times a buffer was replaced by a larger one. CUDA graphs captured before the
        latest replacement are invalid.
    """

    device: torch.device
    dtype: torch.dtype
    product_dtype: torch.dtype
    kept: dict[str, torch.Tensor] = field(default_factory=dict)
    moments: dict[str, Moments] = field(default_factory=dict)
    grown: int = 0
    _memory: dict[str, torch.Tensor] = field(default_factory=dict)
    _views: dict[str, dict[tuple[int, ...], torch.Tensor]] = field(default_factory=dict)

    def buffer(self, name: str, *shape: int) -> torch.Tensor:
        """Return a tensor of this shape, uninitialised; the same name returns the same memory."""
        views = self._views.setdefault(name, {})
        view = views.get(shape)
        if view is None:
            size = 1
            for n in shape:
                size *= n
            if name not in self._memory or self._memory[name].numel() < size:
                # A reserve of a quarter: the lengths of batches differ.
                self.grown += 1
                self._memory[name] = torch.empty(
                    size + size // 4, dtype=self.dtype, device=self.device
                )
                views.clear()
            view = views[shape] = self._memory[name][:size].view(shape)
        return view

    def keep(self, name: str, *shape: int) -> torch.Tensor:
        """Return a buffer that the backward pass will read under this name."""
        view = self.kept[name] = self.buffer(name, *shape)
        return view


def put(value: torch.Tensor | None, out: torch.Tensor | None, accumulate: bool) -> None:
    """Write or add a gradient to `out`; nothing happens if either is None."""
    if out is None or value is None:
        return
    if accumulate:
        out.add_(value)
    else:
        out.copy_(value)


def norm(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float
) -> tuple[torch.Tensor, Moments]:
    """Return the layer norm of `x` over its features, and its moments."""
    if x.ndim == 2:
        y, mean, rstd = torch_private.layer_norm(x, weight, bias, eps)
        return y, (mean, rstd)
    normed, mean, rstd = torch_private.layer_norm(x, None, None, eps)
    return torch.addcmul(bias.unsqueeze(-2), normed, weight.unsqueeze(-2)), (mean, rstd)


def norm_backward(
    grad: torch.Tensor,
    x: torch.Tensor,
    moments: Moments,
    weight: torch.Tensor,
    bias: torch.Tensor,
    weight_grad: torch.Tensor | None,
    bias_grad: torch.Tensor | None,
    accumulate: bool,
) -> torch.Tensor:
    """Return the gradient of a layer norm's input; write or add those of weight and bias.

    Gradients without a buffer are not computed.
    """
    mean, rstd = moments
    backward = torch_private.layer_norm_backward
    if x.ndim == 2:
        wanted = weight_grad is not None or bias_grad is not None
        dx, dw, db = backward(grad, x, mean, rstd, weight, bias, affine=wanted)
        put(dw, weight_grad, accumulate)
        put(db, bias_grad, accumulate)
        return dx
    if weight_grad is not None:
        put((grad * ((x - mean) * rstd)).sum(-2), weight_grad, accumulate)
    if bias_grad is not None:
        put(grad.sum(-2), bias_grad, accumulate)
    scaled = grad * weight.unsqueeze(-2)
    dx, _, _ = backward(scaled, x, mean, rstd, None, None, affine=False)
    return dx


def table_backward(
    grad: torch.Tensor, index: torch.Tensor, padding: int, out: torch.Tensor, accumulate: bool
) -> None:
    """Write or add the gradient of an embedding table; that of row `padding` is zero."""
    if not accumulate:
        out.zero_()
    if grad.device.type == "cpu" or out.shape[-2] > _FEW_ROWS:
        out.index_add_(-2, index, grad)
    else:
        add_by_row(grad, index, out)
    if padding >= 0:
        out.select(-2, padding).zero_()


def add_by_row(grad: torch.Tensor, index: torch.Tensor, out: torch.Tensor) -> None:
    """Add the rows of `grad` to the rows `index` of a small table, as ``index_add_`` does.

    On a GPU the deterministic ``index_add_`` adds equal indices one after the other. In a table of token
    types nearly all are equal.

    Parameters
    ----------
    grad : (..., token, feature) tensor
    index : (token,) tensor of int64
    out : (..., row, feature) tensor
        Updated in place.
    """
    for row in range(out.shape[-2]):
        here = (index == row).unsqueeze(-1)
        out.select(-2, row).add_((grad * here).sum(-2))


def activate(name: str, x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    """Apply the activation `name` to `x`; write the result to `out` and return it."""
    if name == "relu":
        return torch.clamp_min(x, 0.0, out=out)
    if name == "tanh":
        return torch.tanh(x, out=out)
    torch_private.gelu_out(x, _approximate(name), out)
    return out


def activate_backward(
    name: str, grad: torch.Tensor, x: torch.Tensor, y: torch.Tensor, out: torch.Tensor
) -> torch.Tensor:
    """Write the gradient at an activation's input `x` to `out` and return it; `y` is its output."""
    if name == "relu":
        return torch.mul(grad, x > 0.0, out=out)
    if name == "tanh":
        torch_private.tanh_backward_out(grad, y, out)
    else:
        torch_private.gelu_backward_out(grad, x, _approximate(name), out)
    return out


def _approximate(name: str) -> str:
    return "none" if name == "gelu" else "tanh"
