"""Settings of heads over several hidden states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from seedlab.allowed import AT_LEAST_1, Allowed, OneOf
from seedlab.errors import SeedlabError
from seedlab.techniques.technique import Documentation, Technique

CNN_KERNEL = 3
"""Neighbouring layers that the kernel of the head ``cnn`` spans."""


@dataclass(frozen=True)
class HeadSpec(Technique):
    """A classifier head that reads chosen hidden states of the encoder."""

    section = "head"
    switch = "kind"
    documentation = Documentation(
        "head",
        "`head.kind=` token0, concat, mean, max, scalar_mix, attention, cnn",
        "`head.layers=4`, `head.layer=-1`",
        "Chang 2021, Sun 2019",
    )
    preset = "devlin2019_features"
    limits: ClassVar[Mapping[str, Allowed]] = {
        "kind": OneOf(
            ("default", "token0", "concat", "mean", "max", "scalar_mix", "attention", "cnn")
        ),
        "layers": AT_LEAST_1,
    }
    effect = "seedlab.training.techniques.head:HeadEffect"

    kind: str = "default"
    """default (the architecture's own) | token0 | concat | mean | max | scalar_mix | attention | cnn"""
    layers: int = 4
    """concat, mean, max, scalar_mix, cnn: over so many of the top layers' first tokens"""
    layer: int = -1
    """token0, attention: which hidden state; -1 is the last, 0 the embeddings"""

    def check_model(self, n_layers: int) -> None:
        """See `Technique`."""
        if self.is_on:
            hidden_states(self.kind, self.layers, self.layer, n_layers)

    def serial_only(self, others: Mapping[str, Technique], n_layers: int | None) -> str:
        """See `Technique`."""
        return (
            "the packed engine computes the architecture's own head alone, not "
            f"recipe.head.kind={self.kind}"
        )


def hidden_states(kind: str, layers: int, layer: int, n_layers: int) -> tuple[int, ...]:
    """Return the numbers of the hidden states that a head reads.

    Parameters
    ----------
    kind, layers, layer
        See `HeadSpec`.
    n_layers : int
        Layers of the model.

    Raises
    ------
    SeedlabError
        When the model does not have them.
    """
    if kind in ("token0", "attention"):
        if not -n_layers - 1 <= layer <= n_layers:
            raise SeedlabError(
                f"recipe.head.layer={layer} is not there: the model has {n_layers} layers, "
                f"whose hidden states are 0 (the embeddings) to {n_layers}, or counted from the "
                f"last -1 to {-n_layers - 1}."
            )
        return (layer % (n_layers + 1),)
    least = CNN_KERNEL if kind == "cnn" else 1
    if not least <= layers <= n_layers:
        span = f", because its kernel spans {CNN_KERNEL} layers," if kind == "cnn" else ""
        raise SeedlabError(
            f"recipe.head.layers={layers} is not possible: recipe.head.kind={kind} "
            f"reads at least {least}{span} and at most all of the model's {n_layers} layers; change "
            "recipe.head.layers, or use another recipe.head.kind."
        )
    return tuple(range(n_layers + 1 - layers, n_layers + 1))
