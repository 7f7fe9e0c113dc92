"""The optimiser of a stack against torch's AdamW and BERTAdam, run by run."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from seedlab.engines.packed.encoder.adam import AdamOptions, StackedAdam, compacted
from seedlab.engines.packed.encoder.flat_layout import FlatLayout, Piece
from seedlab.engines.packed.encoder.loss import losses_and_gradient
from seedlab.training.optimizers import clip_gradients, make_optimizer

# Two decayed tensors, one exempt, and gaps between them.
LAYOUT = FlatLayout(
    {"a": Piece(0, (3, 4)), "b": Piece(16, (5,)), "c": Piece(32, (7,))}, {}, {}, 32, 48
)


def adam_options(**changes: object) -> AdamOptions:
    values = {
        "beta1": 0.9, "beta2": 0.99, "eps": 1e-6, "weight_decay": 0.1,
        "bias_correction": True, "clip_mode": "global", "clip_norm": 1.0,
    }  # fmt: skip
    return AdamOptions(**{**values, **changes})  # type: ignore[arg-type]


RULES = [
    adam_options(),
    adam_options(bias_correction=False, clip_mode="tensor", clip_norm=0.5),
    adam_options(beta1=0.8, weight_decay=0.0, clip_mode="none"),
    adam_options(clip_norm=1e6),
]


def random(*shape: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def test_every_run_is_updated_with_its_own_options() -> None:
    """Float64, 12 updates with a changing rate, against one optimiser per run."""
    start = random(4, 48, seed=0)
    for gap in (slice(12, 16), slice(21, 32), slice(39, 48)):
        start[:, gap] = 0.0
    stacked = StackedAdam(LAYOUT, RULES, start.clone())
    runs = []
    for number, r in enumerate(RULES):
        views = LAYOUT.views(start[number])
        a, b, c = (nn.Parameter(views[name].clone()) for name in "abc")
        optimizer = make_optimizer(
            [{"params": [a, b], "weight_decay": r.weight_decay}, {"params": [c], "weight_decay": 0.0}],
            learning_rate=1.0, beta1=r.beta1, beta2=r.beta2, eps=r.eps,
            bias_correction=r.bias_correction,
        )  # fmt: skip
        runs.append(([a, b, c], optimizer, r))
    for step in range(12):
        rates = [[1e-2 / (step + 1 + number)] for number in range(4)]
        grads = torch.zeros(4, 48, dtype=torch.float64)
        for number, (parameters, optimizer, r) in enumerate(runs):
            for position, p in enumerate(parameters):
                p.grad = random(*p.shape, seed=100 * step + 10 * number + position)
            for p, view in zip(parameters, LAYOUT.views(grads[number]).values(), strict=True):
                view.copy_(p.grad)
            expected = clip_gradients(parameters, r.clip_mode, r.clip_norm)
            for group in optimizer.param_groups:
                (group["lr"],) = rates[number]
            optimizer.step()
            parameters[0].norm_before = expected  # type: ignore[attr-defined]
        norms = stacked.update(grads, step, rates)
        for number, (parameters, _, _) in enumerate(runs):
            views = LAYOUT.views(stacked.weights[number])
            torch.testing.assert_close(float(norms[number]), parameters[0].norm_before)  # type: ignore[attr-defined]
            for p, name in zip(parameters, "abc", strict=True):
                torch.testing.assert_close(views[name], p.data, rtol=1e-10, atol=1e-12)
    assert float(stacked.weights[:, 12:16].abs().max()) == 0.0


def test_segments_have_rates_of_their_own() -> None:
    """Rates by column, decay by segment, for one run beside another with a single rate; bitwise.

    Every tensor is updated as by an optimiser of its own, whatever its neighbours.
    """
    columns = {"a": 0, "b": 1, "c": 1}
    by_column = LAYOUT.segments(columns.__getitem__)
    assert [(s.start, s.stop, s.column, s.decayed) for s in by_column] == [
        (0, 16, 0, True), (16, 32, 1, True), (32, 48, 1, False),
    ]  # fmt: skip
    assert [(s.start, s.stop) for s in LAYOUT.segments()] == [(0, 32), (32, 48)]
    start, calm = random(2, 48, seed=0), adam_options(clip_mode="none")
    stacked = StackedAdam(LAYOUT, [calm, calm], start.clone(), [by_column, LAYOUT.segments()])
    grads = random(2, 48, seed=1)
    stacked.update(grads.clone(), 0, [[1e-2, 1e-3], [1e-2]])
    for name, rate in (("a", 1e-2), ("b", 1e-3), ("c", 1e-3)):
        for run, used in ((0, rate), (1, 1e-2)):
            alone = StackedAdam(LAYOUT, [calm], start[run : run + 1].clone())
            alone.update(grads[run : run + 1].clone(), 0, [[used]])
            found = LAYOUT.views(stacked.weights[run])[name]
            assert torch.equal(found, LAYOUT.views(alone.weights[0])[name])
    # Embedding rows that the task never uses decay by the rate of the first column.
    assert stacked.decayed == [1.0 - 1e-2 * 0.1, 1.0 - 1e-2 * 0.1]


@pytest.mark.parametrize("runs", [1, 3])
def test_root_of_the_mean_squared_error_is_that_of_autograd(runs: int) -> None:
    logits, labels = random(runs, 6, 1, seed=4).requires_grad_(), random(6, seed=5)
    expected = (logits[..., 0] - labels).square().mean(1).sqrt()
    expected.sum().backward()
    losses, grad = losses_and_gradient(logits.detach(), labels, 6, root=True)
    torch.testing.assert_close(losses, expected.detach())
    torch.testing.assert_close(grad, logits.grad)


def test_dropping_runs_frees_them_and_leaves_the_others() -> None:
    """Weights and moments shrink; the remaining runs continue bit for bit."""
    kept, whole = (StackedAdam(LAYOUT, RULES, random(4, 48, seed=1)) for _ in range(2))
    for step in range(3):
        for optimizer in (kept, whole):
            grads = random(4, 48, seed=step)
            n = len(optimizer.options)
            optimizer.update(grads[[0, 2]] if n == 2 else grads, step, [[1e-2]] * n)
        if step == 0:
            kept.keep([0, 2])
    assert kept.weights.shape == kept.first.shape == kept.second.shape == (2, 48)
    assert torch.equal(kept.weights, whole.weights[[0, 2]])
    assert kept.decayed == [whole.decayed[0], whole.decayed[2]]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_run_without_finite_gradients_ends_alone(value: float) -> None:
    optimizer, calm = (StackedAdam(LAYOUT, RULES, random(4, 48, seed=1)) for _ in range(2))
    grads = random(4, 48, seed=2)
    calm.update(grads.clone(), 0, [[1e-2]] * 4)
    grads[0, 3] = value
    norms = optimizer.update(grads, 0, [[1e-2]] * 4)
    assert torch.isfinite(norms).tolist() == [False, True, True, True]
    assert not torch.isfinite(optimizer.weights[0]).all()
    assert torch.equal(optimizer.weights[1:], calm.weights[1:])


@pytest.mark.parametrize("n_classes", [1, 2, 5])
def test_losses_and_gradient_are_those_of_autograd(n_classes: int) -> None:
    logits = random(3, 6, n_classes, seed=4).requires_grad_()
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, n_classes, (6,), generator=generator)
    if n_classes == 1:
        labels = random(6, seed=5)
        expected = (logits[..., 0] - labels).square().sum(1) / 8
    else:
        spread = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), labels.repeat(3), reduction="none"
        )
        expected = spread.view(3, 6).sum(1) / 8
    expected.sum().backward()
    losses, grad = losses_and_gradient(logits.detach(), labels, 8)
    torch.testing.assert_close(losses, expected.detach())
    torch.testing.assert_close(grad, logits.grad)


def test_runs_are_dropped_without_a_copy_of_the_others() -> None:
    """A full GPU has no room for the old and the new vectors together."""
    tensor = random(5, 8, seed=0)
    before = tensor.clone()
    kept = compacted(tensor, [1, 2, 4])
    assert torch.equal(kept, before[[1, 2, 4]])
    assert kept.data_ptr() == tensor.data_ptr()


def test_the_norm_of_a_run_is_that_of_the_run_alone() -> None:
    grads = random(3, 48, seed=1)
    grads[:, 12:16] = grads[:, 21:32] = grads[:, 39:] = 0.0
    options = [adam_options(clip_mode="none")] * 3
    adam = StackedAdam(LAYOUT, options, random(3, 48, seed=2))
    norms = adam.update(grads.clone(), 0, [[0.0]] * 3)
    for run in range(3):
        alone = StackedAdam(LAYOUT, options[:1], random(1, 48, seed=2))
        assert alone.update(grads[run : run + 1].clone(), 0, [[0.0]])[0] == norms[run]
