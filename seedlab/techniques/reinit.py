"""Settings of re-initialisation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from seedlab.allowed import AT_LEAST_0, Allowed
from seedlab.techniques.freeze import FreezeSpec
from seedlab.techniques.technique import Documentation, Technique, check_layers

_STAY_RANDOM = "re-initialised layers would not be trained and stay random"


@dataclass(frozen=True)
class ReinitSpec(Technique):
    """Re-initialisation of the pooler and the top layers from the init stream."""

    section = "reinit"
    switch = "layers"
    documentation = Documentation(
        "re-initialisation", "`reinit.layers=5` (0: the pooler alone)", "-", "Zhang 2021"
    )
    preset = "zhang2021_reinit"
    limits: ClassVar[Mapping[str, Allowed]] = {"layers": AT_LEAST_0}
    effect = "seedlab.training.techniques.reinit:ReinitEffect"
    per_run = True

    layers: int | None = None
    """how many of the top layers; 0: the pooler alone; null: off"""

    def conflicts(self) -> Mapping[str, str]:
        """See `Technique`."""
        return {"features": _STAY_RANDOM, "adapter": _STAY_RANDOM}

    def check_model(self, n_layers: int) -> None:
        """See `Technique`."""
        if self.layers is not None:
            check_layers("recipe.reinit.layers", self.layers, n_layers)

    def serial_only(self, others: Mapping[str, Technique], n_layers: int | None) -> str:
        """See `Technique`. All runs share frozen layers, and re-initialised layers differ."""
        freeze = others.get("freeze")
        frozen = freeze.layers if isinstance(freeze, FreezeSpec) else None
        fresh = self.layers
        if n_layers is None or fresh is None or frozen is None or fresh + frozen <= n_layers:
            return ""
        return (
            f"recipe.reinit.layers={fresh} and recipe.freeze.layers={frozen} have layers in common "
            f"(the model has {n_layers}): they are frozen, but no two init seeds could share them"
        )
