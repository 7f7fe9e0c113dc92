"""Settings of gradient centralisation."""

from __future__ import annotations

from dataclasses import dataclass

from seedlab.techniques.technique import Documentation, Technique


@dataclass(frozen=True)
class GradientCentralisationSpec(Technique):
    """Gradient centralisation: a weight matrix's gradient has mean 0 over the inputs."""

    section = "gradient_centralisation"
    switch = "active"
    documentation = Documentation(
        "gradient centralisation",
        "`gradient_centralisation.active=true`",
        "-",
        "Yong et al. 2020",
    )
    preset = "yong2020_centralised"
    effect = "seedlab.training.techniques.gradient_centralisation:GradientCentralisationEffect"

    active: bool = False
