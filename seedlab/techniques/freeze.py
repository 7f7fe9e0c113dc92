"""Settings of freezing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from seedlab.allowed import AT_LEAST_0, Allowed
from seedlab.techniques.technique import Documentation, Technique, check_layers


@dataclass(frozen=True)
class FreezeSpec(Technique):
    """Freezing of the embeddings and the lowest layers."""

    section = "freeze"
    switch = "layers"
    documentation = Documentation(
        "freezing",
        "`freeze.layers=8` (0: embeddings alone)",
        "`freeze.dropout=true`",
        "Merchant et al. 2020",
    )
    preset = "merchant2020_freeze8"
    limits: ClassVar[Mapping[str, Allowed]] = {"layers": AT_LEAST_0}
    effect = "seedlab.training.techniques.freeze:FreezeEffect"

    layers: int | None = None
    """how many of the lowest layers, besides the embeddings; 0: embeddings alone; null: off"""
    dropout: bool = True
    """false: no dropout in the frozen part"""

    def check_model(self, n_layers: int) -> None:
        """See `Technique`."""
        if self.layers is not None:
            check_layers("recipe.freeze.layers", self.layers, n_layers)
