"""Feature-based use: the encoder stays as it is (Devlin et al. 2019; Peters et al. 2019)."""

from __future__ import annotations

from seedlab.errors import SeedlabError
from seedlab.techniques.features import FeaturesSpec
from seedlab.training.techniques.effect import Effect, LoadedModel, ParameterChanges


class FeaturesEffect(Effect[FeaturesSpec]):
    """The encoder is not trained and has no dropout."""

    def on_parameters(self, loaded: LoadedModel) -> ParameterChanges:
        """See `Effect`. A pooler that would stay random is refused."""
        base = loaded.model.base_model_prefix
        inside = tuple(name for name in loaded.names if name.startswith(f"{base}."))
        if random := sorted(set(inside) & set(loaded.new)):
            raise SeedlabError(
                f"recipe.features.active=true leaves the encoder as it is, and the checkpoint has no "
                f"{random[0]} for it, which would stay random; read the encoder without it, for "
                "example with recipe.head.kind=token0 or concat."
            )
        return ParameterChanges(frozen=inside, without_dropout=(base,))
