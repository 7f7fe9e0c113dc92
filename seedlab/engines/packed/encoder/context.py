"""`ForwardContext`: inputs, parameters and memory of one pass through the stacked encoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from seedlab.engines.packed.encoder.ops import Workspace
from seedlab.engines.packed.encoder.ragged_batch import Ragged

NamedTensors = Mapping[str, torch.Tensor]
"""Tensors by parameter, buffer or site name."""


@dataclass(frozen=True)
class ForwardContext:
    """Context of one forward pass and its backward pass.

    Parameters
    ----------
    parameters : mapping of name to tensor
        Parameters; see `seedlab.engines.packed.encoder.flat_layout.FlatLayout.views`.
    batch : Ragged
    masks : mapping of dropout site to mask
        Sites without a mask drop nothing. With more than one run, masks have a leading run axis,
        of length 1 if the runs share them.
    work : Workspace
    grads : mapping of name to tensor
        Buffers that the backward pass writes gradients to. Parameters without a buffer are not
        trained. Empty: no backward pass follows.
    accumulate : bool
        Add to the gradients in the buffers instead of overwriting them.
    runs : int
        Runs in the stack.
    """

    parameters: NamedTensors
    batch: Ragged
    masks: NamedTensors
    work: Workspace
    grads: NamedTensors = field(default_factory=dict)
    accumulate: bool = False
    runs: int = 1

    def affine(self, name: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Return weight and bias of a module."""
        return self.parameters[f"{name}.weight"], self.parameters[f"{name}.bias"]

    def affine_grads(self, name: str) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Return the gradient buffers of a module's weight and bias; None: not trained."""
        return self.grads.get(f"{name}.weight"), self.grads.get(f"{name}.bias")

    def shape(self, lines: int, features: int) -> tuple[int, ...]:
        """Return the shape of a (line, feature) tensor, with a run axis for more than one run."""
        return (lines, features) if self.runs == 1 else (self.runs, lines, features)

    def masked(self, grad: torch.Tensor, site: str | None) -> torch.Tensor:
        """Return the gradient at a dropout's input from that at its output."""
        mask = self.masks.get(site or "")
        if mask is None:
            return grad
        return torch.mul(grad, mask, out=self.work.buffer("masked", *grad.shape))

    def residual(
        self, x: torch.Tensor, y: torch.Tensor, site: str | None, name: str
    ) -> torch.Tensor:
        """Return `x` plus `y` after dropout; the workspace keeps it under `name`."""
        mask, out = self.masks.get(site or ""), self.work.keep(name, *x.shape)
        return torch.add(x, y, out=out) if mask is None else torch.addcmul(x, y, mask, out=out)
