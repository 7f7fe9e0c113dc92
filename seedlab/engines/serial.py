"""The serial engine: one run after another, plain autograd. It is the specification.

Any Hugging Face sequence classifier or regressor can be trained by it; every other engine
must agree with it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from seedlab.engines.serial_trainee import SerialTrainee
from seedlab.grid import EngineSpec
from seedlab.models.weights import Weights
from seedlab.spec import RunSpec
from seedlab.tasks.encoded import EncodedTask
from seedlab.train.loop import Watch, train_column
from seedlab.train.plan import make_plan
from seedlab.train.result import RunResult


class SerialEngine:
    """Trains the runs of a pack one after another."""

    name = "serial"

    @classmethod
    def of(cls, settings: EngineSpec) -> SerialEngine:
        """Return the engine as a configuration describes it: there is but one way."""
        return cls()

    def circumstances(self, device: str) -> dict[str, Any]:
        """Return what decides the bits of a run beside the run itself."""
        return {"threads": torch.get_num_threads()}

    def train(
        self,
        runs: Sequence[RunSpec],
        task: EncodedTask,
        weights: Weights,
        watch: Watch,
    ) -> Iterator[RunResult]:
        """Train every run and yield its result as soon as it is there.

        Parameters
        ----------
        runs : sequence of RunSpec
            Of one task, model, precision, evaluation and structure.
        task : EncodedTask
        weights : Weights
            Loaded for this task and structure; the model is trained where it lies (its device),
            and holds the weights that were scored last when a result is yielded.
        watch : Watch
        """
        if weights.model.device.type == "cuda":
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            torch.use_deterministic_algorithms(True)
        features: dict[int, torch.Tensor] = {}
        for run in runs:
            plan = make_plan(run.recipe, run.evaluation, len(task.splits["train"]))
            trainee = SerialTrainee(run, task, weights, plan, features)
            found = None if watch.keeper is None else watch.keeper.load(run.run_id)
            if found is not None:
                trainee.load(found.tensors)
            checkpoints = [] if found is None else [found]
            (trace,) = train_column(trainee, [run], plan, task, watch, checkpoints)
            trainee.settle()
            yield trace.result(
                run,
                plan,
                trainee.treatment.rates,
                {
                    "engine": self.name,
                    "width": 1,
                    "slot": 0,
                    "threads": torch.get_num_threads(),
                    "device": str(weights.model.device),
                },
            )
