"""Settings of pre-trained weight decay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from seedlab.allowed import AT_LEAST_0, Allowed
from seedlab.techniques.technique import Documentation, Technique


@dataclass(frozen=True)
class PriorDecaySpec(Technique):
    """Weight decay towards the pre-trained weights instead of towards 0."""

    section = "prior_decay"
    switch = "strength"
    documentation = Documentation(
        "decay towards the start",
        "`prior_decay.strength=1e-3`",
        "`prior_decay.anchor_head=false`; decay towards 0 acts as well: Zhang's recipe has "
        "`optimizer.weight_decay=0`",
        "Zhang 2021",
    )
    preset = "zhang2021_prior_wd"
    limits: ClassVar[Mapping[str, Allowed]] = {"strength": AT_LEAST_0}
    effect = "seedlab.training.techniques.prior_decay:PriorDecayEffect"
    per_run = True

    strength: float = 0.0
    """decoupled, times the learning rate; 0: off"""
    anchor_head: bool = False
    """true: pull head and pooler towards their start as well (as the released code does)"""

    def conflicts(self) -> Mapping[str, str]:
        """See `Technique`."""
        return {
            "features": "the encoder stays at its pre-trained weights anyway",
            "adapter=lora": "the pre-trained weights are not trained, and weight decay pulls "
            "low-rank updates to 0, which is the pre-trained weights, as it is",
            "adapter=bitfit": "biases alone are trained, and they are exempt from any decay",
        }
