"""`Gradients`: what a thread needs to compute a stack, used by one stack at a time."""

from __future__ import annotations

import torch

from seedlab.models.flat import FlatLayout
from seedlab.models.stacked_effective import Effective
from seedlab.models.stacked_ops import Workspace


class Gradients:
    """A buffer of gradients and the memory of a pass, used by one stack at a time."""

    def __init__(
        self,
        layout: FlatLayout,
        runs: int,
        like: torch.Tensor,
        product_dtype: torch.dtype,
        effective: Effective | None = None,
    ) -> None:
        self.flat = like.new_zeros(runs, layout.size)
        self.layout = layout
        self.effective = effective
        self._weights = self._weight_grads = like.new_empty(0)
        if effective is not None:
            size = effective.layout.size
            self._weights = like.new_zeros(runs, size)
            self._weight_grads = like.new_zeros(runs, size if effective.apart else 0)
        self.work = Workspace(like.device, like.dtype, product_dtype)
        self._views: dict[int, dict[str, torch.Tensor]] = {}

    def views(self, runs: int) -> dict[str, torch.Tensor]:
        """Return the gradients of a stack of so many runs, by name."""
        if runs not in self._views:
            self._views[runs] = self.layout.views(plain(self.flat[:runs]))
        return self._views[runs]

    def effective_weights(self, runs: int) -> dict[str, torch.Tensor]:
        """Return where the effective weights of a stack of so many runs are computed."""
        assert self.effective is not None  # asked only where there are such
        return self.effective.layout.views(plain(self._weights[:runs]))

    def effective_grads(self, runs: int) -> dict[str, torch.Tensor]:
        """Return where their gradients go; empty where they go where what is trained has its."""
        if self.effective is None or not self.effective.apart:
            return {}
        return self.effective.layout.views(plain(self._weight_grads[:runs]))


def plain(flat: torch.Tensor) -> torch.Tensor:
    """Return a (run, size) buffer without its run axis if there is but one run."""
    return flat[0] if flat.shape[0] == 1 else flat
