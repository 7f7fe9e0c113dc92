"""Settings of weight averaging."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from seedlab.allowed import AT_LEAST_0, Allowed, Range
from seedlab.errors import SeedlabError
from seedlab.techniques.technique import Documentation, Technique


@dataclass(frozen=True)
class AveragingSpec(Technique):
    """Stochastic weight averaging: the average of the weights after every step is evaluated."""

    section = "averaging"
    switch = "start_epoch"
    documentation = Documentation(
        "weight averaging",
        "`averaging.start_epoch=3`",
        "`averaging.learning_rate=2e-6`, `anneal_steps=10`, `per_group=true`",
        "Izmailov et al. 2018",
    )
    preset = "chang2021_swa"
    limits: ClassVar[Mapping[str, Allowed]] = {
        "start_epoch": Range(0, note=", or null"),
        "learning_rate": Range(0, above=True, note=", for example 2e-6"),
        "anneal_steps": AT_LEAST_0,
    }
    effect = "seedlab.training.techniques.averaging:AveragingEffect"
    per_run = True
    changes_rates = True
    vectors = 1

    start_epoch: float | None = None
    """averaging begins after so many epochs; null: off"""
    learning_rate: float = 2e-6
    """constant rate from then on"""
    anneal_steps: int = 10
    """steps over which the rate moves there, along a cosine"""
    per_group: bool = True
    """true: layer-wise factors apply to the constant rate; false: one rate for all, as published"""

    def averaging_start(self, steps_per_epoch: int, total_steps: int) -> int | None:
        """See `Technique`."""
        if self.start_epoch is None:
            return None
        start = math.ceil(self.start_epoch * steps_per_epoch)
        if start >= total_steps:
            raise SeedlabError(
                f"recipe.averaging.start_epoch={self.start_epoch:g} is not reached: the run has "
                f"{total_steps} steps, which are {total_steps / steps_per_epoch:g} epochs; it must be "
                "below that."
            )
        return start
