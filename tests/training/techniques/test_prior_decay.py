"""Decay towards the start instead of towards 0."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seedlab.spec.recipe import PriorDecaySpec
from seedlab.training.optimizers import make_optimizer
from seedlab.training.techniques.prior_decay import PriorDecayStep, pull
from tests.suites.plain_training import run_with, trained, trainee_of, weights_for


@pytest.mark.parametrize("bias_correction", [True, False])
@given(st.lists(st.floats(0.0, 1e-2), min_size=1, max_size=30), st.floats(0.0, 10.0))
def test_without_gradients_the_distance_shrinks_by_a_product(
    bias_correction: bool, rates: list[float], strength: float
) -> None:
    """By prod(1 - lr_t wd), in direction unchanged; to float64 rounding."""
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    moved = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    weight = torch.nn.Parameter(start + moved)
    optimizer = make_optimizer(
        [{"params": [weight], "weight_decay": 0.0}], learning_rate=1.0, beta1=0.9, beta2=0.999,
        eps=1e-6, bias_correction=bias_correction,
    )  # fmt: skip
    for rate in rates:
        weight.grad = torch.zeros_like(weight)
        optimizer.param_groups[0]["lr"] = rate
        pull([weight], [start], rate, strength)
        optimizer.step()
    expected = start + moved * np.prod([1 - rate * strength for rate in rates])
    torch.testing.assert_close(weight.detach(), expected, rtol=0.0, atol=1e-13)


def test_without_strength_nothing_is_pulled() -> None:
    weight, start = torch.ones(3), torch.zeros(3)
    pull([weight], [start], 0.1, 0.0)
    assert torch.equal(weight, torch.ones(3))


@pytest.mark.parametrize("head", [True, False])
def test_biases_norms_and_perhaps_the_head_are_left_alone(head: bool, tmp_path: Path) -> None:
    spec = PriorDecaySpec(strength=1.0, anchor_head=head)
    run = run_with(prior_decay=spec)
    pack_model = trainee_of(run, weights_for(run, tmp_path))
    (step,) = pack_model.steps.effects
    assert isinstance(step, PriorDecayStep)
    pulled = step.anchored
    assert not any(name.endswith("bias") or "LayerNorm" in name for name in pulled)
    assert "bert.embeddings.word_embeddings.weight" in pulled
    assert "bert.encoder.layer.1.output.dense.weight" in pulled
    assert ({"classifier.weight", "bert.pooler.dense.weight"} <= pulled) == head


def test_a_strong_pull_keeps_the_encoder_where_it_started(tmp_path: Path) -> None:
    """lr x strength is .9 at the peak: an update starts from a tenth of the way so far."""
    moved = {}
    for strength in (0.0, 300.0):
        run = run_with(prior_decay=PriorDecaySpec(strength=strength))
        _, weights = trained(run, tmp_path)
        name = "bert.encoder.layer.0.output.dense.weight"
        moved[strength] = float(
            (weights.model.get_parameter(name).detach() - weights.pretrained[name]).norm()
        )
    assert moved[300.0] < 0.3 * moved[0.0]
