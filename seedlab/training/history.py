"""`History`: curves, logits and status of a run in training, as the loop records them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from seedlab.spec.run import RunSpec
from seedlab.training.kept_weights import KeptWeights
from seedlab.training.result import Evaluation, Profile, RunResult
from seedlab.training.step_plan import StepPlan


@dataclass
class History:
    """Everything the loop recorded of one run so far.

    Parameters
    ----------
    status, evaluations, losses, grad_norms, logits, profiles, representations
        See `seedlab.training.result.RunResult`.
    seconds : float
        The run's share of the wall-clock time: the column's time divided by its running runs.
    best : float or None
        Best deciding score so far; None before the first.
    idle : int
        Evaluations since the best one, for patience.
    kept : KeptWeights or None
        Weights of the best evaluation after step 0. None: those after the last step are kept.
    """

    status: str = "finished"
    evaluations: list[Evaluation] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    grad_norms: list[float] = field(default_factory=list)
    logits: dict[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    profiles: list[Profile] = field(default_factory=list)
    representations: npt.NDArray[np.float32] | None = None
    seconds: float = 0.0
    best: float | None = None
    idle: int = 0
    kept: KeptWeights | None = None

    def update_best(self, value: float, higher_is_better: bool) -> None:
        """Update `best` and `idle` with a deciding score; only a strictly better one is a gain."""
        better = self.best is None or (value > self.best if higher_is_better else value < self.best)
        self.idle = 0 if better else self.idle + 1
        if better:
            self.best = value

    def add_scores(
        self, plan: StepPlan, step: int, split: str, values: Mapping[str, float]
    ) -> None:
        """Add an evaluation per metric, unless the step has been scored; see `Evaluation`.

        Kept weights are scored when their run ends, and with a test curve they were scored before.
        """
        if any(known.step == step and known.split == split for known in self.evaluations):
            return
        epoch = step / plan.steps_per_epoch
        self.evaluations += [
            Evaluation(step, epoch, split, metric, value) for metric, value in values.items()
        ]

    def result(
        self,
        run: RunSpec,
        plan: StepPlan,
        rates: npt.NDArray[np.float64],
        provenance: Mapping[str, Any],
    ) -> RunResult:
        """Return the history as the result of `run`.

        Parameters
        ----------
        run : RunSpec
        plan : StepPlan
        rates : (step, depth) array of float64
            See `seedlab.training.learning_rates.learning_rates`; the head's are recorded.
        provenance : mapping
            See `seedlab.training.result.RunResult`.
        """
        return RunResult(
            spec=run,
            status=self.status,
            evaluations=tuple(self.evaluations),
            losses=np.array(self.losses),
            learning_rates=rates[: len(self.losses), -1],
            grad_norms=np.array(self.grad_norms),
            logits=self.logits,
            total_steps=plan.total_steps,
            seconds=self.seconds,
            provenance=provenance,
            profiles=tuple(self.profiles),
            representations=self.representations,
            kept_step=None if self.kept is None else self.kept.step,
        )
