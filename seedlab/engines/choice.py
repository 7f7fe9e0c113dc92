"""Which engine trains a run, and why it is not the one that was asked for."""

from __future__ import annotations

from transformers import PreTrainedModel

from seedlab.errors import SeedlabError
from seedlab.models.family import describe
from seedlab.spec import RunSpec


def choose(name: str, run: RunSpec, model: PreTrainedModel) -> tuple[str, str]:
    """Return the engine for a run, and the reason where it is serial in another's place.

    Parameters
    ----------
    name : str
        ``auto`` (packed where it can be), ``packed`` or ``serial``.
    run : RunSpec
    model : transformers.PreTrainedModel

    Returns
    -------
    name, reason : str
        The reason is empty where the engine is the one that was asked for.

    Raises
    ------
    SeedlabError
        When ``packed`` is asked for by name and can't stack the architecture.
    """
    if name == "serial":
        return name, ""
    try:
        describe(model)
    except SeedlabError as error:
        if name == "packed":
            raise
        return "serial", str(error)
    reason = unpackable(run)
    return ("serial", reason) if reason else ("packed", "")


def unpackable(run: RunSpec) -> str:
    """Return why a recipe's techniques can't be packed; empty if they can."""
    recipe = run.recipe
    techniques = {
        f"recipe.head.kind={recipe.head.kind}": recipe.head.kind != "default",
        "recipe.features": recipe.features.active,
        f"recipe.adapter.method={recipe.adapter.method}": recipe.adapter.method != "none",
        "recipe.mixout": recipe.mixout.p > 0.0,
        "recipe.freeze": recipe.freeze.layers is not None,
    }
    found = [name for name, active in techniques.items() if active]
    return f"the packed engine does not compute {', '.join(found)}" if found else ""
