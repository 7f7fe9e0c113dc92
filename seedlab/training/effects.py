"""The effects of a recipe's techniques, found by what the settings say."""

from __future__ import annotations

from importlib import import_module

from seedlab.spec.recipe import RecipeSpec, active_techniques
from seedlab.training.techniques.effect import AnyEffect


def effects_of(recipe: RecipeSpec) -> tuple[AnyEffect, ...]:
    """Return the effects of the techniques that are on, in the order of the recipe's fields."""
    found = []
    for technique in active_techniques(recipe).values():
        if technique.effect:
            module, _, name = technique.effect.partition(":")
            found.append(getattr(import_module(module), name)(technique))
    return tuple(found)
