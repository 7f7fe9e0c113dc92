"""Effective weights and their gradients against autograd, for one run and for several."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
import torch

from seedlab.engines.packed.encoder.flat_layout import FlatLayout, Piece
from seedlab.engines.packed.encoder.ops import Workspace
from seedlab.engines.packed.encoder.parametrizations import (
    LoraParametrization,
    MixoutParametrization,
    Parametrization,
)
from seedlab.techniques.mixout import MixoutSpec
from seedlab.training.techniques.mixout import MixoutEffect

NamedTensors = dict[str, torch.Tensor]
N_OUT, N_IN, RANK = 5, 7, 2
LAYOUT = FlatLayout(
    {"q": Piece(0, (N_OUT, N_IN)), "k": Piece(35, (N_OUT, N_IN)), "v": Piece(70, (N_OUT, N_IN))},
    {}, {}, 112, 112,
)  # fmt: skip
WORK = Workspace(torch.device("cpu"), torch.float64, torch.float64)


def random(*shape: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def shaped(runs: int, *shape: int, seed: int) -> torch.Tensor:
    """Return numbers with a run axis for more than one run."""
    return random(*shape, seed=seed) if runs == 1 else random(runs, *shape, seed=seed)


def check(
    parametrization: Parametrization,
    expected: Callable[[NamedTensors], NamedTensors],
    p: NamedTensors,
    start: NamedTensors,
    masks: NamedTensors,
    trained: tuple[str, ...],
) -> None:
    """Compare weights, and the gradients of a random linear function of them, with autograd."""
    shape = p["q"].shape[:-2]
    out = LAYOUT.views(torch.zeros(*shape, LAYOUT.size, dtype=torch.float64))
    parametrization.fill(p, out, start, masks)
    leaves = {n: t.clone().requires_grad_(n in trained) for n, t in p.items()}
    wanted: Mapping[str, torch.Tensor] = expected(leaves)
    for name in wanted:
        torch.testing.assert_close(out[name], wanted[name].detach(), rtol=1e-12, atol=1e-12)
    slopes = {name: torch.randn_like(tensor) for name, tensor in out.items()}
    sum((wanted[name] * slopes[name]).sum() for name in wanted).backward()  # type: ignore[union-attr]
    grads = {name: torch.full_like(p[name], float("nan")) for name in trained}
    if not parametrization.separate_grads:
        grads = {name: slopes[name].clone() for name in trained}
    parametrization.backward(p, slopes, grads, masks, WORK)
    for name in trained:
        torch.testing.assert_close(grads[name], leaves[name].grad, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("runs", [1, 3])
def test_low_rank_updates(runs: int) -> None:
    """``W + scale B A``; the key's weight is passed through, and W has no gradient."""
    p = {name: shaped(runs, N_OUT, N_IN, seed=n) for n, name in enumerate("qkv")}
    for n, name in enumerate("qv"):
        p[f"{name}.a"] = shaped(runs, RANK, N_IN, seed=10 + n)
        p[f"{name}.b"] = shaped(runs, N_OUT, RANK, seed=20 + n)
    parametrization = LoraParametrization(LAYOUT, (("q", "q.a", "q.b"), ("v", "v.a", "v.b")), 1.5)

    def expected(t: NamedTensors) -> NamedTensors:
        return {
            "q": t["q"] + 1.5 * t["q.b"] @ t["q.a"],
            "k": t["k"],
            "v": t["v"] + 1.5 * t["v.b"] @ t["v.a"],
        }

    check(parametrization, expected, p, {}, {}, ("q.a", "q.b", "v.a", "v.b"))


@pytest.mark.parametrize("granularity", ["column", "element"])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("runs", [1, 3])
@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_mixout(p: float, runs: int, shared: bool, granularity: str) -> None:
    """Mixout by its formula; initial weights are shared by all runs, or one per run."""
    rows = 1 if granularity == "column" else N_OUT
    weights = {name: shaped(runs, N_OUT, N_IN, seed=n) for n, name in enumerate("qkv")}
    axis = 1 if shared else runs
    start = {name: shaped(axis, N_OUT, N_IN, seed=30 + n) for n, name in enumerate("qkv")}
    kept = {name: (random(rows, N_IN, seed=60 + n) > 0.0).double() for n, name in enumerate("qkv")}
    masks = {name: mask * (0.0 if p == 1.0 else 1.0 / (1.0 - p)) for name, mask in kept.items()}
    if runs > 1:
        masks = {name: mask[None] for name, mask in masks.items()}

    def expected(t: NamedTensors) -> NamedTensors:
        if p == 1.0:
            return {name: 0.0 * t[name] + start[name] for name in "qkv"}
        return {
            name: ((1.0 - kept[name]) * start[name] + kept[name] * t[name] - p * start[name])
            / (1.0 - p)
            for name in "qkv"
        }

    way = MixoutParametrization(LAYOUT, MixoutEffect(MixoutSpec(p, granularity)))
    check(way, expected, weights, start, masks, ("q", "k", "v"))
