"""`RunResult`: what training one run produced, before anything is judged or written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seedlab.spec.run import RunSpec


@dataclass(frozen=True)
class Evaluation:
    """One scoring of one split by one metric.

    Parameters
    ----------
    step : int
        Updates made before it; 0 is the model before training.
    epoch : float
        The same in passes over the training set.
    split, metric : str
        Where weights are averaged, ``dev_live`` is the validation set scored with the live ones.
    value : float
    """

    step: int
    epoch: float
    split: str
    metric: str
    value: float


@dataclass(frozen=True)
class Profile:
    """A diagnostic by depth at one moment.

    Parameters
    ----------
    step : int
        Updates made before it.
    name : str
        ``gradient_norm`` (L2, before clipping) or ``distance`` (L2, from the start).
    values : tuple of float
        Embeddings, layers from the bottom up, head and pooler (`seedlab.models.depth`).
    """

    step: int
    name: str
    values: tuple[float, ...]


@dataclass(frozen=True)
class RunResult:
    """The outcome of one run.

    Parameters
    ----------
    spec : RunSpec
    status : str
        ``finished``; ``diverged`` when the loss or the logits stopped being finite numbers
        (training ends there; the curve up to that step is kept); ``paused`` when it was told to
        wait and can go on.
    evaluations : tuple of Evaluation
        In the order in which they were made.
    losses, learning_rates, grad_norms : (step,) arrays of float64
        Mean training loss of every batch, the learning rate of its update (that of the
        head), and the L2 norm of the gradient before clipping.
    logits : mapping of split to (example, class) array of float32
        After the last step, for every evaluated split, in the order of the split; those of the
        averaged weights where weights are averaged.
    total_steps : int
        Steps that the recipe asked for.
    seconds : float
        The run's share of the wall-clock time of training and evaluating its pack.
    provenance : mapping
        engine, width, slot, threads, device, and what else the engine wants on record.
    profiles : tuple of Profile
        Diagnostics by depth, where they were asked for.
    representations : (depth, example, feature) array of float32, optional
        First tokens of the embeddings and of every layer's output for the first validation
        examples, after the last step, where they were asked for.
    """

    spec: RunSpec
    status: str
    evaluations: tuple[Evaluation, ...]
    losses: npt.NDArray[np.float64]
    learning_rates: npt.NDArray[np.float64]
    grad_norms: npt.NDArray[np.float64]
    logits: Mapping[str, npt.NDArray[np.float32]]
    total_steps: int
    seconds: float
    provenance: Mapping[str, Any]
    profiles: tuple[Profile, ...] = ()
    representations: npt.NDArray[np.float32] | None = None
