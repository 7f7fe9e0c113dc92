"""Optimisers against torch's own and against the papers' formulas; clipping."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from seedlab.models.parameter_groups import parameter_groups
from seedlab.training.optimizers import clip_gradients, make_optimizer


def parameters(seed: int = 0) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    return [
        nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64))
        for shape in ((4, 3), (5,))
    ]


def make(params: list[nn.Parameter], **changes: object) -> torch.optim.Optimizer:
    values: dict[str, object] = {
        "learning_rate": 0.01,
        "beta1": 0.9,
        "beta2": 0.999,
        "eps": 1e-6,
        "bias_correction": False,
    }
    groups = [
        {"params": params[:1], "weight_decay": 0.1},
        {"params": params[1:], "weight_decay": 0.0},
    ]
    return make_optimizer(groups, **{**values, **changes})  # type: ignore[arg-type]


def test_debiased_equals_torch() -> None:
    """Bitwise: it is torch's AdamW, with weight decay on the first group alone."""
    ours, theirs = parameters(), parameters()
    a = make(ours, bias_correction=True)
    b = torch.optim.AdamW(
        [{"params": theirs[:1], "weight_decay": 0.1}, {"params": theirs[1:], "weight_decay": 0.0}],
        lr=0.01,
        eps=1e-6,
    )
    for step in range(20):
        for params, optimizer in ((ours, a), (theirs, b)):
            for i, p in enumerate(params):
                p.grad = torch.sin(p.detach() * (step + 1) + i)
            optimizer.step()
    assert all(torch.equal(p, q) for p, q in zip(ours, theirs, strict=True))


def test_bert_adam_follows_its_formula() -> None:
    """m, v, and p -= lr (m / (sqrt(v) + eps) + wd p), in numpy, to float64 rounding."""
    params = parameters()
    optimizer = make(params)
    p = [q.detach().numpy().copy() for q in params]
    m, v = [np.zeros_like(q) for q in p], [np.zeros_like(q) for q in p]
    for step in range(50):
        for i, q in enumerate(params):
            q.grad = torch.sin(q.detach() * (step + 1))
            g = np.sin(p[i] * (step + 1))
            m[i] = 0.9 * m[i] + 0.1 * g
            v[i] = 0.999 * v[i] + 0.001 * g**2
            p[i] -= 0.01 * (m[i] / (np.sqrt(v[i]) + 1e-6) + (0.1 if i == 0 else 0.0) * p[i])
        optimizer.step()
    for q, expected in zip(params, p, strict=True):
        np.testing.assert_allclose(q.detach().numpy(), expected, rtol=1e-10)


FACTORS = {
    1: 0.3162, 2: 0.2353, 5: 0.1725, 10: 0.1532, 12: 0.1522, 20: 0.1602, 50: 0.2220, 100: 0.3086,
    200: 0.4259, 500: 0.6274, 1000: 0.7952, 3000: 0.9748,
}  # fmt: skip
"""f(t) = sqrt(1 - .999^t) / (1 - .9^t), to four digits; the smallest is that of t = 12."""


@pytest.mark.parametrize(("t", "factor"), FACTORS.items())
def test_the_missing_correction_is_the_published_factor(t: int, factor: float) -> None:
    """With equal gradients the debiased step t is f(t) times BERTAdam's (4 printed digits)."""
    sizes = {}
    for bias_correction in (True, False):
        p = nn.Parameter(torch.zeros(1, dtype=torch.float64))
        optimizer = make_optimizer(
            [{"params": [p], "weight_decay": 0.0}], learning_rate=1.0, beta1=0.9, beta2=0.999,
            eps=0.0, bias_correction=bias_correction,
        )  # fmt: skip
        for _ in range(t):
            before = p.item()
            p.grad = torch.ones_like(p)
            optimizer.step()
        sizes[bias_correction] = abs(p.item() - before)
    assert sizes[True] / sizes[False] == pytest.approx(factor, abs=6e-5)


def with_gradients() -> list[nn.Parameter]:
    params = parameters()
    for p in params:
        p.grad = 3.0 * p.detach().clone()
    return params


def test_global_clipping_equals_torch() -> None:
    a, b = with_gradients(), with_gradients()
    norm = clip_gradients(a, "global", 1.0)
    assert norm == pytest.approx(float(torch.nn.utils.clip_grad_norm_(b, 1.0)), rel=1e-12)
    for p, q in zip(a, b, strict=True):
        torch.testing.assert_close(p.grad, q.grad, rtol=1e-12, atol=0.0)


def test_tensor_clipping_limits_every_norm() -> None:
    params = with_gradients()
    params[1].grad *= 1e-3
    small = params[1].grad.clone()
    total = clip_gradients(params, "tensor", 1.0)
    assert total > 1.0
    assert float(params[0].grad.norm()) == pytest.approx(1.0, rel=1e-5)
    assert torch.equal(params[1].grad, small)


def test_no_clipping_reports_the_norm_alone() -> None:
    params = with_gradients()
    before = [p.grad.clone() for p in params]
    norm = clip_gradients(params, "none", 1.0)
    assert norm == pytest.approx(float(torch.cat([g.flatten() for g in before]).norm()), rel=1e-12)
    assert all(torch.equal(p.grad, g) for p, g in zip(params, before, strict=True))


def test_exemption_from_decay_is_by_type_and_not_by_name() -> None:
    """A norm called `scale` is exempt, a weight called `norm_weight` is not."""

    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.LayerNorm(3)
            self.norm_weight = nn.Linear(3, 2)
            self.tied = nn.Linear(3, 2, bias=False)
            self.tied.weight = self.norm_weight.weight

    with torch.random.fork_rng():
        model = Odd()
    decayed, exempt = parameter_groups(model)
    assert decayed.decayed
    assert not exempt.decayed
    assert decayed.names == ["norm_weight.weight"]
    assert set(exempt.names) == {"scale.weight", "scale.bias", "norm_weight.bias"}
