"""Pre-trained weight decay (Zhang et al. 2021): towards the initial weights, not towards 0."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from seedlab.models.parameter_groups import is_exempt
from seedlab.techniques.prior_decay import PriorDecaySpec
from seedlab.training.techniques.effect import Effect, LoadedModel
from seedlab.training.techniques.step_effect import NamedTensors, StepEffect


class PriorDecayEffect(Effect[PriorDecaySpec]):
    """A pull towards the start of every parameter that weight decay applies to."""

    @property
    def by_depth(self) -> bool:
        """See `Effect`: the head is found by its depth."""
        return not self.settings.anchor_head

    def on_steps(self, loaded: LoadedModel, averaging_start: int | None) -> StepEffect:
        """See `Effect`."""
        head = max(loaded.depths.values(), default=0)
        anchored = (n for n in loaded.names if self.settings.anchor_head or loaded.depths[n] < head)
        decayed = frozenset(name for name in anchored if not is_exempt(loaded.model, name))
        return PriorDecayStep(self.settings.strength, decayed)


@dataclass(frozen=True)
class PriorDecayStep(StepEffect):
    """Pulls the parameters `anchored` towards their start, before every update."""

    needs_start: ClassVar[bool] = True

    strength: float
    anchored: frozenset[str]

    def before_update(
        self,
        step: int,
        weights: NamedTensors,
        start: NamedTensors,
        rate: Callable[[str], float],
    ) -> None:
        """See `StepEffect`."""
        for name, weight in weights.items():
            if name in self.anchored:
                pull([weight], [start[name]], rate(name), self.strength)


@torch.no_grad()
def pull(
    weights: Sequence[torch.Tensor], start: Sequence[torch.Tensor], rate: float, strength: float
) -> None:
    """Move weights towards their start, before the optimiser's own update, in place.

    ``w -= rate * strength * (w - start)``: decoupled, with the scheduled learning rate.

    Parameters
    ----------
    weights, start : sequences of tensors of the same shapes
    rate : float
        The learning rate of this update.
    strength : float
        At least 0.
    """
    for weight, origin in zip(weights, start, strict=True):
        weight.sub_((weight - origin) * (rate * strength))
