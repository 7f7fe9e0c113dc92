"""`Structure`: what a recipe changes in the model itself, when it is loaded."""

from __future__ import annotations

from typing import NamedTuple

from seedlab.recipe_spec import RecipeSpec
from seedlab.recipes.heads import HeadChoice
from seedlab.recipes.lora import LowRank


class Structure(NamedTuple):
    """Arguments of `seedlab.models.weights.load_weights` that come from the recipe.

    Parameters
    ----------
    dropout : float or None
        Probability for every site; None: the model's own.
    head : HeadChoice or None
        None: the architecture's own.
    low_rank : LowRank or None
    """

    dropout: float | None = None
    head: HeadChoice | None = None
    low_rank: LowRank | None = None


def structure_of(recipe: RecipeSpec) -> Structure:
    """Return what a recipe changes in the model itself."""
    head, adapter, mixout = recipe.head, recipe.adapter, recipe.mixout
    replaced = mixout.p > 0.0 and not mixout.keep_dropout
    return Structure(
        0.0 if replaced else recipe.dropout,
        None if head.kind == "default" else HeadChoice(head.kind, head.layers, head.layer),
        LowRank(adapter.rank, adapter.alpha) if adapter.method == "lora" else None,
    )
