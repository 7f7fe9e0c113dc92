"""`ForwardContext`: what one way through the stacked encoder carries along."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from seedlab.engines.packed.encoder.ops import Workspace
from seedlab.engines.packed.encoder.ragged_batch import Ragged

NamedTensors = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class ForwardContext:
    """A batch on its way through a stack of runs, forwards and back.

    Parameters
    ----------
    p : mapping of name to tensor
        Parameters, see `seedlab.engines.packed.encoder.flat_layout.FlatLayout.views`.
    batch : Ragged
    masks : mapping of dropout site to mask
        A missing site drops nothing. With more than one run they have a leading run axis, of
        length 1 where the runs share them.
    work : Workspace
    g : mapping of name to tensor
        Where gradients go; not read on the way forwards. A missing parameter is not trained.
    accumulate : bool
        Add to the gradients that are there.
    runs : int
        Runs in the stack.
    """

    p: NamedTensors
    batch: Ragged
    masks: NamedTensors
    work: Workspace
    g: NamedTensors = field(default_factory=dict)
    accumulate: bool = False
    runs: int = 1

    def affine(self, name: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Return weight and bias of a module."""
        return self.p[f"{name}.weight"], self.p[f"{name}.bias"]

    def affine_grads(self, name: str) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Return where the gradients of a module's weight and bias go, None for nowhere."""
        return self.g.get(f"{name}.weight"), self.g.get(f"{name}.bias")

    def shape(self, lines: int, features: int) -> tuple[int, ...]:
        """Return the shape of (line, feature) numbers in this stack."""
        return (lines, features) if self.runs == 1 else (self.runs, lines, features)

    def masked(self, grad: torch.Tensor, site: str | None) -> torch.Tensor:
        """Return the gradient before a dropout."""
        mask = self.masks.get(site or "")
        if mask is None:
            return grad
        return torch.mul(grad, mask, out=self.work.buffer("masked", *grad.shape))

    def residual(
        self, x: torch.Tensor, y: torch.Tensor, site: str | None, name: str
    ) -> torch.Tensor:
        """Return and keep `x` plus what dropout leaves of `y`."""
        mask, out = self.masks.get(site or ""), self.work.keep(name, *x.shape)
        return torch.add(x, y, out=out) if mask is None else torch.addcmul(x, y, mask, out=out)
