"""`Stack`: some runs of a pack that are computed as one, from tokens to update."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch

from seedlab.models.flat import FlatLayout
from seedlab.models.ragged import Ragged
from seedlab.models.ragged_dropout import stack_masks
from seedlab.models.stacked import StackedEncoder
from seedlab.models.stacked_ops import Workspace
from seedlab.models.stacked_pass import Pass
from seedlab.train.stacked_loss import losses_and_gradient
from seedlab.train.stacked_optim import Rule, StackedAdam

Part = tuple[Ragged, torch.Tensor]
"""Tokens and labels of a part of a batch."""


class Gradients:
    """A buffer of gradients and the memory of a pass, used by one stack at a time."""

    def __init__(
        self, layout: FlatLayout, runs: int, like: torch.Tensor, product_dtype: torch.dtype
    ) -> None:
        self.flat = torch.zeros(runs, layout.size, dtype=like.dtype, device=like.device)
        self.layout = layout
        self.work = Workspace(like.device, like.dtype, product_dtype)
        self._views: dict[int, dict[str, torch.Tensor]] = {}

    def views(self, runs: int) -> dict[str, torch.Tensor]:
        """Return the gradients of a stack of so many runs, by name."""
        if runs not in self._views:
            self._views[runs] = self.layout.views(plain(self.flat[:runs]))
        return self._views[runs]


class Stack:
    """Runs that are computed together.

    Parameters
    ----------
    encoder : StackedEncoder
    layout : FlatLayout
    weights : (run, size) tensor
    rules : sequence of Rule
        One per run.
    """

    def __init__(
        self,
        encoder: StackedEncoder,
        layout: FlatLayout,
        weights: torch.Tensor,
        rules: Sequence[Rule],
    ) -> None:
        self.encoder = encoder
        self.layout = layout
        self.optimizer = StackedAdam(layout, rules, weights)
        self.views = layout.views(plain(weights))

    def __len__(self) -> int:
        return len(self.optimizer.rules)

    def update(
        self,
        parts: Sequence[Part],
        masks: Sequence[Sequence[dict[str, torch.Tensor]]],
        step: int,
        rates: Sequence[float],
        memory: Gradients,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Make one update of all runs; return (run,) losses and gradient norms.

        Parameters
        ----------
        parts : sequence of Part
            The update's batch, cut as the recipe says.
        masks : sequence over parts of sequences over runs of masks by site
        step : int
        rates : sequence of float
            Learning rates, one per run.
        memory : Gradients
        """
        runs = len(self)
        rows = sum(len(labels) for _, labels in parts)
        grads, total = memory.views(runs), None
        for number, (batch, labels) in enumerate(parts):
            stacked = stack_masks(list(masks[number]))
            at = Pass(self.views, batch, stacked, memory.work, grads, number > 0, runs)
            logits = self.encoder.forward(at)
            losses, grad = losses_and_gradient(logits, labels, rows)
            total = losses if total is None else total + losses
            self.encoder.backward(at, grad)
        norms = self.optimizer.update(memory.flat[:runs], step, rates)
        return torch.as_tensor(total).reshape(-1), norms

    def logits(self, batch: Ragged, memory: Gradients) -> npt.NDArray[np.float32]:
        """Return (run, row, class) logits without dropout."""
        at = Pass(self.views, batch, {}, memory.work, runs=len(self))
        logits = self.encoder.forward(at).reshape(len(self), batch.n_rows, -1)
        return np.asarray(logits.float().cpu().numpy())

    def state(self, run: int) -> dict[str, torch.Tensor]:
        """Return a copy on the host of all that changes while a run trains."""
        optimizer = self.optimizer
        kept = {
            "weights": optimizer.weights[run],
            "first": optimizer.first[run],
            "second": optimizer.second[run],
            "decayed": torch.tensor(optimizer.decayed[run], dtype=torch.float64),
        }
        return {name: tensor.to("cpu", copy=True) for name, tensor in kept.items()}

    def load(self, run: int, tensors: Mapping[str, torch.Tensor]) -> None:
        """Let a run go on from what `state` returned."""
        optimizer = self.optimizer
        optimizer.weights[run].copy_(tensors["weights"])
        optimizer.first[run].copy_(tensors["first"])
        optimizer.second[run].copy_(tensors["second"])
        optimizer.decayed[run] = float(tensors["decayed"])

    def keep(self, runs: Sequence[int]) -> None:
        """Keep these runs alone."""
        self.optimizer.keep(runs)
        self.views = self.layout.views(plain(self.optimizer.weights))


def plain(flat: torch.Tensor) -> torch.Tensor:
    """Return a (run, size) buffer without its run axis if there is but one run."""
    return flat[0] if flat.shape[0] == 1 else flat
