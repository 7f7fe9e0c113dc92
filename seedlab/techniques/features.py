"""Settings of feature-based use."""

from __future__ import annotations

from dataclasses import dataclass

from seedlab.techniques.technique import Documentation, Technique


@dataclass(frozen=True)
class FeaturesSpec(Technique):
    """Feature-based use: the encoder stays as it is and a head is trained on its outputs."""

    section = "features"
    switch = "active"
    documentation = Documentation(
        "features",
        "`features.active=true`",
        "a head of several layers: `head.kind=concat`",
        "Devlin 2019; Peters 2019",
    )
    preset = "devlin2019_features"
    effect = "seedlab.training.techniques.features:FeaturesEffect"

    active: bool = False
    """true: the encoder is not trained, and a head is trained on its outputs"""
