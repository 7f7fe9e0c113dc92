"""What a stack holds for each of its runs: options, rules of the optimiser, initial weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch

from seedlab.engines.packed.encoder.adam import AdamOptions
from seedlab.engines.packed.encoder.context import NamedTensors
from seedlab.engines.packed.encoder.encoder import StackedEncoder
from seedlab.engines.packed.encoder.flat_layout import FlatLayout
from seedlab.engines.packed.encoder.parametrizations import Parametrization
from seedlab.engines.packed.thread_pool import drop_single_run_axis
from seedlab.spec.run import RunSpec
from seedlab.training.recipe_effects import ParameterPlan


@dataclass(frozen=True)
class StackOptions:
    """What the stacks of a column have in common.

    Parameters
    ----------
    encoder : StackedEncoder
    layout : FlatLayout
    root_loss : bool
        Regression on the root of the mean squared error.
    averaging_start : int or None
        See `seedlab.training.step_plan.StepPlan`.
    frozen : mapping of name to tensor
        Parameters that are not trained; all runs read the same memory.
    effective : Parametrization or None
        Weights that are computed with in the place of others.
    beyond : float
        Sum of squares of the embedding rows that are trained but out of the task's reach.
    low : torch.dtype or None
        In which matrix products read their weights, where that is lower than the weights' own:
        they have copies then, which are made once per update.
    """

    encoder: StackedEncoder
    layout: FlatLayout
    root_loss: bool = False
    averaging_start: int | None = None
    frozen: NamedTensors = field(default_factory=dict)
    parametrization: Parametrization | None = None
    beyond: float = 0.0
    low: torch.dtype | None = None

    def parameters(
        self, flat: torch.Tensor, low: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        """Return all parameters by name.

        Parameters
        ----------
        flat : (run, size) tensor
            Of those that are trained.
        low : (run, size) tensor, optional
            Their copies in lower precision; linear maps have their weights from it.
        """
        runs = flat.shape[0]
        frozen = self.frozen
        if runs > 1:
            frozen = {name: tensor.expand(runs, *tensor.shape) for name, tensor in frozen.items()}
        low = None if low is None else drop_single_run_axis(low)
        return {**frozen, **self.layout.views(drop_single_run_axis(flat), low)}


@dataclass(frozen=True)
class RunOptions:
    """What is a run's own in a stack.

    Parameters
    ----------
    rule : AdamOptions
    treatment : ParameterPlan
    prior_decay : float
        Strength of the pull towards where the run started.
    """

    rule: AdamOptions
    parameter_plan: ParameterPlan
    prior_decay: float = 0.0


def run_options_of(run: RunSpec, parameter_plan: ParameterPlan) -> RunOptions:
    """Return what is a run's own."""
    optimizer, clip = run.recipe.optimizer, run.recipe.clip
    rule = AdamOptions(
        optimizer.beta1,
        optimizer.beta2,
        optimizer.eps,
        optimizer.weight_decay,
        optimizer.bias_correction,
        clip.mode,
        clip.norm,
    )
    return RunOptions(rule, parameter_plan, run.recipe.prior_decay.strength)


class InitialWeights:
    """What is pre-trained is held once for a column, what is new once per run.

    Parameters
    ----------
    shared : mapping of name to tensor
        Pre-trained values of the parameters that are trained.
    own : mapping of name to (run, ...) tensor
        Values of those that at least one run initialised anew.
    """

    def __init__(self, shared: NamedTensors, own: Mapping[str, torch.Tensor]) -> None:
        self.shared, self.own = shared, dict(own)

    def of(self, name: str, run: int) -> torch.Tensor:
        """Return where a run's parameter started."""
        return self.own[name][run] if name in self.own else self.shared[name]

    def stacked(self) -> NamedTensors:
        """Return where the runs started, with a run axis where they differ and are several."""
        own = {name: drop_single_run_axis(tensor) for name, tensor in self.own.items()}
        return {**self.shared, **own}

    def keep(self, runs: Sequence[int]) -> None:
        """Keep these runs alone."""
        self.own = {name: tensor[list(runs)] for name, tensor in self.own.items()}
