"""The choice of an engine for a run, and the reason where the serial one replaces another."""

from __future__ import annotations

from transformers import PreTrainedModel

from seedlab.engines.packed.encoder.architecture import describe
from seedlab.errors import SeedlabError
from seedlab.spec.run import RunSpec


def choose(name: str, run: RunSpec, model: PreTrainedModel) -> tuple[str, str]:
    """Return the engine for a run, and the reason where serial replaces the requested one.

    Parameters
    ----------
    name : str
        ``auto`` (packed if it can compute the run), ``packed`` or ``serial``.
    run : RunSpec
    model : transformers.PreTrainedModel

    Returns
    -------
    name, reason : str
        The reason is empty if the requested engine is returned. For ``auto`` that is packed.

    Raises
    ------
    SeedlabError
        When ``packed`` is requested by name and can't stack the architecture.
    """
    if name == "serial":
        return name, ""
    reason = unpackable(run)
    if reason:
        return "serial", reason
    try:
        layers = len(describe(model).layers)
    except SeedlabError as error:
        if name == "packed":
            raise
        return "serial", str(error)
    reason = unpackable(run, layers)
    return ("serial", reason) if reason else ("packed", "")


def unpackable(run: RunSpec, layers: int | None = None) -> str:
    """Return the reason why the packed engine can't compute a recipe; empty if it can.

    Parameters
    ----------
    run : RunSpec
    layers : int, optional
        Number of the model's layers, if it is known.
    """
    recipe = run.recipe
    if recipe.head.kind != "default":
        return (
            f"the packed engine computes the architecture's own head alone, not "
            f"recipe.head.kind={recipe.head.kind}"
        )
    fresh, frozen = recipe.reinit.layers, recipe.freeze.layers
    if layers is not None and fresh is not None and frozen is not None and fresh + frozen > layers:
        return (
            f"recipe.reinit.layers={fresh} and recipe.freeze.layers={frozen} have layers in common "
            f"(the model has {layers}): they are frozen, but no two init seeds could share them"
        )
    return ""
