"""The effects of the techniques that a recipe switches on."""

from __future__ import annotations

from importlib import import_module

from seedlab.spec.recipe import RecipeSpec, active_techniques
from seedlab.training.techniques.effect import AnyEffect, ModelOptions


def effects_of(recipe: RecipeSpec) -> tuple[AnyEffect, ...]:
    """Return the effects of the techniques that are on, in the order of the recipe's fields."""
    found = []
    for technique in active_techniques(recipe).values():
        if technique.effect:
            module, _, name = technique.effect.partition(":")
            found.append(getattr(import_module(module), name)(technique))
    return tuple(found)


def model_options_of(recipe: RecipeSpec) -> ModelOptions:
    """Return how a recipe's model is loaded."""
    options = ModelOptions(dropout=recipe.dropout)
    for effect in effects_of(recipe):
        options = effect.model_options(options)
    return options
