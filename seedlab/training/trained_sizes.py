"""How many numbers a recipe trains at every depth of a model."""

from __future__ import annotations

from seedlab.errors import SeedlabError
from seedlab.models.depth import depths
from seedlab.models.pretrained import Weights
from seedlab.spec.run import RunSpec
from seedlab.training.parameter_plan import plan_parameters
from seedlab.training.step_plan import StepPlan


def trained_sizes(run: RunSpec, plan: StepPlan, weights: Weights) -> tuple[int, ...]:
    """Return the trained numbers per depth: embeddings, layers from the bottom, head and pooler.

    Parameters
    ----------
    run : RunSpec
    plan : StepPlan
    weights : Weights
        Loaded for the run's recipe.

    Returns
    -------
    tuple of int
        0 where a depth is frozen. Empty for an architecture without known depths.
    """
    model = weights.model
    try:
        depth_of = depths(model)
    except SeedlabError:
        return ()
    frozen = plan_parameters(run, plan, model, weights.new).frozen
    sizes = [0] * (1 + max(depth_of.values()))
    for name, parameter in model.named_parameters():
        if name not in frozen:
            sizes[depth_of[name]] += parameter.numel()
    return tuple(sizes)
