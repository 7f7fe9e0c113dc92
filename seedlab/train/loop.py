"""The one training loop, over the runs of a column: same batches, a model each.

It knows steps, batches, evaluations, runs that end early and checkpoints; how the models
compute is the business of a `Trainee`, which the engine supplies.
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

from seedlab.spec import RunSpec
from seedlab.tasks.encoded import EncodedTask, Split
from seedlab.train.batches import Batch, collate, training_batches
from seedlab.train.checkpoint import Checkpoint, Keeper
from seedlab.train.plan import Plan
from seedlab.train.result import Evaluation, Profile
from seedlab.train.trace import Trace

Floats = npt.NDArray[np.float64]
Score = Callable[[npt.NDArray[np.float32], Split], Mapping[str, float]]
"""((example, class) logits, split) -> value of every metric, the deciding one first"""
Observe = Callable[[str, int, float | None], None]
"""(run id, steps made, dev score if one was taken) -> nothing"""


class Trainee(Protocol):
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
class Watch:
    """Who scores, who is told, and who keeps checkpoints.

    Parameters
    ----------
    score : Score
    observe : Observe
        Told after every step and evaluation.
    higher_is_better : bool
        Of the deciding metric; patience needs it.
    keeper : Keeper, optional
    """

    score: Score
    observe: Observe
    higher_is_better: bool = True
    keeper: Keeper | None = None


def train_column(
    trainee: Trainee,
    runs: Sequence[RunSpec],
    plan: Plan,
    task: EncodedTask,
    watch: Watch,
    checkpoints: Sequence[Checkpoint] = (),
) -> list[Trace]:
    """Train the runs of a column and return their traces, in slot order.

    The ``dev`` split is scored at every evaluation step of the plan, the other splits when a run
    ends. A run whose loss or logits stop being finite, or whose patience runs out, is dropped;
    the others go on.

    Parameters
    ----------
    trainee : Trainee
        Of these runs; the state of the checkpoints, where there are any, loaded.
    runs : sequence of RunSpec
        Of one order seed; they agree in batches, evaluations and diagnostics.
    plan : Plan
    task : EncodedTask
    watch : Watch
    checkpoints : sequence of Checkpoint
        Where to go on from: none, or one per run, all of the same step.
    """
    return _Column(trainee, runs, plan, task, watch, checkpoints).train()


class _Column:
    def __init__(
        self,
        trainee: Trainee,
        runs: Sequence[RunSpec],
        plan: Plan,
        task: EncodedTask,
        watch: Watch,
        checkpoints: Sequence[Checkpoint],
    ) -> None:
        self.trainee, self.runs, self.plan, self.task, self.watch = trainee, runs, plan, task, watch
        self.traces = [c.trace for c in checkpoints] or [Trace() for _ in runs]
        self.start = checkpoints[0].step if checkpoints else 0
        self.running = list(range(len(runs)))
        self.last = time.perf_counter()

    def train(self) -> list[Trace]:
        plan, train, like = self.plan, self.task.splits["train"], self.runs[0]
        due, keeper = set(plan.evaluation_steps), self.watch.keeper
        pause = keeper.pause if keeper is not None else None
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
                    self.watch.observe(self.runs[run].run_id, made, None)
            if keeper is not None and made < plan.total_steps and _is_due(keeper, made):
                self._keep(keeper, made)
        if pause is not None and pause < plan.total_steps:
            for run in self.running:
                self.traces[run].status = "paused"
        elif self.running:
            self._finish(list(range(len(self.running))), plan.total_steps)
        self._share_time()
        return self.traces

    def _update(self, batch: Batch, step: int, by_depth: bool) -> None:
        losses, norms = self.trainee.update(batch, step, by_depth)
        for slot, run in enumerate(self.running):
            trace = self.traces[run]
            trace.losses.append(float(losses[slot]))
            if by_depth:
                values = tuple(norms[slot].tolist())
                trace.profiles.append(Profile(step, "gradient_norm", values))
                trace.grad_norms.append(float(np.sqrt(np.sum(norms[slot] ** 2))))
            else:
                trace.grad_norms.append(float(norms[slot]))
        self._end(np.flatnonzero(~np.isfinite(losses)).tolist(), "diverged")

    def _score_dev(self, step: int) -> None:
        start = self.plan.averaging_start
        averaged = start is not None and step > start
        if averaged:
            live = self.trainee.logits(self.task.splits["dev"], False)
            self._score(step, "dev_live", live, self.running)
        logits = self.trainee.logits(self.task.splits["dev"], averaged)
        if self.runs[0].diagnostics.distances:
            for run, values in zip(self.running, self.trainee.distances(), strict=True):
                profile = Profile(step, "distance", tuple(values.tolist()))
                self.traces[run].profiles.append(profile)
        bad = self._score(step, "dev", logits, self.running)
        patience = self.runs[0].evaluation.patience
        idle = [
            slot
            for slot, run in enumerate(self.running)
            if patience is not None and self.traces[run].idle > patience and slot not in bad
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
            values, trace = self.watch.score(logits[slot], split), self.traces[run]
            epoch = step / self.plan.steps_per_epoch
            trace.evaluations += [
                Evaluation(step, epoch, name, metric, value) for metric, value in values.items()
            ]
            if name != "dev_live":
                trace.logits[name] = logits[slot]
            if name == "dev":
                value = next(iter(values.values()))
                trace.judge(value, self.watch.higher_is_better)
                self.watch.observe(self.runs[run].run_id, step, value)
        return bad

    def _finish(self, slots: list[int], step: int) -> None:
        """Score the other splits for runs that are through."""
        start, count = self.plan.averaging_start, self.runs[0].diagnostics.representations
        averaged = start is not None and step > start
        runs = [self.running[slot] for slot in slots]
        for name, split in self.task.splits.items():
            if name not in ("train", "dev"):
                logits = self.trainee.logits(split, averaged)[slots]
                for bad in self._score(step, name, logits, runs):
                    self.traces[runs[bad]].status = "diverged"
        if count is not None:
            found = self.trainee.representations(self.task.splits["dev"], count)[slots]
            for run, tokens in zip(runs, found, strict=True):
                self.traces[run].representations = tokens

    def _end(self, slots: list[int], status: str, gone: Sequence[int] = ()) -> None:
        """Drop runs: `slots` with a status, `gone` as they are."""
        ended = sorted({*slots, *gone})
        if not ended:
            return
        self._share_time()
        for slot in slots:
            self.traces[self.running[slot]].status = status
        for slot in reversed(ended):
            del self.running[slot]
        if self.running:
            self.trainee.drop(ended)

    def _keep(self, keeper: Keeper, step: int) -> None:
        self._share_time()
        for slot, run in enumerate(self.running):
            state = self.trainee.state(slot)
            keeper.save(self.runs[run].run_id, Checkpoint(step, self.traces[run], state))

    def _share_time(self) -> None:
        now = time.perf_counter()
        for run in self.running:
            self.traces[run].seconds += (now - self.last) / len(self.running)
        self.last = now


def _is_due(keeper: Keeper, made: int) -> bool:
    """Whether a checkpoint is to be kept after so many updates."""
    every = keeper.every
    return made == keeper.pause or (every is not None and made % every == 0)
