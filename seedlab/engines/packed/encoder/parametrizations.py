"""Effective weights: what a pass computes with in the place of what is trained or frozen.

Low-rank updates and mixout train one thing and compute with another. Both are a way from a run's
own vector to whole weights, in memory that a thread uses for one stack after another, and a way
back for the gradients; the encoder between them knows nothing of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch

from seedlab.engines.packed.encoder.context import NamedTensors
from seedlab.engines.packed.encoder.flat_layout import FlatLayout
from seedlab.engines.packed.encoder.matmul import product
from seedlab.engines.packed.encoder.ops import Workspace


class Parametrization(Protocol):
    """A way to effective weights and back."""

    @property
    def layout(self) -> FlatLayout:
        """Of the effective weights."""
        ...

    @property
    def when_scoring(self) -> bool:
        """Whether they are computed with outside of training as well."""
        ...

    @property
    def apart(self) -> bool:
        """Whether their gradients need memory of their own."""
        ...

    def fill(
        self, p: NamedTensors, out: NamedTensors, start: NamedTensors, masks: NamedTensors
    ) -> None:
        """Write the effective weights.

        Parameters
        ----------
        p : mapping of name to tensor
            All parameters, with a leading run axis for more than one run.
        out : mapping of name to tensor
            The effective weights, likewise.
        start : mapping of name to tensor
            Where the runs started; without a run axis where that is the same for all.
        masks : mapping of name to tensor
            Of mixout.
        """
        ...

    def back(
        self,
        p: NamedTensors,
        out: NamedTensors,
        grads: NamedTensors,
        masks: NamedTensors,
        work: Workspace,
    ) -> None:
        """Turn the gradients of the effective weights, `out`, into those of what is trained."""
        ...


@dataclass(frozen=True)
class LoraParametrization:
    """Weights ``W + scale B A`` of query and value maps; only A and B are trained.

    The layout has the keys between them as well, so that a layer's three maps stay one product.

    Parameters
    ----------
    layout : FlatLayout
    maps : tuple of (str, str, str)
        Names of W, A and B.
    scale : float
    """

    layout: FlatLayout
    maps: tuple[tuple[str, str, str], ...]
    scale: float
    when_scoring: ClassVar[bool] = True
    apart: ClassVar[bool] = True

    def fill(
        self, p: NamedTensors, out: NamedTensors, start: NamedTensors, masks: NamedTensors
    ) -> None:
        """See `Parametrization`."""
        for name in self.layout.pieces:
            out[name].copy_(p[name])
        for name, a, b in self.maps:
            add = out[name].addmm_ if out[name].ndim == 2 else out[name].baddbmm_
            add(p[b], p[a], alpha=self.scale)

    def back(
        self,
        p: NamedTensors,
        out: NamedTensors,
        grads: NamedTensors,
        masks: NamedTensors,
        work: Workspace,
    ) -> None:
        """See `Parametrization`: ``dA = scale B^T dW`` and ``dB = scale dW A^T``."""
        for name, a, b in self.maps:
            product(p[b].mT, out[name], grads[a], work).mul_(self.scale)
            product(out[name], p[a].mT, grads[b], work).mul_(self.scale)


@dataclass(frozen=True)
class MixoutParametrization:
    """Weights of linear maps that fall back at random: mixout.

    With masks m of 0 and 1/(1-p), ``((1-M) w0 + M w - p w0) / (1-p)`` is ``w0 + m (w - w0)``, and
    its derivative is m.

    Parameters
    ----------
    layout : FlatLayout
    """

    layout: FlatLayout
    when_scoring: ClassVar[bool] = False
    apart: ClassVar[bool] = False

    def fill(
        self, p: NamedTensors, out: NamedTensors, start: NamedTensors, masks: NamedTensors
    ) -> None:
        """See `Parametrization`."""
        for name in self.layout.pieces:
            torch.lerp(start[name], p[name], masks[name], out=out[name])

    def back(
        self,
        p: NamedTensors,
        out: NamedTensors,
        grads: NamedTensors,
        masks: NamedTensors,
        work: Workspace,
    ) -> None:
        """See `Parametrization`; the gradients are where they belong, and lack the factor m."""
        for name in self.layout.pieces:
            grads[name].mul_(masks[name])
