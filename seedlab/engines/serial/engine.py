"""The serial engine: one run after another, plain autograd. It is the specification.

Any Hugging Face sequence classifier or regressor can be trained by it; every other engine
must agree with it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from seedlab.engines.serial.pack_model import SerialModel
from seedlab.models.pretrained import Weights
from seedlab.spec.pack import EngineSpec
from seedlab.spec.run import RunSpec
from seedlab.tasks.encoded import EncodedTask
from seedlab.training.loop import Callbacks, train_column
from seedlab.training.result import RunResult
from seedlab.training.step_plan import make_plan


class SerialEngine:
    """Trains the runs of a pack one after another."""

    name = "serial"

    @classmethod
    def of(cls, settings: EngineSpec) -> SerialEngine:
        """Return the engine; it uses none of the settings."""
        return cls()

    def circumstances(self, device: str) -> dict[str, Any]:
        """Return the values that decide a run's bits besides the run itself."""
        return {"threads": torch.get_num_threads()}

    def train(
        self,
        runs: Sequence[RunSpec],
        task: EncodedTask,
        weights: Weights,
        callbacks: Callbacks,
    ) -> Iterator[RunResult]:
        """Train every run and yield its result as soon as it is complete.

        Parameters
        ----------
        runs : sequence of RunSpec
            Runs of one task, model, precision and evaluation, whose recipes load the same model.
        task : EncodedTask
        weights : Weights
            Loaded for this task and recipe. The runs are trained on its device. When a result is
            yielded, the model has the weights that were scored last.
        callbacks : Callbacks
        """
        if weights.model.device.type == "cuda":
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            torch.use_deterministic_algorithms(True)
        features: dict[int, torch.Tensor] = {}
        for run in runs:
            plan = make_plan(run.recipe, run.evaluation, len(task.splits["train"]))
            pack_model = SerialModel(run, task, weights, plan, features)
            found = (
                None
                if callbacks.checkpoint_manager is None
                else callbacks.checkpoint_manager.load(run.run_id)
            )
            if found is not None:
                pack_model.load(found.tensors)
            checkpoints = [] if found is None else [found]
            (history,) = train_column(pack_model, [run], plan, task, callbacks, checkpoints)
            pack_model.settle()
            yield history.result(
                run,
                plan,
                pack_model.parameter_plan.rates,
                {
                    "engine": self.name,
                    "width": 1,
                    "slot": 0,
                    "threads": torch.get_num_threads(),
                    "device": str(weights.model.device),
                },
            )
