"""Gradient centralisation (Yong et al. 2020): gradients of matrices with mean 0 over inputs."""

from __future__ import annotations

from dataclasses import dataclass

from seedlab.techniques.gradient_centralisation import GradientCentralisationSpec
from seedlab.training.techniques.effect import Effect, LoadedModel
from seedlab.training.techniques.step_effect import NamedTensors, StepEffect


class GradientCentralisationEffect(Effect[GradientCentralisationSpec]):
    """The gradient of every matrix is centred, before it is clipped."""

    def on_steps(self, loaded: LoadedModel, averaging_start: int | None) -> StepEffect:
        """See `Effect`."""
        named = loaded.model.named_parameters()
        return GradientCentralisationStep(frozenset(name for name, p in named if p.ndim == 2))


@dataclass(frozen=True)
class GradientCentralisationStep(StepEffect):
    """Centres the gradients of `matrices`."""

    matrices: frozenset[str]

    def change_gradients(self, step: int, gradients: NamedTensors) -> None:
        """See `StepEffect`."""
        for name, gradient in gradients.items():
            if name in self.matrices:
                gradient.sub_(gradient.mean(-1, keepdim=True))
