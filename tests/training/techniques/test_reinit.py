"""Re-initialisation of the top layers."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from seedlab.errors import SeedlabError
from seedlab.models.depth import depths
from seedlab.models.pretrained import Weights
from seedlab.randomness.streams import normal
from seedlab.spec.recipe import ReinitSpec
from seedlab.training.techniques.reinit import reinitialised
from tests.suites.plain_training import run_with, trainee_of, weights_for
from tests.suites.tiny import ARCHITECTURES, tiny_checkpoint, tiny_weights


def uneven(weights: Weights) -> Weights:
    """Return the weights with nothing in the checkpoint at 0 or 1, norms and biases included."""
    generator = torch.Generator().manual_seed(1)
    moved = {
        name: t + 0.3 * torch.rand(t.shape, generator=generator) if t.is_floating_point() else t
        for name, t in weights.pretrained.items()
    }
    return dataclasses.replace(weights, pretrained=moved)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("layers", [0, 1, 2])
def test_lower_layers_are_the_checkpoints(layers: int, architecture: str, tmp_path: Path) -> None:
    """Embeddings and lower layers bit for bit; above, norms 1 and biases 0, weights new."""
    weights = uneven(tiny_weights(tmp_path, architecture))
    where = depths(weights.model)
    model = weights.start(3, reinitialised(where, layers))
    for name, parameter in model.named_parameters():
        old = weights.pretrained[name]
        if where[name] <= 2 - layers:
            assert torch.equal(parameter, old)
        elif parameter.ndim == 1:
            module = model.get_submodule(name.rpartition(".")[0])
            one = isinstance(module, torch.nn.LayerNorm) and name.endswith("weight")
            assert torch.equal(parameter, torch.full_like(parameter, float(one)))
        else:
            expected = torch.tensor(normal(3, name, tuple(parameter.shape)) * 0.02).float()
            assert torch.equal(parameter, expected)


def test_without_layers_the_pooler_alone_is_new(tmp_path: Path) -> None:
    """And in ELECTRA, which has no pooler, what is new anyway."""
    for architecture, pooler in (("bert", True), ("electra", False)):
        weights = tiny_weights(tmp_path, architecture)
        fresh = set(reinitialised(depths(weights.model), 0)) - set(weights.new)
        poolers = {f"{architecture}.pooler.dense.{part}" for part in ("weight", "bias")}
        assert fresh == (poolers if pooler else set())


@pytest.mark.stat
@pytest.mark.parametrize("std", [0.02, 0.05])
def test_spread_is_the_models_initializer_range(std: float, tmp_path: Path) -> None:
    """6,784 draws: their sd lies within 5 standard errors, but for 6 in 10 million."""
    tiny_checkpoint(tmp_path / "bert", "bert", initializer_range=std)
    weights = tiny_weights(tmp_path)
    where = depths(weights.model)
    model = weights.start(0, reinitialised(where, 2))
    drawn = [
        p.detach().numpy().ravel()
        for name, p in model.named_parameters()
        if p.ndim == 2 and where[name] > 0
    ]
    values = np.concatenate(drawn)
    assert abs(values.std() / std - 1) < 5 / (2 * len(values)) ** 0.5
    assert abs(values.mean()) < 5 * std / len(values) ** 0.5


def test_the_init_seed_decides_and_the_order_does_not(tmp_path: Path) -> None:
    states = []
    for init, order in ((0, 0), (0, 1), (1, 0)):
        run = run_with(init, order, reinit=ReinitSpec(layers=1))
        pack_model = trainee_of(run, weights_for(run, tmp_path))
        states.append({name: p.detach().clone() for name, p in pack_model.model.named_parameters()})
    first, same, other = states
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(
        first["bert.encoder.layer.1.output.dense.weight"],
        other["bert.encoder.layer.1.output.dense.weight"],
    )


def test_more_layers_than_there_are(tmp_path: Path) -> None:
    run = run_with(reinit=ReinitSpec(layers=3))
    with pytest.raises(SeedlabError, match=r"recipe.reinit.layers=3 is more than the 2 layers"):
        trainee_of(run, weights_for(run, tmp_path))
