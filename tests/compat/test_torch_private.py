"""Canaries of torch's private operations, each against the public computation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from seedlab.compat import torch_private
from tests.suites.canary import canary


def tensor(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = np.random.Generator(np.random.Philox(seed))
    return torch.from_numpy(generator.standard_normal(shape)).to(dtype)


def test_fused_adamw() -> None:
    """Three updates equal those of `torch.optim.AdamW` in float64, to rounding."""
    options = {"weight_decay": 0.1, "eps": 1e-6}
    expected = torch.nn.Parameter(tensor(7))
    optimizer = torch.optim.AdamW([expected], lr=1e-2, betas=(0.9, 0.98), foreach=False, **options)
    weights, first, second = tensor(7), torch.zeros(7).double(), torch.zeros(7).double()
    with canary("torch", "torch_private.fused_adamw_"):
        for step in range(3):
            grads = tensor(7, seed=step + 1)
            expected.grad = grads.clone()
            optimizer.step()
            torch_private.fused_adamw_(
                weights,
                grads,
                first,
                second,
                torch.full((), step + 1.0),
                lr=1e-2,
                beta1=0.9,
                beta2=0.98,
                **options,
            )
        torch.testing.assert_close(weights, expected.detach(), rtol=1e-12, atol=1e-12)


def test_softmax_backward() -> None:
    x, grad = tensor(3, 4, 5).requires_grad_(), tensor(3, 4, 5, seed=1)
    soft = torch.softmax(x, -1)
    soft.backward(grad)
    with canary("torch", "torch_private.softmax_backward"):
        found = torch_private.softmax_backward(grad, soft.detach())
        torch.testing.assert_close(found, x.grad)


@pytest.mark.parametrize("biased", [True, False])
def test_onednn_linear(biased: bool) -> None:
    """Tolerance: 64 products of float32 are summed in another order."""
    if not torch_private.HAS_ONEDNN_LINEAR:
        pytest.skip("this build of torch has no oneDNN: seedlab uses torch.mm")
    x, weight = tensor(6, 64, dtype=torch.float32), tensor(5, 64, seed=1, dtype=torch.float32)
    bias = tensor(5, seed=2, dtype=torch.float32) if biased else None
    with canary("torch", "torch_private.onednn_linear"):
        found = torch_private.onednn_linear(x, weight, bias)
        expected = torch.nn.functional.linear(x, weight, bias)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_onednn_is_in_the_builds_for_processors_of_intel_and_amd() -> None:
    """Without it products would silently be others than in the version before."""
    import platform

    with canary("torch", "torch_private.HAS_ONEDNN_LINEAR"):
        if platform.machine() in ("x86_64", "AMD64") and torch.backends.mkldnn.is_available():
            assert torch_private.HAS_ONEDNN_LINEAR


def test_layer_norm_and_its_gradients() -> None:
    x, weight, bias = (tensor(4, 6).requires_grad_(), *(tensor(6, seed=s) for s in (1, 2)))
    weight.requires_grad_()
    bias.requires_grad_()
    grad = tensor(4, 6, seed=3)
    expected = torch.nn.functional.layer_norm(x, (6,), weight, bias, 1e-6)
    expected.backward(grad)
    plain = [t.detach() for t in (x, weight, bias)]
    with canary("torch", "torch_private.layer_norm"):
        y, mean, rstd = torch_private.layer_norm(*plain, 1e-6)
        torch.testing.assert_close(y, expected.detach())
        torch.testing.assert_close(mean, plain[0].mean(-1, keepdim=True))
        assert rstd.shape == (4, 1)
    with canary("torch", "torch_private.layer_norm_backward"):
        found = torch_private.layer_norm_backward(
            grad, plain[0], mean, rstd, *plain[1:], affine=True
        )
        for part, whole in zip(found, (x, weight, bias), strict=True):
            torch.testing.assert_close(part, whole.grad)
        dx, *others = torch_private.layer_norm_backward(
            grad, plain[0], mean, rstd, *plain[1:], affine=False
        )
        torch.testing.assert_close(dx, x.grad)
        assert others == [None, None]


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu_and_its_gradient(approximate: str) -> None:
    x, grad, out = tensor(9).requires_grad_(), tensor(9, seed=1), torch.empty(9).double()
    expected = torch.nn.functional.gelu(x, approximate=approximate)
    expected.backward(grad)
    with canary("torch", "torch_private.gelu_out"):
        torch_private.gelu_out(x.detach(), approximate, out)
        torch.testing.assert_close(out, expected.detach())
    with canary("torch", "torch_private.gelu_backward_out"):
        torch_private.gelu_backward_out(grad, x.detach(), approximate, out)
        torch.testing.assert_close(out, x.grad)


def test_the_gradient_of_tanh() -> None:
    x, grad, out = tensor(9).requires_grad_(), tensor(9, seed=1), torch.empty(9).double()
    y = torch.tanh(x)
    y.backward(grad)
    with canary("torch", "torch_private.tanh_backward_out"):
        torch_private.tanh_backward_out(grad, y.detach(), out)
        torch.testing.assert_close(out, x.grad)


FOREACH: dict[str, tuple[Callable[..., Any], tuple[Any, ...], Callable[..., Any]]] = {
    "foreach_add_": (torch_private.foreach_add_, (0.5,), lambda a, b: a + b),
    "foreach_mul_": (torch_private.foreach_mul_, (0.5,), lambda a, b: a * b),
    "foreach_lerp_": (
        torch_private.foreach_lerp_,
        (1, 0.25),
        lambda a, b, w: torch.lerp(a, b, w),
    ),
    "foreach_addcmul_": (
        torch_private.foreach_addcmul_,
        (1, 2, 0.5),
        lambda a, b, c, v: a + v * b * c,
    ),
    "foreach_addcdiv_": (
        torch_private.foreach_addcdiv_,
        (1, 2, 0.5),
        lambda a, b, c, v: a + v * b / c,
    ),
    "foreach_norm": (torch_private.foreach_norm, (), torch.linalg.vector_norm),
    "foreach_sqrt": (torch_private.foreach_sqrt, (), torch.sqrt),
}


@pytest.mark.parametrize("name", FOREACH)
def test_operations_on_lists(name: str) -> None:
    """Whole numbers stand for lists of tensors, other numbers for themselves."""
    operation, numbers, expected = FOREACH[name]
    lists = [[tensor(n, seed=10 * k + n).abs() + 1.0 for n in (3, 5)] for k in range(3)]
    wanted = [
        expected(lists[0][i].clone(), *(lists[n][i] if isinstance(n, int) else n for n in numbers))
        for i in (0, 1)
    ]
    with canary("torch", f"torch_private.{name}"):
        found = operation(lists[0], *(lists[n] if isinstance(n, int) else n for n in numbers))
        for a, b in zip(lists[0] if name.endswith("_") else found, wanted, strict=True):
            torch.testing.assert_close(a, b)


def test_operations_on_lists_take_a_number_per_tensor() -> None:
    tensors = [tensor(3).clone(), tensor(5)]
    wanted = [tensors[0] * 2.0, tensors[1] * 3.0]
    with canary("torch", "torch_private.foreach_mul_"):
        torch_private.foreach_mul_(
            tensors, [torch.tensor(2.0).double(), torch.tensor(3.0).double()]
        )
        for a, b in zip(tensors, wanted, strict=True):
            torch.testing.assert_close(a, b)


def test_the_dispatch_mode_sees_every_operation() -> None:
    seen: list[str] = []

    class Listener(torch_private.TorchDispatchMode):
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            seen.append(str(func))
            return func(*args, **(kwargs or {}))

    x = tensor(4)
    with canary("torch", "torch_private.TorchDispatchMode"):
        with torch.random.fork_rng(devices=[]), Listener():
            torch.nn.functional.dropout(x, 0.5)
        assert any("bernoulli" in name or "dropout" in name for name in seen), seen
