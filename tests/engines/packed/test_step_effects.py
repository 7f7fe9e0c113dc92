"""Step effects on a stack's vectors: together or one by one, by name or as whole vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from seedlab.engines.packed.encoder.adam import AdamOptions
from seedlab.engines.packed.encoder.flat_layout import FlatLayout, Piece
from seedlab.engines.packed.initial_weights import InitialWeights
from seedlab.engines.packed.options import RunOptions
from seedlab.engines.packed.step_effects import RunBuffer, StackSteps
from seedlab.training.parameter_plan import ParameterPlan
from seedlab.training.techniques.step_effect import StepEffect, StepEffects

# Three of a table's rows are used; six gaps.
LAYOUT = FlatLayout(
    {"table": Piece(0, (3, 2)), "bias": Piece(8, (4,))}, {}, {"table": torch.arange(3)}, 8, 16
)
ADAM = AdamOptions(0.9, 0.999, 1e-6, 0.01, True, "none", 1.0)


@dataclass(frozen=True)
class Smoothed(StepEffect):
    """Keeps a moving mean, shrinks the weights and doubles gradients."""

    buffers = ("mean",)
    needs_start = True

    share: float

    def change_gradients(self, step: int, gradients: Mapping[str, torch.Tensor]) -> None:
        for gradient in gradients.values():
            gradient.mul_(2 * self.share)

    def before_update(
        self,
        step: int,
        weights: Mapping[str, torch.Tensor],
        start: Mapping[str, torch.Tensor],
        rate: Callable[[str], float],
    ) -> None:
        for name, weight in weights.items():
            weight.sub_((weight - start[name]) * (rate(name) * self.share))

    def after_update(
        self,
        step: int,
        weights: Mapping[str, torch.Tensor],
        buffer: Callable[[str], Mapping[str, torch.Tensor]],
    ) -> None:
        mean = buffer("mean")
        assert mean.keys() == weights.keys()
        for name, weight in weights.items():
            mean[name].mul_(1 - self.share).add_(weight * self.share)
            weight.mul_(0.9)


class SmoothedAtOnce(Smoothed):
    """The same for all numbers alike."""

    elementwise = True


Outcome = tuple[torch.Tensor, torch.Tensor, list[float], list[dict[str, torch.Tensor]]]


def stepped(effects: Sequence[StepEffect], runs: Sequence[int], rates: Sequence[float]) -> Outcome:
    """Return weights, gradients, factors and buffers of some runs after two steps."""
    plan = [
        ParameterPlan({}, (), frozenset(), np.ones((2, 1)), steps=StepEffects((effect,)))
        for effect in effects
    ]
    steps = StackSteps(LAYOUT, [RunOptions(ADAM, plan[run]) for run in runs])
    generator = torch.Generator().manual_seed(0)
    weights, grads = (
        torch.randn(3, 16, generator=generator, dtype=torch.float64)[list(runs)] for _ in range(2)
    )
    start = InitialWeights(LAYOUT.tensors(torch.ones(16, dtype=torch.float64)), {})
    unused = [[0.5, 0.7, 0.9][run] for run in runs]
    for step in range(2):
        steps.on_gradients(step, grads)
        steps.before(step, weights, unused, start, [[rates[run]] for run in runs])
        steps.after(step, weights, unused)
    return weights, grads, unused, [steps.state(slot) for slot in range(len(runs))]


def assert_equal(a: Outcome, b: Outcome) -> None:
    for one, other in zip(a[:2], b[:2], strict=True):
        named = LAYOUT.tensors(one), LAYOUT.tensors(other)
        assert all(torch.equal(named[0][name], named[1][name]) for name in named[0])
    assert a[2] == b[2]
    for x, y in zip(a[3], b[3], strict=True):
        assert x.keys() == y.keys() == {"mean", "mean_decayed"}
        kept = LAYOUT.tensors(x["mean"]), LAYOUT.tensors(y["mean"])
        assert all(torch.equal(kept[0][name], kept[1][name]) for name in kept[0])
        assert torch.equal(x["mean_decayed"], y["mean_decayed"])


@pytest.mark.parametrize("rates", [(0.1, 0.1, 0.1), (0.1, 0.2, 0.1)], ids=["one rate", "rates"])
@pytest.mark.parametrize("shares", [(0.5, 0.5, 0.5), (0.5, 0.25, 0.5)], ids=["alike", "apart"])
def test_a_run_in_a_stack_is_as_alone(shares: tuple[float, ...], rates: tuple[float, ...]) -> None:
    """Bit for bit, whether effects and rates are equal or not."""
    effects = [Smoothed(share) for share in shares]
    together = stepped(effects, range(3), rates)
    for run in range(3):
        weights, grads, unused, state = together
        own = (
            weights[run : run + 1],
            grads[run : run + 1],
            unused[run : run + 1],
            state[run : run + 1],
        )
        assert_equal(stepped(effects, [run], rates), own)


def test_whole_vectors_are_the_tensors_by_name() -> None:
    rates = (0.1, 0.1, 0.1)
    named = stepped([Smoothed(0.5)] * 3, range(3), rates)
    assert_equal(stepped([SmoothedAtOnce(0.5)] * 3, range(3), rates), named)


def test_unused_rows_move_as_used_ones_do() -> None:
    """A factor of .5 of a start of 1: pulled by .1 x .5 of the way, then times .9, twice."""
    factor = 0.5
    for _ in range(2):
        factor = (factor + (1 - factor) * 0.05) * 0.9
    assert stepped([Smoothed(0.5)] * 3, [0], (0.1,) * 3)[2] == [pytest.approx(factor, rel=1e-12)]


@pytest.mark.parametrize("in_update", [True, False])
def test_averages_of_dropped_runs_leave_without_a_copy_of_the_others(in_update: bool) -> None:
    """Updates make inference tensors, and runs are dropped outside of updates."""
    with torch.inference_mode(in_update):
        flat = torch.arange(20.0).reshape(5, 4)
    buffer = RunBuffer(
        flat, torch.arange(5.0, dtype=torch.float64), [True, False, True, True, False]
    )
    place, expected = flat.data_ptr(), flat[[1, 2, 4]].clone()
    buffer.keep([1, 2, 4])
    assert torch.equal(buffer.flat, expected)
    assert buffer.flat.data_ptr() == place
    assert buffer.unused.tolist() == [1.0, 2.0, 4.0]
    assert buffer.made == [False, True, False]
