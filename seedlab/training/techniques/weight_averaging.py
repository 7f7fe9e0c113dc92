"""Stochastic weight averaging (Izmailov et al. 2018): a running mean of the weights."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch


def annealed(start: float, target: float, step: int, steps: int) -> float:
    """Return the learning rate on its way to the constant one, along a cosine.

    Parameters
    ----------
    start, target : float
        Rate at step 0, and from step `steps` on.
    step, steps : int
        Updates since averaging began, and how many the way takes (0: none).
    """
    share = 1.0 if steps == 0 else min(1.0, step / steps)
    weight = 0.5 * (1.0 - math.cos(math.pi * share))
    return start * (1.0 - weight) + target * weight


@torch.no_grad()
def update_average(
    average: Sequence[torch.Tensor], weights: Sequence[torch.Tensor], count: int
) -> None:
    """Take weights into the mean of the `count` ones before, in place.

    ``average += (weights - average) / (count + 1)``, as torch's `AveragedModel` does.
    """
    for mean, weight in zip(average, weights, strict=True):
        mean.add_((weight - mean) / (count + 1))
