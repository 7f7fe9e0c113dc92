"""Runs of the suites: specifications, callbacks, checkpoints in memory, and comparison."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import numpy as np

from seedlab.spec.recipe import OptimizerSpec, RecipeSpec, ScheduleSpec
from seedlab.spec.run import EvaluationSpec, RunSpec, Seeds
from seedlab.tasks.encoded import EncodedTask, Split
from seedlab.training.checkpoint import Checkpoint, CheckpointManager
from seedlab.training.loop import Callbacks
from seedlab.training.result import RunResult

RECIPE = RecipeSpec(
    name="suite",
    optimizer=OptimizerSpec(learning_rate=3e-3, bias_correction=False),
    schedule=ScheduleSpec(warmup_ratio=0.2),
    batch_size=8,
    epochs=4,
)
EVALUATION = EvaluationSpec(per_epoch=2, batch_size=5)


def make_run(init: int = 0, order: int = 0, **changes: Any) -> RunSpec:
    """Return a run of the suite's recipe."""
    return dataclasses.replace(
        RunSpec(recipe=RECIPE, evaluation=EVALUATION, seeds=Seeds(init, order).resolved()),
        **changes,
    )


def accuracy(logits: np.ndarray, split: Split) -> dict[str, float]:
    """Return the suite's scores; engines do not depend on metrics."""
    if logits.shape[1] == 1:
        return {"rmse": float(np.sqrt(np.mean((logits[:, 0] - split.labels) ** 2)))}
    return {"accuracy": float(np.mean(logits.argmax(1) == split.labels))}


class MemoryCheckpointManager:
    """Keeps checkpoints in memory, as copies, not references."""

    def __init__(self, every: int | None = None, until: int | None = None) -> None:
        self.every, self.until = every, until
        self.kept: dict[str, Checkpoint] = {}

    def load(self, run_id: str) -> Checkpoint | None:
        """Return a copy of the newest checkpoint."""
        return copy.deepcopy(self.kept.get(run_id))

    def save(self, run_id: str, checkpoint: Checkpoint) -> None:
        """Keep a copy."""
        self.kept[run_id] = copy.deepcopy(checkpoint)


def callbacks(task: EncodedTask, checkpoint_manager: CheckpointManager | None = None) -> Callbacks:
    """Return the suite's callbacks: accuracy, and no progress reports."""
    return Callbacks(
        accuracy, lambda run_id, step, value: None, not task.is_regression, checkpoint_manager
    )


def assert_same(a: RunResult, b: RunResult) -> None:
    """Check that two results are equal bit for bit."""
    assert a.status == b.status
    assert np.array_equal(a.losses, b.losses)
    assert np.array_equal(a.grad_norms, b.grad_norms)
    assert a.evaluations == b.evaluations
    assert set(a.logits) == set(b.logits)
    assert all(np.array_equal(a.logits[name], b.logits[name]) for name in a.logits)
