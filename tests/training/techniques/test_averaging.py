"""Stochastic weight averaging."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.optim.swa_utils import SWALR, AveragedModel

from seedlab.errors import SeedlabError
from seedlab.spec.recipe import AveragingSpec, LayerRatesSpec
from seedlab.spec.run import EvaluationSpec
from seedlab.tasks.encoded import Split
from seedlab.training.learning_rates import learning_rates
from seedlab.training.step_plan import make_plan
from seedlab.training.techniques.averaging import annealed, update_average
from tests.suites.plain_training import run_with, trained
from tests.suites.reference import forward
from tests.suites.tiny import tiny_task


@given(st.integers(1, 30), st.integers(0, 10_000))
def test_the_average_is_the_mean_of_the_snapshots(n: int, seed: int) -> None:
    """And that of torch's `AveragedModel`; float64 rounding."""
    generator = torch.Generator().manual_seed(seed)
    snapshots = torch.randn(n, 4, 3, generator=generator, dtype=torch.float64)
    mean = snapshots[0].clone()
    with torch.random.fork_rng():
        model = nn.Linear(3, 4, bias=False, dtype=torch.float64)
        theirs = AveragedModel(model)
    for count, weights in enumerate(snapshots):
        if count:
            update_average([mean], [weights], count)
        model.weight.data = weights.clone()
        theirs.update_parameters(model)
    torch.testing.assert_close(mean, snapshots.mean(0), rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(mean, theirs.module.weight.detach(), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("steps", [1, 4, 10])
def test_the_rate_moves_as_torchs_does(steps: int) -> None:
    """`SWALR`, stepped per update along a cosine, reaches the constant rate and stays."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=5e-3)
    schedule = SWALR(optimizer, swa_lr=2e-6, anneal_epochs=steps, anneal_strategy="cos")
    for step in range(15):
        ours = annealed(5e-3, 2e-6, step, steps)
        # torch computes each rate from the one before, which rounds in every step.
        assert ours == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9, abs=1e-15)
        optimizer.step()
        schedule.step()
    assert annealed(5e-3, 2e-6, steps, steps) == 2e-6


def test_without_a_way_the_rate_jumps() -> None:
    assert annealed(1.0, 0.5, 0, 0) == 0.5


@pytest.mark.parametrize("per_group", [True, False])
def test_layer_wise_rates_are_kept_if_asked_for(per_group: bool) -> None:
    """As published, averaging wipes them out: one constant rate for all depths."""
    run = run_with(
        layer_rates=LayerRatesSpec("zhang", decay=0.5),
        averaging=AveragingSpec(2, learning_rate=1e-4, anneal_steps=3, per_group=per_group),
    )
    plan = make_plan(run.recipe, run.evaluation, 38)
    rates = learning_rates(run.recipe, plan, 2)
    assert plan.averaging_start == 10
    factors = np.array([0.125, 0.25, 0.5, 1.0]) if per_group else np.ones(4)
    np.testing.assert_allclose(rates[13:], np.tile(1e-4 * factors, (7, 1)), rtol=1e-12)
    plain = learning_rates(
        dataclasses.replace(run.recipe, averaging=AveragingSpec()),
        make_plan(dataclasses.replace(run.recipe, averaging=AveragingSpec()), run.evaluation, 38),
        2,
    )
    np.testing.assert_array_equal(rates[:11], plain[:11])


def test_the_average_and_the_live_weights_are_scored(tmp_path: Path) -> None:
    """`dev` is the average from its first update on, `dev_live` what it is made of.

    The model is left with the average, and has its logits.
    """
    run = dataclasses.replace(
        run_with(averaging=AveragingSpec(2, learning_rate=3e-3, anneal_steps=0)),
        evaluation=EvaluationSpec(every=4, batch_size=5),
    )
    result, weights = trained(run, tmp_path)
    steps = {
        split: [e.step for e in result.evaluations if e.split == split]
        for split in ("dev", "dev_live")
    }
    assert steps == {"dev": [0, 4, 8, 12, 16, 20], "dev_live": [12, 16, 20]}
    dev: Split = tiny_task().splits["dev"]
    weights.model.eval()
    with torch.no_grad():
        logits = forward(weights.model, dev, np.arange(len(dev)), 1).numpy()
    # The recorded ones are float32, of batches of another shape.
    np.testing.assert_allclose(result.logits["dev"], logits, rtol=1e-5, atol=1e-6)


def test_a_start_that_is_not_reached(tmp_path: Path) -> None:
    run = run_with(averaging=AveragingSpec(4))
    with pytest.raises(SeedlabError, match=r"averaging.start_epoch=4 is not reached: .* 20 steps"):
        make_plan(run.recipe, run.evaluation, 38)
