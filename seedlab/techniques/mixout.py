"""Settings of mixout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from seedlab.allowed import SHARE, Allowed, OneOf
from seedlab.errors import SeedlabError
from seedlab.techniques.technique import Documentation, OtherSettings, Technique

_NOT_TRAINED = "the encoder's weights are not trained, so that mixout has nothing to set back"


@dataclass(frozen=True)
class MixoutSpec(Technique):
    """Mixout: weights fall back to their pre-trained values at random, in expectation unbiased."""

    section = "mixout"
    switch = "p"
    documentation = Documentation(
        "mixout",
        "`mixout.p=0.1`",
        "`mixout.granularity=column` or element, `mixout.keep_dropout=false`",
        "Lee et al. 2020",
    )
    preset = "zhang2021_mixout"
    limits: ClassVar[Mapping[str, Allowed]] = {
        "p": SHARE,
        "granularity": OneOf(("column", "element")),
    }
    effect = "seedlab.training.techniques.mixout:MixoutEffect"

    p: float = 0.0
    """probability of falling back, in [0, 1]; 0: off"""
    granularity: str = "column"
    """column (one draw per input feature of a linear map, as released) | element"""
    keep_dropout: bool = False
    """false: mixout replaces all dropout, as released"""

    def conflicts(self) -> Mapping[str, str]:
        """See `Technique`."""
        return {"features": _NOT_TRAINED, "adapter": _NOT_TRAINED}

    def check(self, recipe: OtherSettings) -> None:
        """See `Technique`: mixout would silently replace a dropout that the recipe sets."""
        if not self.is_on or self.keep_dropout:
            return
        idle = None
        if recipe.dropout:
            idle = f"recipe.dropout={recipe.dropout}"
        elif recipe.dropout_active != "always":
            idle = f"recipe.dropout_active={recipe.dropout_active}"
        if idle:
            raise SeedlabError(
                f"{idle} has no effect: mixout (recipe.mixout.p={self.p}) replaces all dropout, as "
                "released; leave it out, or keep dropout with recipe.mixout.keep_dropout=true."
            )
