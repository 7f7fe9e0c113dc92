"""What the stacks of a column have in common, and what is a run's own."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from seedlab.engines.scratch import plain
from seedlab.models.flat import FlatLayout
from seedlab.models.stacked import StackedEncoder
from seedlab.models.stacked_effective import Effective
from seedlab.models.stacked_pass import Named
from seedlab.spec import RunSpec
from seedlab.train.stacked_optim import Rule
from seedlab.train.treatment import Treatment


@dataclass(frozen=True)
class Setting:
    """What the stacks of a column have in common.

    Parameters
    ----------
    encoder : StackedEncoder
    layout : FlatLayout
    root_loss : bool
        Regression on the root of the mean squared error.
    averaging_start : int or None
        See `seedlab.train.plan.Plan`.
    frozen : mapping of name to tensor
        Parameters that are not trained; all runs read the same memory.
    effective : Effective or None
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
    frozen: Named = field(default_factory=dict)
    effective: Effective | None = None
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
        low = None if low is None else plain(low)
        return {**frozen, **self.layout.views(plain(flat), low)}


@dataclass(frozen=True)
class Member:
    """What is a run's own in a stack.

    Parameters
    ----------
    rule : Rule
    treatment : Treatment
    prior_decay : float
        Strength of the pull towards where the run started.
    """

    rule: Rule
    treatment: Treatment
    prior_decay: float = 0.0


def member_of(run: RunSpec, treatment: Treatment) -> Member:
    """Return what is a run's own."""
    optimizer, clip = run.recipe.optimizer, run.recipe.clip
    rule = Rule(
        optimizer.beta1,
        optimizer.beta2,
        optimizer.eps,
        optimizer.weight_decay,
        optimizer.bias_correction,
        clip.mode,
        clip.norm,
    )
    return Member(rule, treatment, run.recipe.prior_decay.strength)
