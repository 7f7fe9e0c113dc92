"""Settings of learning rates by depth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from seedlab.allowed import Allowed, OneOf, Range
from seedlab.errors import SeedlabError
from seedlab.techniques.technique import Documentation, OtherSettings, Technique


@dataclass(frozen=True)
class LayerRatesSpec(Technique):
    """Learning rates by depth: lower layers learn more slowly."""

    section = "layer_rates"
    switch = "scheme"
    documentation = Documentation(
        "rates by depth",
        "`layer_rates.scheme=zhang`, chang, sun, grouped",
        "`layer_rates.decay=0.95`, `head_learning_rate=null`, `multipliers=[1,1.75,3.5,3.6]`",
        "Zhang, Chang 2021, Sun 2019",
    )
    preset = "zhang2021_llrd"
    limits: ClassVar[Mapping[str, Allowed]] = {
        "scheme": OneOf(("none", "zhang", "chang", "sun", "grouped")),
        "decay": Range(0, 1, above=True),
        "head_learning_rate": Range(0, above=True, note=", or null"),
    }
    effect = "seedlab.training.techniques.layer_rates:LayerRatesEffect"
    per_run = True
    changes_rates = True

    scheme: str = "none"
    """none | zhang | chang | sun (layer-wise decay, numbered as in that paper) | grouped"""
    decay: float = 0.95
    """factor from one layer to the one below it"""
    head_learning_rate: float | None = None
    """chang, grouped: rate of head and pooler; None: the peak rate (chang), the last multiplier
    (grouped)"""
    multipliers: tuple[float, ...] = (1.0, 1.75, 3.5, 3.6)
    """grouped: of the peak rate, for the lowest third of the layers with the embeddings, the
    middle third, the top third, and head and pooler"""

    def conflicts(self) -> Mapping[str, str]:
        """See `Technique`."""
        return {"features": "no layer of the encoder is trained, at any rate"}

    def check(self, recipe: OtherSettings) -> None:
        """See `Technique`. Multipliers are checked even if the scheme does not use them."""
        if len(self.multipliers) != 4 or not all(0.0 < m < float("inf") for m in self.multipliers):
            raise SeedlabError(
                f"recipe.layer_rates.multipliers={list(self.multipliers)} must be four numbers above "
                "0: for the lowest third of the layers, the middle third, the top third, and head "
                "and pooler, for example [1,1.75,3.5,3.6]."
            )
        if self.head_learning_rate is not None and self.scheme in ("zhang", "sun"):
            raise SeedlabError(
                f"recipe.layer_rates.head_learning_rate={self.head_learning_rate} has no effect: the "
                f"scheme '{self.scheme}' trains the head at the peak rate; leave it out, or use "
                "recipe.layer_rates.scheme=chang or grouped."
            )
