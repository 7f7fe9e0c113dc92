"""`ParameterPlan`: what a recipe does to each parameter of a model, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from transformers import PreTrainedModel

from seedlab.errors import SeedlabError
from seedlab.models.depth import depths, lowest_modules
from seedlab.models.heads import HeadChoice
from seedlab.models.lora import LoraOptions
from seedlab.spec.recipe import RecipeSpec
from seedlab.spec.run import RunSpec
from seedlab.training.learning_rates import learning_rates
from seedlab.training.step_plan import StepPlan
from seedlab.training.techniques.parameter_selection import (
    frozen,
    frozen_by_bitfit,
    frozen_by_lora,
    reinitialised,
)


@dataclass(frozen=True)
class ParameterPlan:
    """What a run's recipe does to each parameter.

    Parameters
    ----------
    depths : mapping of name to int
        See `seedlab.models.depth.depths`; empty where nothing asks for depths.
    fresh : tuple of str
        Re-initialised from the init stream, besides the parameters that are new anyway.
    frozen : frozenset of str
        Neither updated nor decayed, and without gradient.
    anchored : frozenset of str
        Subject to pre-trained weight decay where weight decay applies.
    rates : (step, depth) array of float64
        Learning rates; one column if all parameters share them.
    quiet : tuple of str
        Modules without dropout in training.
    """

    depths: Mapping[str, int]
    fresh: tuple[str, ...]
    frozen: frozenset[str]
    anchored: frozenset[str]
    rates: npt.NDArray[np.float64]
    quiet: tuple[str, ...] = ()

    @property
    def n_depths(self) -> int:
        """Number of depths: embeddings, layers, and head with pooler."""
        return max(self.depths.values(), default=-1) + 1

    def column(self, name: str) -> int:
        """Return the column of `rates` that holds for a parameter."""
        return self.depths[name] if self.rates.shape[1] > 1 else 0


def plan_parameters(
    run: RunSpec, plan: StepPlan, model: PreTrainedModel, new: Sequence[str]
) -> ParameterPlan:
    """Return what a run's recipe does to the parameters of a model.

    Parameters
    ----------
    run : RunSpec
    plan : StepPlan
    model : transformers.PreTrainedModel
    new : sequence of str
        Parameters that no checkpoint provides.

    Raises
    ------
    SeedlabError
        When the recipe asks for layers that the model does not have, or can't tell.
    """
    recipe, watched = run.recipe, run.diagnostics
    by_depth = (
        recipe.layer_rates.scheme != "none"
        or recipe.reinit.layers is not None
        or recipe.freeze.layers is not None
        or watched.gradient_norms is not None
        or watched.distances
        or (recipe.prior_decay.strength > 0.0 and not recipe.prior_decay.anchor_head)
    )
    names = [name for name, _ in model.named_parameters()]
    where = depths(model) if by_depth else {}
    head = max(where.values(), default=0)
    still: tuple[str, ...] = ()
    quiet: tuple[str, ...] = ()
    if recipe.freeze.layers is not None:
        still = frozen(where, recipe.freeze.layers)
        if not recipe.freeze.dropout:
            quiet = lowest_modules(model, recipe.freeze.layers)
    if recipe.adapter.method == "bitfit":
        still = (*still, *frozen_by_bitfit(names, new))
    if recipe.adapter.method == "lora":
        still = (*still, *frozen_by_lora(names, new))
    if recipe.features.active:
        still, quiet = _encoder(model, names, new), (model.base_model_prefix,)
    anchored = ()
    if recipe.prior_decay.strength > 0.0:
        all_of_it = recipe.prior_decay.anchor_head
        anchored = tuple(name for name in names if all_of_it or where[name] < head)
    return ParameterPlan(
        depths=where,
        fresh=() if recipe.reinit.layers is None else reinitialised(where, recipe.reinit.layers),
        frozen=frozenset(still),
        anchored=frozenset(anchored),
        rates=learning_rates(recipe, plan, head - 1),
        quiet=quiet,
    )


def _encoder(model: PreTrainedModel, names: Sequence[str], new: Sequence[str]) -> tuple[str, ...]:
    """Return the encoder's parameters, refusing a pooler that would stay random."""
    inside = tuple(name for name in names if name.startswith(f"{model.base_model_prefix}."))
    if random := sorted(set(inside) & set(new)):
        raise SeedlabError(
            f"recipe.features.active=true leaves the encoder as it is, and the checkpoint has no "
            f"{random[0]} for it, which would stay random; read the encoder without it, for "
            "example with recipe.head.kind=token0 or concat."
        )
    return inside


class ModelOptions(NamedTuple):
    """Arguments of `seedlab.models.pretrained.load_weights` that come from the recipe.

    Parameters
    ----------
    dropout : float or None
        Probability for every site; None: the model's own.
    head : HeadChoice or None
        None: the architecture's own.
    low_rank : LoraOptions or None
    """

    dropout: float | None = None
    head: HeadChoice | None = None
    low_rank: LoraOptions | None = None


def model_options_of(recipe: RecipeSpec) -> ModelOptions:
    """Return what a recipe changes in the model itself."""
    head, adapter, mixout = recipe.head, recipe.adapter, recipe.mixout
    replaced = mixout.p > 0.0 and not mixout.keep_dropout
    return ModelOptions(
        0.0 if replaced else recipe.dropout,
        None if head.kind == "default" else HeadChoice(head.kind, head.layers, head.layer),
        LoraOptions(adapter.rank, adapter.alpha) if adapter.method == "lora" else None,
    )
