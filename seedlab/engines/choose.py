"""The choice of an engine for a run, and the reason if the serial one replaces another."""

from __future__ import annotations

from transformers import PreTrainedModel

from seedlab.engines.packed.encoder.architecture import describe
from seedlab.errors import SeedlabError
from seedlab.spec.recipe import active_techniques
from seedlab.spec.run import RunSpec


def choose(name: str, run: RunSpec, model: PreTrainedModel) -> tuple[str, str]:
    """Return the engine for a run, and the reason if serial replaces the requested one.

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
    active = active_techniques(run.recipe)
    reasons = (technique.serial_only(active, layers) for technique in active.values())
    return next((reason for reason in reasons if reason), "")
