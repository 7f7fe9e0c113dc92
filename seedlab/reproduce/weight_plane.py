"""A plane through three points of weight space, and the loss on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from transformers import PreTrainedModel

from seedlab.models.pretrained import accepts_types
from seedlab.tasks.encoded import EncodedTask
from seedlab.training.batches import collate

Point = dict[str, torch.Tensor]
"""Every parameter of a model by name: one point of weight space."""
CORNERS = {(0.0, 0.0): "start", (1.0, 0.0): "failed", (0.0, 1.0): "successful"}


@dataclass(frozen=True)
class Plane:
    """Three points of weight space and the plane through them.

    Parameters
    ----------
    start, failed, successful : mapping of parameter name to tensor
        The same names, shapes and device in all three.
    """

    start: Point
    failed: Point
    successful: Point

    def at(self, a: float, b: float) -> Point:
        """Return start + a (failed - start) + b (successful - start); the three points exactly."""
        corner = CORNERS.get((a, b))
        if corner is not None:
            exact: Point = getattr(self, corner)
            return exact
        return {
            name: start + a * (self.failed[name] - start) + b * (self.successful[name] - start)
            for name, start in self.start.items()
        }


def losses_on(
    plane: Plane,
    model: PreTrainedModel,
    task: EncodedTask,
    examples: npt.NDArray[np.int64],
    axis: npt.NDArray[np.float64],
    batch_size: int = 64,
    dtype: str = "float32",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> npt.NDArray[np.float64]:
    """Return the mean losses on a plane, shape (a, b). The model gets its own weights back.

    Parameters
    ----------
    plane : Plane
    model : transformers.PreTrainedModel
    task : EncodedTask
    examples : array of int
        Places in the training set.
    axis : (n,) array
        Values of a and of b.
    batch_size : int
    dtype : str
        The value of `model.dtype`.
    progress : callable
    """
    found = np.empty((len(axis), len(axis)))
    with _borrowed(model):
        for i, a in enumerate(axis.tolist()):
            for j, b in enumerate(axis.tolist()):
                _place(model, plane.at(a, b))
                found[i, j] = mean_loss(model, task, examples, batch_size, dtype)
                progress(i * len(axis) + j + 1, found.size)
    return found


@torch.inference_mode()
def mean_loss(
    model: PreTrainedModel,
    task: EncodedTask,
    examples: npt.NDArray[np.int64],
    batch_size: int,
    dtype: str = "float32",
) -> float:
    """Return the mean loss of a model (in evaluation mode) over some training examples."""
    split, total = task.splits["train"], 0.0
    # Examples of similar length form a batch, so that little is padding.
    order = examples[np.argsort(split.lengths[examples], kind="stable")]
    with torch.autocast(model.device.type, torch.bfloat16, enabled=dtype == "bfloat16"):
        for first in range(0, len(order), batch_size):
            batch = collate(split, order[first : first + batch_size], task.pad_id).to(model.device)
            inputs = {"input_ids": batch.ids, "attention_mask": batch.mask}
            if accepts_types(model):
                inputs["token_type_ids"] = batch.types
            logits = model(**inputs).logits.double()
            if task.is_regression:
                losses = (logits[:, 0] - batch.labels).square()
            else:
                losses = torch.nn.functional.cross_entropy(logits, batch.labels, reduction="none")
            total += float(losses.sum())
    return total / len(order)


def weights_of(model: PreTrainedModel) -> Point:
    """Return a copy of every parameter of a model."""
    return {name: p.detach().clone() for name, p in model.named_parameters()}


@torch.no_grad()
def _place(model: PreTrainedModel, point: Mapping[str, torch.Tensor]) -> None:
    for name, parameter in model.named_parameters():
        parameter.copy_(point[name])


@contextmanager
def _borrowed(model: PreTrainedModel) -> Iterator[None]:
    """Restore the model's weights and its training or evaluation mode at the end."""
    before, training = weights_of(model), model.training
    model.eval()
    try:
        yield
    finally:
        _place(model, before)
        model.train(training)
