"""The serial engine: one run after another, plain autograd. It is the specification.

Any Hugging Face sequence classifier or regressor can be trained by it; every other engine
must agree with it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import numpy.typing as npt
import torch

from seedlab.models.groups import decay_groups
from seedlab.models.weights import Weights, accepts_types
from seedlab.seeds import philox_key
from seedlab.spec import RunSpec
from seedlab.tasks.encoded import EncodedTask, Split
from seedlab.train.batches import Batch, collate, evaluation_batches
from seedlab.train.clip import clip_gradients
from seedlab.train.loop import Floats, Score, train_column
from seedlab.train.optim import make_optimizer
from seedlab.train.plan import make_plan
from seedlab.train.result import RunResult


class SerialTrainee:
    """One model in training: a `seedlab.train.loop.Trainee` with a single slot."""

    def __init__(
        self, run: RunSpec, task: EncodedTask, weights: Weights, steps_per_epoch: int
    ) -> None:
        self.run = run
        self.task = task
        self.weights = weights
        self.steps_per_epoch = steps_per_epoch
        self.model = weights.start(run.seeds.init)
        self.device = self.model.device
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        values = run.recipe.optimizer
        self.optimizer = make_optimizer(
            *decay_groups(self.model),
            learning_rate=values.learning_rate,
            beta1=values.beta1,
            beta2=values.beta2,
            eps=values.eps,
            weight_decay=values.weight_decay,
            bias_correction=values.bias_correction,
        )
        dropout_seed = run.seeds.resolved().dropout
        assert dropout_seed is not None  # `resolved` fills it in
        weights.dropout.key = philox_key("dropout", dropout_seed)

    def update(self, batch: Batch, step: int, multiplier: float) -> tuple[Floats, Floats]:
        """Make one update; an accumulated batch gives the update of the whole batch."""
        recipe = self.run.recipe
        state = self.weights.dropout
        state.step = step
        state.active = recipe.dropout_active == "always" or step % self.steps_per_epoch == 0
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        rows = len(batch.labels)
        size = -(-rows // recipe.accumulation)
        total = 0.0
        for start in range(0, rows, size):
            part = batch.part(start, start + size).to(self.device)
            state.row = start
            loss = self._losses(self._forward(part), part.labels).sum() / rows
            torch.autograd.backward(loss)
            total += float(loss.detach())
        norm = clip_gradients(self.parameters, recipe.clip.mode, recipe.clip.norm)
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.optimizer.learning_rate * multiplier
        self.optimizer.step()
        return np.array([total]), np.array([norm])

    def logits(self, split: Split) -> npt.NDArray[np.float32]:
        """Return (1, example, class) logits; mode and streams stay as they were."""
        training = self.model.training
        self.model.eval()
        out = np.empty((1, len(split), self.task.n_labels), dtype=np.float32)
        with torch.inference_mode():
            for indices in evaluation_batches(split, self.run.evaluation.batch_size):
                batch = collate(split, indices, self.task.pad_id).to(self.device)
                out[0, indices] = self._forward(batch).float().cpu().numpy()
        self.model.train(training)
        return out

    def drop(self, slots: list[int]) -> None:
        """Do nothing: with its only run gone, the loop ends."""

    def _forward(self, batch: Batch) -> torch.Tensor:
        """Return the (row, class) logits of a batch."""
        inputs = {"input_ids": batch.ids, "attention_mask": batch.mask}
        if accepts_types(self.model):
            inputs["token_type_ids"] = batch.types
        with self._autocast():
            logits: torch.Tensor = self.model(**inputs).logits
        return logits if logits.dtype == torch.float64 else logits.float()

    def _losses(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the (row,) losses: cross-entropy, or squared error for regression."""
        if self.task.is_regression:
            return (logits[:, 0] - labels.to(logits.dtype)).square()
        return torch.nn.functional.cross_entropy(logits, labels, reduction="none")

    def _autocast(self) -> AbstractContextManager[object]:
        """Return the precision that the model's matrix products run in."""
        if self.run.model.dtype == "bfloat16":
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return nullcontext()


class SerialEngine:
    """Trains the runs of a pack one after another."""

    name = "serial"

    def train(
        self,
        runs: Sequence[RunSpec],
        task: EncodedTask,
        weights: Weights,
        *,
        score: Score,
        observe: Callable[[str, int, float | None], None],
    ) -> Iterator[RunResult]:
        """Train every run and yield its result as soon as it is there.

        Parameters
        ----------
        runs : sequence of RunSpec
            Of one task, model and precision.
        task : EncodedTask
        weights : Weights
            Loaded for this task; the model is trained where it lies (its device).
        score : callable
            See `seedlab.train.loop.Score`.
        observe : callable
            Told (run id, steps made, dev score or None) after every step and evaluation.
        """
        if weights.model.device.type == "cuda":
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            torch.use_deterministic_algorithms(True)
        for run in runs:
            plan = make_plan(run.recipe, run.evaluation, len(task.splits["train"]))
            run_id = run.run_id
            (trace,) = train_column(
                SerialTrainee(run, task, weights, plan.steps_per_epoch),
                1,
                plan,
                task,
                batch_size=run.recipe.batch_size,
                order_seed=run.seeds.order,
                score=score,
                observe=lambda _, step, value, run_id=run_id: observe(run_id, step, value),  # type: ignore[misc]
            )
            yield trace.result(
                run,
                plan,
                {
                    "engine": self.name,
                    "width": 1,
                    "slot": 0,
                    "threads": torch.get_num_threads(),
                    "device": str(weights.model.device),
                },
            )
