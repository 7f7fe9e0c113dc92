"""`History`: what the training loop has seen of a run so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from seedlab.spec.run import RunSpec
from seedlab.training.result import Evaluation, Profile, RunResult
from seedlab.training.step_plan import StepPlan


@dataclass
class History:
    """What the loop saw of one run; see `seedlab.training.result.RunResult`.

    `seconds` is the run's share: the time of the column, divided by the runs in it. `profiles`
    are diagnostics by depth. `idle` counts the evaluations since the best one, for patience.
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

    def update_best(self, value: float, higher_is_better: bool) -> None:
        """Take a deciding score into account: whether it is strictly better than all before."""
        gain = self.best is None or (value > self.best if higher_is_better else value < self.best)
        self.idle = 0 if gain else self.idle + 1
        if gain:
            self.best = value

    def result(
        self,
        run: RunSpec,
        plan: StepPlan,
        rates: npt.NDArray[np.float64],
        provenance: Mapping[str, Any],
    ) -> RunResult:
        """Return the trace as the result of `run`.

        Parameters
        ----------
        run : RunSpec
        plan : StepPlan
        rates : (step, depth) array
            See `seedlab.training.learning_rates.learning_rates`; the head's are put on record.
        provenance : mapping
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
        )
