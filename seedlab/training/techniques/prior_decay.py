"""Pre-trained weight decay (Zhang et al. 2021): towards where a run started, not towards 0."""

from __future__ import annotations

from collections.abc import Sequence

import torch


@torch.no_grad()
def pull(
    weights: Sequence[torch.Tensor], start: Sequence[torch.Tensor], rate: float, strength: float
) -> None:
    """Move weights towards their start, before the optimiser's own update, in place.

    ``w -= rate * strength * (w - start)``: decoupled, with the scheduled learning rate.

    Parameters
    ----------
    weights, start : sequences of tensors of the same shapes
    rate : float
        The learning rate of this update.
    strength : float
        At least 0.
    """
    for weight, origin in zip(weights, start, strict=True):
        weight.sub_((weight - origin) * (rate * strength))
