"""Freezing of the embeddings and the lowest layers (Merchant et al. 2020)."""

from __future__ import annotations

from collections.abc import Mapping

from seedlab.models.depth import lowest_modules
from seedlab.techniques.freeze import FreezeSpec
from seedlab.techniques.technique import check_layers
from seedlab.training.techniques.effect import Effect, LoadedModel, ParameterChanges


class FreezeEffect(Effect[FreezeSpec]):
    """Embeddings and lowest layers are not trained, and may have no dropout."""

    @property
    def by_depth(self) -> bool:
        """See `Effect`."""
        return True

    def on_parameters(self, loaded: LoadedModel) -> ParameterChanges:
        """See `Effect`."""
        layers = self.settings.layers or 0
        return ParameterChanges(
            frozen=frozen(loaded.depths, layers),
            without_dropout=() if self.settings.dropout else lowest_modules(loaded.model, layers),
        )


def frozen(depths: Mapping[str, int], layers: int) -> tuple[str, ...]:
    """Return the parameters of the embeddings and of the lowest `layers` layers.

    Parameters
    ----------
    depths : mapping of parameter name to depth
    layers : int
        0: embeddings alone.

    Raises
    ------
    SeedlabError
        When there are fewer layers.
    """
    check_layers("recipe.freeze.layers", layers, max(depths.values()) - 1)
    return tuple(name for name, depth in depths.items() if depth <= layers)
