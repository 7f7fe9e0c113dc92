"""Stochastic weight averaging (Izmailov et al. 2018): a running mean of the weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from seedlab.techniques.averaging import AveragingSpec
from seedlab.training.techniques.effect import Effect, Floats, LoadedModel
from seedlab.training.techniques.step_effect import NamedTensors, StepEffect

_LARGE = 1 << 28
"""Elements above which a difference of two tensors is not held as a whole."""


class AveragingEffect(Effect[AveragingSpec]):
    """A constant learning rate, and the mean of the weights since it began."""

    def rates(self, rates: Floats, factors: Floats, averaging_start: int | None) -> Floats:
        """See `Effect`: from `averaging_start` on they move to the constant rate, along a cosine."""
        if averaging_start is None:
            return rates
        settings, changed = self.settings, rates.copy()
        shares = factors if settings.per_group else np.ones_like(factors)
        targets = settings.learning_rate * shares
        for step in range(averaging_start, len(rates)):
            for depth, target in enumerate(targets):
                changed[step, depth] = annealed(
                    rates[averaging_start, depth],
                    target,
                    step - averaging_start,
                    settings.anneal_steps,
                )
        return changed

    def on_steps(self, loaded: LoadedModel, averaging_start: int | None) -> StepEffect | None:
        """See `Effect`."""
        return None if averaging_start is None else AveragingStep(averaging_start)


@dataclass(frozen=True)
class AveragingStep(StepEffect):
    """Takes the weights into their mean after every update from number `start` on."""

    elementwise: ClassVar[bool] = True
    buffers: ClassVar[tuple[str, ...]] = ("average",)
    scored: ClassVar[str] = "average"

    start: int

    def after_update(
        self, step: int, weights: NamedTensors, buffer: Callable[[str], NamedTensors]
    ) -> None:
        """See `StepEffect`."""
        if step < self.start:
            return
        average = buffer("average")
        if step > self.start:
            current = [weights[name] for name in average]
            update_average(list(average.values()), current, step - self.start)


def annealed(start: float, target: float, step: int, steps: int) -> float:
    """Return the learning rate on its way to the constant one, along a cosine.

    Parameters
    ----------
    start, target : float
        Rate at step 0, and from step `steps` on.
    step, steps : int
        Updates since averaging began, and updates until the target is reached (0: at once).
    """
    share = 1.0 if steps == 0 else min(1.0, step / steps)
    weight = 0.5 * (1.0 - math.cos(math.pi * share))
    return start * (1.0 - weight) + target * weight


@torch.no_grad()
def update_average(
    average: Sequence[torch.Tensor], weights: Sequence[torch.Tensor], count: int
) -> None:
    """Update the mean of `count` earlier weights with the current ones, in place.

    ``average += (weights - average) / (count + 1)``, as torch's `AveragedModel` does.
    """
    for means, current in zip(average, weights, strict=True):
        # The vectors of a pack are taken row by row: their difference would be as large as they are.
        rows = zip(means, current, strict=True) if means.numel() > _LARGE else ((means, current),)
        for mean, weight in rows:
            mean.add_((weight - mean) / (count + 1))
