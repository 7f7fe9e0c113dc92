"""`Origin`: the weights that the runs of a stack started from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from seedlab.engines.scratch import plain
from seedlab.models.stacked_pass import Named


class Origin:
    """What is pre-trained is held once for a column, what is new once per run.

    Parameters
    ----------
    shared : mapping of name to tensor
        Pre-trained values of the parameters that are trained.
    own : mapping of name to (run, ...) tensor
        Values of those that at least one run initialised anew.
    """

    def __init__(self, shared: Named, own: Mapping[str, torch.Tensor]) -> None:
        self.shared, self.own = shared, dict(own)

    def of(self, name: str, run: int) -> torch.Tensor:
        """Return where a run's parameter started."""
        return self.own[name][run] if name in self.own else self.shared[name]

    def stacked(self) -> Named:
        """Return where the runs started, with a run axis where they differ and are several."""
        own = {name: plain(tensor) for name, tensor in self.own.items()}
        return {**self.shared, **own}

    def keep(self, runs: Sequence[int]) -> None:
        """Keep these runs alone."""
        self.own = {name: tensor[list(runs)] for name, tensor in self.own.items()}
