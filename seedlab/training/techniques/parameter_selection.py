"""Which parameters a technique is about: frozen, re-initialised, anchored ones, by name."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from seedlab.errors import SeedlabError


def reinitialised(depths: Mapping[str, int], layers: int) -> tuple[str, ...]:
    """Return the parameters of the top `layers` layers, the pooler and the head.

    Parameters
    ----------
    depths : mapping of parameter name to depth
        See `seedlab.models.depth.depths`.
    layers : int
        0: pooler and head alone.

    Raises
    ------
    SeedlabError
        When there are fewer layers.
    """
    check_layers("recipe.reinit.layers", layers, max(depths.values()) - 1)
    lowest = max(depths.values()) - layers
    return tuple(name for name, depth in depths.items() if depth >= lowest)


def frozen(depths: Mapping[str, int], layers: int) -> tuple[str, ...]:
    """Return the parameters of the embeddings and of the lowest `layers` layers.

    Raises
    ------
    SeedlabError
        When there are fewer layers.
    """
    check_layers("recipe.freeze.layers", layers, max(depths.values()) - 1)
    return tuple(name for name, depth in depths.items() if depth <= layers)


def frozen_by_bitfit(names: Iterable[str], new: Collection[str]) -> tuple[str, ...]:
    """Return all but biases and new parameters (BitFit: Ben Zaken et al. 2022)."""
    return tuple(name for name in names if name not in new and not name.endswith("bias"))


def frozen_by_lora(names: Iterable[str], new: Collection[str]) -> tuple[str, ...]:
    """Return all but low-rank updates and new parameters."""
    return tuple(
        name
        for name in names
        if name not in new and ".lora_A." not in name and ".lora_B." not in name
    )


def check_layers(key: str, layers: int, there: int) -> None:
    """Refuse a number of layers that the model does not have.

    Parameters
    ----------
    key : str
        What the number is called in the configuration.
    layers, there : int
        Asked for, and of the model.

    Raises
    ------
    SeedlabError
    """
    if layers > there:
        raise SeedlabError(
            f"{key}={layers} is more than the {there} layers of the model; it must be between 0 "
            f"and {there}."
        )
