"""`StepEffect`: the effect of a technique on every update, in every engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch

NamedTensors = Mapping[str, torch.Tensor]


class StepEffect:
    """The effect of a technique on every update: the base of a frozen dataclass.

    Tensors come by parameter name and are changed in place, without autograd. They have a
    leading run axis if an engine computes several runs at a time: write ``...`` before a
    parameter's own axes, or count axes from the last. An embedding table may have fewer rows
    than in the model: those that the task uses. The other rows are their initial values times one
    factor. Another call of `before_update` and of `after_update` gets that factor, under the table's name and with the initial
    value 1.

    Effects that compare equal must do the same: an engine applies one of them to all their runs.

    Attributes
    ----------
    needs_start : bool
        Whether `before_update` reads the initial weights.
    elementwise : bool
        Whether `after_update` treats all numbers alike. An engine may then give it whole vectors
        of parameters under names of its own.
    buffers : tuple of str
        Names of the buffers of the weights' shapes that it keeps; each is part of a checkpoint.
    scored : str
        The buffer that is scored instead of the weights, from
        `seedlab.techniques.technique.Technique.averaging_start` on; empty for none.
    """

    needs_start: ClassVar[bool] = False
    elementwise: ClassVar[bool] = False
    buffers: ClassVar[tuple[str, ...]] = ()
    scored: ClassVar[str] = ""

    def change_gradients(self, step: int, gradients: NamedTensors) -> None:
        """Change the gradients of the whole batch, before they are clipped.

        Parameters
        ----------
        step : int
            Number of the update, counted from 0.
        gradients : mapping of name to tensor
            Those of the parameters that are trained.
        """

    def before_update(
        self,
        step: int,
        weights: NamedTensors,
        start: NamedTensors,
        rate: Callable[[str], float],
    ) -> None:
        """Change the weights before the optimiser's own update.

        Parameters
        ----------
        step : int
        weights, start : mapping of name to tensor
            Trained parameters and their initial values. The latter have no run axis if they are the
            same for all runs, and are empty unless `needs_start`.
        rate : callable
            Maps a parameter's name to its learning rate in this update.
        """

    def after_update(
        self, step: int, weights: NamedTensors, buffer: Callable[[str], NamedTensors]
    ) -> None:
        """Look at the weights after the optimiser's update, or change them.

        Parameters
        ----------
        step : int
        weights : mapping of name to tensor
        buffer : callable
            Maps one of `buffers` to its tensors by name. The first call makes the buffer, as a copy
            of the weights.
        """


@dataclass(frozen=True)
class StepEffects:
    """The step effects of a run, grouped by hook."""

    effects: tuple[StepEffect, ...] = ()

    @cached_property
    def on_gradients(self) -> tuple[StepEffect, ...]:
        """Those that change gradients."""
        return self._with("change_gradients")

    @cached_property
    def before(self) -> tuple[StepEffect, ...]:
        """Those that act before the update."""
        return self._with("before_update")

    @cached_property
    def after(self) -> tuple[StepEffect, ...]:
        """Those that act after the update."""
        return self._with("after_update")

    @property
    def need_start(self) -> bool:
        """Whether one of them reads the initial weights."""
        return any(effect.needs_start for effect in self.effects)

    @property
    def buffers(self) -> tuple[str, ...]:
        """Names of all buffers."""
        return tuple(name for effect in self.effects for name in effect.buffers)

    @property
    def scored(self) -> str:
        """The buffer that is scored instead of the weights; empty for none."""
        return next((effect.scored for effect in self.effects if effect.scored), "")

    def _with(self, hook: str) -> tuple[StepEffect, ...]:
        plain = getattr(StepEffect, hook)
        return tuple(e for e in self.effects if getattr(type(e), hook) is not plain)
