"""`InitialWeights`: the weights from which the runs of a stack start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from seedlab.engines.packed.encoder.context import NamedTensors
from seedlab.engines.packed.thread_pool import drop_single_run_axis


class InitialWeights:
    """Initial weights of a stack's runs: pre-trained ones once per column, new ones per run.

    Parameters
    ----------
    shared : mapping of name to tensor
        Pre-trained values of the trained parameters.
    own : mapping of name to (run, ...) tensor
        Initial values of the parameters that at least one run draws.
    """

    def __init__(self, shared: NamedTensors, own: Mapping[str, torch.Tensor]) -> None:
        self.shared, self.own = shared, dict(own)

    def of(self, name: str, run: int) -> torch.Tensor:
        """Return the initial value of a run's parameter."""
        return self.own[name][run] if name in self.own else self.shared[name]

    def stacked(self) -> NamedTensors:
        """Return the initial weights by name.

        With several runs, parameters of `own` have a run axis.
        """
        own = {name: drop_single_run_axis(tensor) for name, tensor in self.own.items()}
        return {**self.shared, **own}

    def keep(self, runs: Sequence[int]) -> None:
        """Keep only these runs."""
        self.own = {name: tensor[list(runs)] for name, tensor in self.own.items()}
