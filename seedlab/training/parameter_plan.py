"""`ParameterPlan`: the effects of a recipe on each parameter of a model, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from transformers import PreTrainedModel

from seedlab.models.depth import depths
from seedlab.randomness.streams import philox_key
from seedlab.spec.run import RunSpec
from seedlab.training.effects import effects_of
from seedlab.training.learning_rates import learning_rates
from seedlab.training.step_plan import StepPlan
from seedlab.training.techniques.effect import Floats, LoadedModel
from seedlab.training.techniques.step_effect import StepEffects


@dataclass(frozen=True)
class ParameterPlan:
    """The effects of a run's recipe on each parameter, and on every step.

    Parameters
    ----------
    depths : mapping of name to int
        See `seedlab.models.depth.depths`; empty if neither recipe nor diagnostics need depths.
    fresh : tuple of str
        Re-initialised from the init stream, besides the parameters that are new anyway.
    frozen : frozenset of str
        Neither updated nor decayed, and without gradient.
    rates : (step, depth) array of float64
        Learning rates; one column if all parameters share them.
    without_dropout : tuple of str
        Names of modules that have no dropout in training.
    steps : StepEffects
    """

    depths: Mapping[str, int]
    fresh: tuple[str, ...]
    frozen: frozenset[str]
    rates: Floats
    without_dropout: tuple[str, ...] = ()
    steps: StepEffects = field(default_factory=StepEffects)

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
    """Return the effects of a run's recipe on the parameters of a model.

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
        When the model does not have the layers that the recipe asks for, or has no single list of
        layers.
    """
    effects, diagnostics = effects_of(run.recipe), run.diagnostics
    by_depth = diagnostics.gradient_norms is not None or diagnostics.distances
    depth_of = depths(model) if by_depth or any(effect.by_depth for effect in effects) else {}
    names = tuple(name for name, _ in model.named_parameters())
    loaded = LoadedModel(model, names, new, depth_of)
    changes = [effect.on_parameters(loaded) for effect in effects]
    steps = [effect.on_steps(loaded, plan.averaging_start) for effect in effects]
    return ParameterPlan(
        depths=depth_of,
        fresh=tuple(name for change in changes for name in change.fresh),
        frozen=frozenset(name for change in changes for name in change.frozen),
        rates=learning_rates(run.recipe, plan, max(depth_of.values(), default=0) - 1),
        without_dropout=tuple(m for change in changes for m in change.without_dropout),
        steps=StepEffects(tuple(step for step in steps if step is not None)),
    )


def stream_key(run: RunSpec, stream: str) -> tuple[int, int]:
    """Return a run's key of one of its streams of random numbers."""
    return philox_key(stream, getattr(run.seeds.resolved(), stream))
