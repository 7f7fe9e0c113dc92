"""Private and undocumented operations of torch. This module imports torch alone.

They compute the same as public operations, in fewer passes over memory: in place, into
given memory, or for many tensors in one call.
"""

from __future__ import annotations

import torch

# Refuses operations as they are dispatched; torch documents it on a forum alone.
from torch.utils._python_dispatch import TorchDispatchMode as TorchDispatchMode

# torch.optim calls them and does not document them: one call for a list of tensors.
foreach_add_ = torch._foreach_add_
foreach_addcdiv_ = torch._foreach_addcdiv_
foreach_addcmul_ = torch._foreach_addcmul_
foreach_lerp_ = torch._foreach_lerp_
foreach_mul_ = torch._foreach_mul_
foreach_norm = torch._foreach_norm
foreach_sqrt = torch._foreach_sqrt

HAS_ONEDNN_LINEAR = hasattr(torch.ops.mkldnn, "_linear_pointwise")
"""Whether this build of torch has `onednn_linear`."""


def fused_adamw_(
    weights: torch.Tensor,
    grads: torch.Tensor,
    first: torch.Tensor,
    second: torch.Tensor,
    step: torch.Tensor,
    *,
    lr: float,
    beta1: float,
    beta2: float,
    weight_decay: float,
    eps: float,
) -> None:
    """Make one update of AdamW in one pass over memory, in place.

    Parameters
    ----------
    weights, grads, first, second : tensors of one shape
        `first` and `second` are the moments.
    step : () tensor
        Number of this update, counted from 1.
    lr, beta1, beta2, weight_decay, eps : float
    """
    torch._fused_adamw_(
        [weights],
        [grads],
        [first],
        [second],
        [],
        [step],
        lr=lr,
        beta1=beta1,
        beta2=beta2,
        weight_decay=weight_decay,
        eps=eps,
        amsgrad=False,
        maximize=False,
    )


def softmax_backward(grad: torch.Tensor, soft: torch.Tensor) -> torch.Tensor:
    """Return the gradient at the input of a softmax over the last dimension.

    Parameters
    ----------
    grad : tensor
        Gradient at the softmax's output.
    soft : tensor of the same shape
        The softmax's output.
    """
    return torch._softmax_backward_data(grad, soft, -1, soft.dtype)


def onednn_linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """Return ``x weight^T + bias``, computed by oneDNN; see `HAS_ONEDNN_LINEAR`.

    Parameters
    ----------
    x : (row, input) tensor of float32
    weight : (output, input) tensor of float32
    bias : (output,) tensor of float32, optional
    """
    result: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return result


def layer_norm(
    x: torch.Tensor, weight: torch.Tensor | None, bias: torch.Tensor | None, eps: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return a layer norm over the last dimension, its means and reciprocal deviations.

    Returns
    -------
    y, mean, rstd : tensors
        Of the shapes (..., feature), (..., 1) and (..., 1).
    """
    y, mean, rstd = torch.native_layer_norm(x, x.shape[-1:], weight, bias, eps)
    return y, mean, rstd


def layer_norm_backward(
    grad: torch.Tensor,
    x: torch.Tensor,
    mean: torch.Tensor,
    rstd: torch.Tensor,
    weight: torch.Tensor | None,
    bias: torch.Tensor | None,
    *,
    affine: bool,
) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
    """Return the gradients of a layer norm's input, weight and bias.

    Parameters
    ----------
    grad : (..., feature) tensor
    x, mean, rstd, weight, bias
        See `layer_norm`.
    affine : bool
        Whether the gradients of weight and bias are computed; else they are None.
    """
    backward = torch.ops.aten.native_layer_norm_backward.default
    dx, dw, db = backward(grad, x, x.shape[-1:], mean, rstd, weight, bias, (True, affine, affine))
    return dx, dw, db


def gelu_out(x: torch.Tensor, approximate: str, out: torch.Tensor) -> None:
    """Write GELU of `x` into `out`; `approximate` is ``none`` or ``tanh``."""
    torch.ops.aten.gelu.out(x, approximate=approximate, out=out)


def gelu_backward_out(
    grad: torch.Tensor, x: torch.Tensor, approximate: str, out: torch.Tensor
) -> None:
    """Write the gradient at GELU's input `x` into `out`."""
    torch.ops.aten.gelu_backward.grad_input(grad, x, approximate=approximate, grad_input=out)


def tanh_backward_out(grad: torch.Tensor, y: torch.Tensor, out: torch.Tensor) -> None:
    """Write the gradient at tanh's input into `out`; `y` is tanh's output."""
    torch.ops.aten.tanh_backward.grad_input(grad, y, grad_input=out)
