"""Options for computing a column, its stacks and the runs in a stack."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from seedlab.engines.packed.cuda_graphs import GraphCapturer
from seedlab.engines.packed.encoder.adam import AdamOptions
from seedlab.engines.packed.encoder.context import NamedTensors
from seedlab.engines.packed.encoder.encoder import StackedEncoder
from seedlab.engines.packed.encoder.flat_layout import FlatLayout
from seedlab.engines.packed.encoder.parametrizations import Parametrization
from seedlab.engines.packed.thread_pool import drop_single_run_axis
from seedlab.spec.run import RunSpec
from seedlab.training.parameter_plan import ParameterPlan


@dataclass(frozen=True)
class ComputeOptions:
    """Options for computing the stacks of a column.

    Parameters
    ----------
    stack : int
        Runs per stack.
    buckets : bool
        Build training batches on the device, in a few shapes
        (see `seedlab.engines.packed.encoder.device_split`).
    capturer : callable, optional
        Returns a new `seedlab.engines.packed.cuda_graphs.GraphCapturer`; forward and backward passes are then captured. It requires
        `buckets`.
    """

    stack: int
    buckets: bool = False
    capturer: Callable[[], GraphCapturer] | None = None


@dataclass(frozen=True)
class StackOptions:
    """Options that all stacks of a column share.

    Parameters
    ----------
    encoder : StackedEncoder
    layout : FlatLayout
    root_loss : bool
        Regression: the loss is the root of the mean squared error.
    frozen : mapping of name to tensor
        Frozen parameters; all runs share their memory.
    parametrization : Parametrization or None
        Computes effective weights from the trained ones; None: the encoder uses these directly.
    unused_squares : float
        Sum of squares of the initial embedding rows that are trained and that the task never uses.
    copy_dtype : torch.dtype or None
        Type of the weights' low-precision copies, which are made once per update and which matrix
        products read. None: products read the weights.
    """

    encoder: StackedEncoder
    layout: FlatLayout
    root_loss: bool = False
    frozen: NamedTensors = field(default_factory=dict)
    parametrization: Parametrization | None = None
    unused_squares: float = 0.0
    copy_dtype: torch.dtype | None = None

    def parameters(
        self,
        flat: torch.Tensor,
        copies: torch.Tensor | None = None,
        exempt: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:
        """Return all parameters by name.

        Parameters
        ----------
        flat : (run, size) tensor
            Trained parameters.
        copies : (run, size) tensor, optional
            Copies in low precision; weights of linear maps are views of them.
        exempt : (run, size - decayed) tensor, optional
            Copies of biases and norms for several runs; these are views of them.
        """
        runs = flat.shape[0]
        frozen = self.frozen
        if runs > 1:
            frozen = {name: tensor.expand(runs, *tensor.shape) for name, tensor in frozen.items()}
        copies = None if copies is None else drop_single_run_axis(copies)
        return {**frozen, **self.layout.views(drop_single_run_axis(flat), copies, exempt)}


@dataclass(frozen=True)
class RunOptions:
    """Options of one run in a stack.

    Parameters
    ----------
    adam : AdamOptions
    parameter_plan : ParameterPlan
    """

    adam: AdamOptions
    parameter_plan: ParameterPlan


def run_options_of(run: RunSpec, parameter_plan: ParameterPlan) -> RunOptions:
    """Return the options of a run."""
    optimizer, clip = run.recipe.optimizer, run.recipe.clip
    adam = AdamOptions(
        optimizer.beta1,
        optimizer.beta2,
        optimizer.eps,
        optimizer.weight_decay,
        optimizer.bias_correction,
        clip.mode,
        clip.norm,
    )
    return RunOptions(adam, parameter_plan)
