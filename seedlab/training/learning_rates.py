"""Learning rates of a run: one for every update and every depth of the model."""

from __future__ import annotations

import numpy as np

from seedlab.spec.recipe import RecipeSpec
from seedlab.training.effects import effects_of
from seedlab.training.step_plan import StepPlan
from seedlab.training.techniques.effect import Floats


def learning_rates(recipe: RecipeSpec, plan: StepPlan, n_layers: int) -> Floats:
    """Return the learning rate of every update and depth.

    Parameters
    ----------
    recipe : RecipeSpec
    plan : StepPlan
    n_layers : int
        Layers of the encoder; not used if all depths have one rate.

    Returns
    -------
    (step, depth) array of float64
        Depths are those of `seedlab.models.depth.depths`; a single one if the recipe gives
        all parameters the same rate.
    """
    effects, peak = effects_of(recipe), recipe.optimizer.learning_rate
    peaks = np.array([peak])
    for effect in effects:
        peaks = effect.peak_rates(peaks, n_layers)
    rates: Floats = np.outer(plan.multipliers, peaks)
    for effect in effects:
        rates = effect.rates(rates, peaks / peak, plan.averaging_start)
    return rates
