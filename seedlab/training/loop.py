"""The one training loop, over the runs of a column: same batches, a model each.

It knows steps, batches, evaluations, runs that end early and checkpoints; how the models
compute is the business of a `PackModel`, which the engine supplies.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from seedlab.spec.run import RunSpec
from seedlab.tasks.encoded import EncodedTask, Split
from seedlab.training.batches import Batch, collate, training_batches
from seedlab.training.checkpoint import Checkpoint, CheckpointManager
from seedlab.training.history import History
from seedlab.training.result import Evaluation, Profile
from seedlab.training.step_plan import StepPlan

Floats = npt.NDArray[np.float64]
Score = Callable[[npt.NDArray[np.float32], Split], Mapping[str, float]]
"""((example, class) logits, split) -> value of every metric, the deciding one first"""
Observe = Callable[[str, int, float | None], None]
"""(run id, steps made, dev score if one was taken) -> nothing"""


class PackModel(Protocol):
    """The models of a column in training, one slot per run."""

    def update(self, batch: Batch, step: int, by_depth: bool) -> tuple[Floats, Floats]:
        """Make update number `step`; return (slot,) losses and gradient norms.

        With `by_depth` the norms are (slot, depth), over the gradients of every depth.
        """
        ...

    def logits(self, split: Split, averaged: bool) -> npt.NDArray[np.float32]:
        """Return the (slot, example, class) logits of a split, changing nothing.

        `averaged`: those of the averaged weights.
        """
        ...

    def drop(self, slots: list[int]) -> None:
        """Stop computing these slots; the others move up."""
        ...

    def state(self, slot: int) -> dict[str, torch.Tensor]:
        """Return a copy on the host of all that changes while the run in this slot trains."""
        ...

    def distances(self) -> Floats:
        """Return the (slot, depth) L2 distances of the weights from where they started."""
        ...

    def representations(self, split: Split, n: int) -> npt.NDArray[np.float32]:
        """Return (slot, depth, example, feature) first tokens of the first `n` examples."""
        ...


@dataclass(frozen=True)
class Callbacks:
    """Who scores, who is told, and who keeps checkpoints.

    Parameters
    ----------
    score : Score
    observe : Observe
        Told after every step and evaluation.
    higher_is_better : bool
        Of the deciding metric; patience needs it.
    keeper : CheckpointManager, optional
    """

    score: Score
    observe: Observe
    higher_is_better: bool = True
    checkpoint_manager: CheckpointManager | None = None


def train_column(
    pack_model: PackModel,
    runs: Sequence[RunSpec],
    plan: StepPlan,
    task: EncodedTask,
    callbacks: Callbacks,
    checkpoints: Sequence[Checkpoint] = (),
) -> list[History]:
    """Train the runs of a column and return their traces, in slot order.

    The ``dev`` split is scored at every evaluation step of the plan, the other splits when a run
    ends. A run whose loss or logits stop being finite, or whose patience runs out, is dropped;
    the others go on.

    Parameters
    ----------
    trainee : PackModel
        Of these runs; the state of the checkpoints, where there are any, loaded.
    runs : sequence of RunSpec
        Of one order seed; they agree in batches, evaluations and diagnostics.
    plan : StepPlan
    task : EncodedTask
    watch : Callbacks
    checkpoints : sequence of Checkpoint
        Where to go on from: none, or one per run, all of the same step.
    """
    return _Column(pack_model, runs, plan, task, callbacks, checkpoints).train()


class _Column:
    def __init__(
        self,
        pack_model: PackModel,
        runs: Sequence[RunSpec],
        plan: StepPlan,
        task: EncodedTask,
        callbacks: Callbacks,
        checkpoints: Sequence[Checkpoint],
    ) -> None:
        self.pack_model, self.runs, self.plan, self.task, self.callbacks = (
            pack_model,
            runs,
            plan,
            task,
            callbacks,
        )
        self.histories = [c.history for c in checkpoints] or [History() for _ in runs]
        self.start = checkpoints[0].step if checkpoints else 0
        self.running = list(range(len(runs)))
        self.last = time.perf_counter()

    def train(self) -> list[History]:
        plan, train, like = self.plan, self.task.splits["train"], self.runs[0]
        due, checkpoint_manager = set(plan.evaluation_steps), self.callbacks.checkpoint_manager
        pause = checkpoint_manager.pause if checkpoint_manager is not None else None
        every = like.diagnostics.gradient_norms
        if self.start == 0 and 0 in due:
            self._score_dev(0)
        order = training_batches(len(train), like.recipe.batch_size, like.seeds.order)
        for step, indices in enumerate(islice(order, self.start, plan.total_steps), self.start):
            if not self.running or step == pause:
                break
            batch = collate(train, indices, self.task.pad_id)
            self._update(batch, step, every is not None and step % every == 0)
            made = step + 1
            if made in due and self.running:
                self._score_dev(made)
            else:
                for run in self.running:
                    self.callbacks.observe(self.runs[run].run_id, made, None)
            if (
                checkpoint_manager is not None
                and made < plan.total_steps
                and _is_due(checkpoint_manager, made)
            ):
                self._keep(checkpoint_manager, made)
        if pause is not None and pause < plan.total_steps:
            for run in self.running:
                self.histories[run].status = "paused"
        elif self.running:
            self._finish(list(range(len(self.running))), plan.total_steps)
        self._share_time()
        return self.histories

    def _update(self, batch: Batch, step: int, by_depth: bool) -> None:
        losses, norms = self.pack_model.update(batch, step, by_depth)
        for slot, run in enumerate(self.running):
            history = self.histories[run]
            history.losses.append(float(losses[slot]))
            if by_depth:
                values = tuple(norms[slot].tolist())
                history.profiles.append(Profile(step, "gradient_norm", values))
                history.grad_norms.append(float(np.sqrt(np.sum(norms[slot] ** 2))))
            else:
                history.grad_norms.append(float(norms[slot]))
        self._end(np.flatnonzero(~np.isfinite(losses)).tolist(), "diverged")

    def _score_dev(self, step: int) -> None:
        start = self.plan.averaging_start
        averaged = start is not None and step > start
        if averaged:
            live = self.pack_model.logits(self.task.splits["dev"], False)
            self._score(step, "dev_live", live, self.running)
        logits = self.pack_model.logits(self.task.splits["dev"], averaged)
        if self.runs[0].diagnostics.distances:
            for run, values in zip(self.running, self.pack_model.distances(), strict=True):
                profile = Profile(step, "distance", tuple(values.tolist()))
                self.histories[run].profiles.append(profile)
        bad = self._score(step, "dev", logits, self.running)
        patience = self.runs[0].evaluation.patience
        idle = [
            slot
            for slot, run in enumerate(self.running)
            if patience is not None and self.histories[run].idle > patience and slot not in bad
        ]
        if idle and step < self.plan.total_steps:
            self._finish(idle, step)
        self._end(bad, "diverged", gone=idle if step < self.plan.total_steps else [])

    def _score(
        self, step: int, name: str, logits: npt.NDArray[np.float32], runs: Sequence[int]
    ) -> list[int]:
        """Score the logits of some runs; return the places of those that are no numbers."""
        split, bad = self.task.splits[name.removesuffix("_live")], []
        for slot, run in enumerate(runs):
            if not np.isfinite(logits[slot]).all():
                bad.append(slot)
                continue
            values, history = self.callbacks.score(logits[slot], split), self.histories[run]
            epoch = step / self.plan.steps_per_epoch
            history.evaluations += [
                Evaluation(step, epoch, name, metric, value) for metric, value in values.items()
            ]
            if name != "dev_live":
                history.logits[name] = logits[slot]
            if name == "dev":
                value = next(iter(values.values()))
                history.update_best(value, self.callbacks.higher_is_better)
                self.callbacks.observe(self.runs[run].run_id, step, value)
        return bad

    def _finish(self, slots: list[int], step: int) -> None:
        """Score the other splits for runs that are through."""
        start, count = self.plan.averaging_start, self.runs[0].diagnostics.representations
        averaged = start is not None and step > start
        runs = [self.running[slot] for slot in slots]
        for name, split in self.task.splits.items():
            if name not in ("train", "dev"):
                logits = self.pack_model.logits(split, averaged)[slots]
                for bad in self._score(step, name, logits, runs):
                    self.histories[runs[bad]].status = "diverged"
        if count is not None:
            found = self.pack_model.representations(self.task.splits["dev"], count)[slots]
            for run, tokens in zip(runs, found, strict=True):
                self.histories[run].representations = tokens

    def _end(self, slots: list[int], status: str, gone: Sequence[int] = ()) -> None:
        """Drop runs: `slots` with a status, `gone` as they are."""
        ended = sorted({*slots, *gone})
        if not ended:
            return
        self._share_time()
        for slot in slots:
            self.histories[self.running[slot]].status = status
        for slot in reversed(ended):
            del self.running[slot]
        if self.running:
            self.pack_model.drop(ended)

    def _keep(self, checkpoint_manager: CheckpointManager, step: int) -> None:
        self._share_time()
        for slot, run in enumerate(self.running):
            state = self.pack_model.state(slot)
            checkpoint_manager.save(
                self.runs[run].run_id, Checkpoint(step, self.histories[run], state)
            )

    def _share_time(self) -> None:
        now = time.perf_counter()
        for run in self.running:
            self.histories[run].seconds += (now - self.last) / len(self.running)
        self.last = now


def _is_due(checkpoint_manager: CheckpointManager, made: int) -> bool:
    """Whether a checkpoint is to be kept after so many updates."""
    every = checkpoint_manager.every
    return made == checkpoint_manager.pause or (every is not None and made % every == 0)
