"""`RunResult`: the curves, logits and provenance of one trained run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seedlab.spec.run import RunSpec


@dataclass(frozen=True)
class Evaluation:
    """The value of one metric on one split.

    Parameters
    ----------
    step : int
        Updates made before it; 0 is the model before training. For splits that are scored when
        the run ends: updates made before the scored weights.
    epoch : float
        `step` in passes over the training set.
    split : str
        ``dev``, ``test`` or another split of the task. Under weight averaging, ``dev`` is scored
        with the averaged weights and ``dev_live`` is ``dev`` scored with the live weights.
    metric : str
    value : float
        May be NaN where the metric is undefined.
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
        One per depth: embeddings, layers from the bottom up, head and pooler
        (`seedlab.models.depth`).
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
        ``finished``; ``diverged``: the loss or a logit became NaN or infinite (training ends
        there; the curves up to that step are kept); ``stopped``: training ended at the step that
        the checkpoint manager asked for, and can be resumed.
    evaluations : tuple of Evaluation
        In the order in which they were made.
    losses, learning_rates, grad_norms : (step,) arrays of float64
        Mean training loss of the batch, learning rate of the head, and L2 norm of the gradient
        before clipping.
    logits : mapping of split to (example, class) array of float32
        Of the weights after the last step, for every evaluated split, in the order of the split;
        with `evaluation.keep` best, of the kept weights. Under weight averaging, of the averaged
        weights.
    total_steps : int
        Steps that the recipe asked for.
    seconds : float
        The run's share of the wall-clock time of training and evaluating its pack.
    provenance : mapping
        engine, width, slot, threads, device, and further entries of the engine.
    profiles : tuple of Profile
        Diagnostics by depth; empty unless requested.
    representations : (depth, example, feature) array of float32, optional
        Hidden states of the first token after the last step: the embeddings and every layer's
        output, for the first validation examples. None unless requested. With `evaluation.keep`
        best, those of the kept weights.
    kept_step : int, optional
        Updates made before the weights of the best evaluation, which are kept. None: the weights
        after the last step are kept.
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
    kept_step: int | None = None
