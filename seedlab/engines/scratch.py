"""`Gradients`: what a thread needs to compute a stack, used by one stack at a time."""

from __future__ import annotations

import torch

from seedlab.models.flat import FlatLayout
from seedlab.models.stacked_ops import Workspace


class Gradients:
    """A buffer of gradients and the memory of a pass, used by one stack at a time."""

    def __init__(
        self, layout: FlatLayout, runs: int, like: torch.Tensor, product_dtype: torch.dtype
    ) -> None:
        self.flat = torch.zeros(runs, layout.size, dtype=like.dtype, device=like.device)
        self.layout = layout
        self.work = Workspace(like.device, like.dtype, product_dtype)
        self._views: dict[int, dict[str, torch.Tensor]] = {}

    def views(self, runs: int) -> dict[str, torch.Tensor]:
        """Return the gradients of a stack of so many runs, by name."""
        if runs not in self._views:
            self._views[runs] = self.layout.views(plain(self.flat[:runs]))
        return self._views[runs]


def plain(flat: torch.Tensor) -> torch.Tensor:
    """Return a (run, size) buffer without its run axis if there is but one run."""
    return flat[0] if flat.shape[0] == 1 else flat
