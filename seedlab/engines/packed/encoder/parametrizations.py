"""Parametrizations: effective weights computed from the trained parameters, and their gradients.

With low-rank updates and mixout, the encoder computes with other weights than the trained ones.
A parametrization computes these effective weights before a forward pass, in memory that a thread
reuses for every stack. After the backward pass it converts their gradients into those of the
trained parameters. The encoder does not depend on it.
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
    """Computes effective weights, and the gradients of the trained parameters from theirs."""

    @property
    def layout(self) -> FlatLayout:
        """Layout of the effective weights."""
        ...

    @property
    def when_scoring(self) -> bool:
        """Whether evaluation uses the effective weights too."""
        ...

    @property
    def apart(self) -> bool:
        """Whether gradients of the effective weights need separate memory."""
        ...

    def fill(
        self, p: NamedTensors, out: NamedTensors, start: NamedTensors, masks: NamedTensors
    ) -> None:
        """Write the effective weights to `out`.

        Parameters
        ----------
        p : mapping of name to tensor
            All parameters, with a leading run axis for more than one run.
        out : mapping of name to tensor
            The effective weights, with the same axes.
        start : mapping of name to tensor
            Initial weights; without a run axis if they are the same for all runs.
        masks : mapping of name to tensor
            Scaled masks of mixout.
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
        """Convert the gradients `out` of the effective weights into `grads` of the trained ones."""
        ...


@dataclass(frozen=True)
class LoraParametrization:
    """Effective weights ``W + scale B A`` of query and value maps; only A and B are trained.

    The layout also contains the key maps, so a layer's three maps remain one matrix product.

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
    """Effective weights of mixout: linear maps with weights reset at random to initial values.

    Mixout computes ``((1-M) w0 + M w - p w0) / (1-p)`` with a mask M of 0 and 1. With m = M/(1-p)
    this is ``w0 + m (w - w0)``, and its derivative is m.

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
        """See `Parametrization`; `grads` already holds the gradients, without the factor m."""
        for name in self.layout.pieces:
            grads[name].mul_(masks[name])
