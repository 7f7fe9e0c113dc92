"""Settings of parameter-efficient fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from seedlab.allowed import ABOVE_0, AT_LEAST_1, Allowed, OneOf
from seedlab.techniques.technique import Documentation, Technique


@dataclass(frozen=True)
class AdapterSpec(Technique):
    """Parameter-efficient fine-tuning: biases or low-rank updates are trained, with the head."""

    section = "adapter"
    switch = "method"
    documentation = Documentation(
        "adapters",
        "`adapter.method=lora` or bitfit",
        "`adapter.rank=8`, `adapter.alpha=16`",
        "Hu et al. 2022; Ben Zaken et al. 2022",
    )
    limits: ClassVar[Mapping[str, Allowed]] = {
        "method": OneOf(("none", "bitfit", "lora")),
        "rank": AT_LEAST_1,
        "alpha": ABOVE_0,
    }
    effect = "seedlab.training.techniques.adapter:AdapterEffect"

    method: str = "none"
    """none | bitfit (biases and the head) | lora (low-rank updates of query and value, and the head)"""
    rank: int = 8
    """lora: rank of an update"""
    alpha: float = 16.0
    """lora: updates are scaled by alpha / rank"""

    def conflicts(self) -> Mapping[str, str]:
        """See `Technique`."""
        return {
            "features": "features leave the encoder as it is, and "
            f"{self.method} trains a part of it"
        }
