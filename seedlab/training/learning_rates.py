"""Learning rates of a run: one for every update and every depth of the model."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from seedlab.spec.recipe import RecipeSpec
from seedlab.training.step_plan import StepPlan
from seedlab.training.techniques.layer_rates import peak_rates
from seedlab.training.techniques.weight_averaging import annealed


def learning_rates(recipe: RecipeSpec, plan: StepPlan, n_layers: int) -> npt.NDArray[np.float64]:
    """Return the learning rate of every update and depth.

    Parameters
    ----------
    recipe : RecipeSpec
    plan : StepPlan
    n_layers : int
        Of the encoder; not looked at where all depths have one rate.

    Returns
    -------
    (step, depth) array of float64
        Depths are those of `seedlab.models.depth.depths`; a single one where the recipe gives
        all parameters the same rate.
    """
    peaks = peaks_of(recipe, n_layers)
    rates = np.outer(plan.multipliers, peaks)
    if plan.averaging_start is not None:
        averaging, start = recipe.averaging, plan.averaging_start
        factors = peaks / recipe.optimizer.learning_rate if averaging.per_group else 1.0
        targets = np.broadcast_to(averaging.learning_rate * factors, peaks.shape)
        first = rates[start].copy()
        for step in range(start, plan.total_steps):
            for depth, target in enumerate(targets):
                rates[step, depth] = annealed(
                    first[depth], target, step - start, averaging.anneal_steps
                )
    return rates


def peaks_of(recipe: RecipeSpec, n_layers: int) -> npt.NDArray[np.float64]:
    """Return the peak learning rate of every depth; one number where they are all the same."""
    layers, peak = recipe.layer_rates, recipe.optimizer.learning_rate
    if layers.scheme == "none":
        return np.array([peak])
    return np.array(
        peak_rates(
            layers.scheme,
            n_layers,
            peak,
            decay=layers.decay,
            head_learning_rate=layers.head_learning_rate,
            multipliers=layers.multipliers,
        )
    )
