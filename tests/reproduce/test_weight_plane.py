"""The plane through three points of weight space, and the loss on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from suites.tiny import tiny_task, tiny_weights

from seedlab.reproduce.weight_plane import CORNERS, Plane, losses_on, weights_of

AXIS = np.array([-0.5, 0.0, 0.25, 1.0])


def three_points(weights, seed=0):
    """A start and two points near it."""
    start = weights_of(weights.start(seed))
    generator = torch.Generator().manual_seed(3)
    points = [
        {n: 1.1 * p + 0.05 * torch.randn(p.shape, generator=generator) for n, p in start.items()}
        for _ in range(2)
    ]
    return Plane(start, *points)


def plain_loss(model, point, task):
    """One example at a time, without padding, on a copy of the weights."""
    split, losses = task.splits["train"], []
    for i in range(len(split)):
        ids = torch.from_numpy(split.ids[split.offsets[i] : split.offsets[i + 1]].astype(np.int64))
        logits = torch.func.functional_call(model, point, (ids[None], torch.ones_like(ids)[None]))
        logits = logits.logits.double()
        label = torch.as_tensor(split.labels[i : i + 1])
        if task.is_regression:
            losses.append(float((logits[0, 0] - label[0]) ** 2))
        else:
            losses.append(float(torch.nn.functional.cross_entropy(logits, label)))
    return float(np.mean(losses))


@pytest.mark.parametrize(
    ("architecture", "n_labels"), [("bert", 2), ("distilbert", 3), ("bert", 1)]
)
def test_the_loss_at_every_point_is_that_of_a_plain_loop(
    tmp_path: Path, architecture: str, n_labels: int
) -> None:
    task = tiny_task(n_labels=n_labels, n_train=9)
    weights = tiny_weights(tmp_path, architecture, n_labels=n_labels)
    plane = three_points(weights)
    found = losses_on(plane, weights.model, task, np.arange(9), AXIS, batch_size=4)
    model = weights.model.eval()
    for i, a in enumerate(AXIS):
        for j, b in enumerate(AXIS):
            # The definition, in double precision; weights are rounded to single precision.
            point = {
                n: (p.double() + a * (plane.failed[n] - p).double()
                    + b * (plane.successful[n] - p).double()).float()
                for n, p in plane.start.items()
            }  # fmt: skip
            with torch.no_grad():
                expected = plain_loss(model, point, task)
            assert found[i, j] == pytest.approx(expected, rel=2e-5)


def test_the_corners_are_the_three_points_themselves(tmp_path: Path) -> None:
    """Not nearly: start + 1 x (end - start) is rounded, and the end would not be the run's."""
    plane = three_points(tiny_weights(tmp_path))
    for (a, b), name in CORNERS.items():
        assert plane.at(a, b) is getattr(plane, name)
    rounded = {n: p + 1.0 * (plane.failed[n] - p) for n, p in plane.start.items()}
    assert not all(torch.equal(rounded[name], end) for name, end in plane.failed.items())


def test_the_model_is_given_back_as_it_was(tmp_path: Path) -> None:
    weights = tiny_weights(tmp_path)
    plane = three_points(weights)
    model = weights.start(7).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    losses_on(plane, model, tiny_task(), np.arange(5), AXIS)
    broken = Plane(plane.start, plane.failed, {})
    with pytest.raises(KeyError):
        losses_on(broken, model, tiny_task(), np.arange(5), AXIS)
    assert model.training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_dropout_and_padding_do_not_count(tmp_path: Path) -> None:
    """The same loss from any batch size, and twice; a subset has the mean of its examples."""
    weights, task = tiny_weights(tmp_path, dropout=0.5), tiny_task()
    plane, examples = three_points(weights), np.array([3, 11, 30])
    losses = [
        losses_on(plane, weights.model, task, examples, AXIS[:2], batch_size=size)
        for size in (1, 2, 64, 64)
    ]
    # Padding moves sums of single precision in their last digits.
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    np.testing.assert_allclose(losses[0], losses[2], rtol=1e-5)
    np.testing.assert_array_equal(losses[2], losses[3])
    alone = [losses_on(plane, weights.model, task, examples[[k]], AXIS[:2]) for k in range(3)]
    np.testing.assert_allclose(losses[0], np.mean(alone, axis=0), rtol=1e-5)
