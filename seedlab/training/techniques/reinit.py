"""Re-initialisation (Zhang et al. 2021): the top layers start from random weights."""

from __future__ import annotations

from collections.abc import Mapping

from seedlab.techniques.reinit import ReinitSpec
from seedlab.techniques.technique import check_layers
from seedlab.training.techniques.effect import Effect, LoadedModel, ParameterChanges


class ReinitEffect(Effect[ReinitSpec]):
    """The top layers, pooler and head are initialised from the init stream."""

    @property
    def by_depth(self) -> bool:
        """See `Effect`."""
        return True

    def on_parameters(self, loaded: LoadedModel) -> ParameterChanges:
        """See `Effect`."""
        layers = self.settings.layers or 0
        return ParameterChanges(fresh=reinitialised(loaded.depths, layers))


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
