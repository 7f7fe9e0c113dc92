"""`train_column`: the training loop over the runs of a column, which share their batches.

The loop decides on steps, batches, evaluations, early ends, kept weights and checkpoints. The
computation itself is a `PackModel`, which the engine supplies.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from seedlab.spec.run import RunSpec
from seedlab.tasks.encoded import EncodedTask, Split
from seedlab.training.batches import Batch, collate, training_batches
from seedlab.training.checkpoint import Checkpoint, CheckpointManager
from seedlab.training.history import History
from seedlab.training.kept_weights import KeptWeights, is_best
from seedlab.training.pack_model import PackModel
from seedlab.training.result import Profile
from seedlab.training.step_plan import StepPlan

Score = Callable[[npt.NDArray[np.float32], Split], Mapping[str, float]]
"""((example, class) logits, split) -> value of every metric; the deciding one comes first."""
Observe = Callable[[str, int, float | None], None]
"""(run id, steps made, score on ``dev`` or None without an evaluation) -> None"""


@dataclass(frozen=True)
class Callbacks:
    """Callbacks of the training loop for scoring, progress and checkpoints.

    Parameters
    ----------
    score : Score
    observe : Observe
        Called after every step and evaluation.
    higher_is_better : bool
        Direction of the deciding metric, for patience and for `evaluation.keep`.
    checkpoint_manager : CheckpointManager, optional
        None: no checkpoints.
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
    """Train the runs of a column and return their histories, in slot order.

    The ``dev`` split is scored at every evaluation step of the plan (``test`` too, with
    `diagnostics.test_curve`), the other splits when a run ends. A run is dropped when its loss or a
    logit is not finite, or when its patience is exhausted. The other runs continue. When a run ends
    or stops, the weights that `evaluation.keep` asks for are in its slot, and other splits are scored
    with them.

    Parameters
    ----------
    pack_model : PackModel
        One slot per run; the state of the checkpoints is already loaded.
    runs : sequence of RunSpec
        They have one order seed, and the same batches, evaluations and diagnostics.
    plan : StepPlan
    task : EncodedTask
    callbacks : Callbacks
    checkpoints : sequence of Checkpoint
        Empty, or one per run at the same step: the runs resume there.
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
        self.pack_model, self.runs, self.plan = pack_model, runs, plan
        self.task, self.callbacks = task, callbacks
        self.histories = [c.history for c in checkpoints] or [History() for _ in runs]
        self.start = checkpoints[0].step if checkpoints else 0
        self.running = list(range(len(runs)))
        self.last_time = time.perf_counter()

    def train(self) -> list[History]:
        plan, train, first = self.plan, self.task.splits["train"], self.runs[0]
        due, checkpoint_manager = set(plan.evaluation_steps), self.callbacks.checkpoint_manager
        until = checkpoint_manager.until if checkpoint_manager is not None else None
        every = first.diagnostics.gradient_norms
        if self.start == 0 and 0 in due:
            self._score_dev(0)
        batches = training_batches(len(train), first.recipe.batch_size, first.seeds.order)
        for step, indices in enumerate(islice(batches, self.start, plan.total_steps), self.start):
            if not self.running or step == until:
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
                self._save(checkpoint_manager, made)
        if until is not None and until < plan.total_steps:
            for run in self.running:
                self.histories[run].status = "stopped"
            self._put_back(range(len(self.running)))
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
        self._end(np.flatnonzero(~np.isfinite(losses)).tolist())

    def _score_dev(self, step: int) -> None:
        start = self.plan.averaging_start
        averaged = start is not None and step > start
        steps = [step] * len(self.running)
        if averaged:
            live = self.pack_model.logits(self.task.splits["dev"], False)
            self._score(steps, "dev_live", live, self.running)
        logits = self.pack_model.logits(self.task.splits["dev"], averaged)
        if self.runs[0].diagnostics.distances:
            for run, values in zip(self.running, self.pack_model.distances(), strict=True):
                profile = Profile(step, "distance", tuple(values.tolist()))
                self.histories[run].profiles.append(profile)
        diverged = self._score(steps, "dev", logits, self.running)
        patience = self.runs[0].evaluation.patience
        idle = [
            slot
            for slot, run in enumerate(self.running)
            if patience is not None and self.histories[run].idle > patience and slot not in diverged
        ]
        # After the last step every run is finished anyway, by `train`.
        ended = idle if step < self.plan.total_steps else []
        if self.runs[0].diagnostics.test_curve:
            # Runs that end now are scored by `_finish`, unless it scores the weights of another step.
            others = self.runs[0].evaluation.keep == "best"
            over = range(len(self.running)) if step == self.plan.total_steps else ended
            self._score_test(step, averaged, {*diverged, *(() if others else over)})
        if ended:
            self._finish(ended, step)
        self._end(diverged, ended)

    def _score(
        self, steps: Sequence[int], name: str, logits: npt.NDArray[np.float32], runs: Sequence[int]
    ) -> list[int]:
        """Score the logits of some runs; return the slots whose logits are not finite.

        `steps` are the updates made before the scored weights, one number per run.
        """
        split, diverged = self.task.splits[name.removesuffix("_live")], []
        for slot, (run, step) in enumerate(zip(runs, steps, strict=True)):
            if not np.isfinite(logits[slot]).all():
                diverged.append(slot)
                continue
            values, history = self.callbacks.score(logits[slot], split), self.histories[run]
            history.add_scores(self.plan, step, name, values)
            if name == "dev":
                value = next(iter(values.values()))
                history.update_best(value, self.callbacks.higher_is_better)
                self.callbacks.observe(self.runs[run].run_id, step, value)
                if self._keep(slot, step, value):
                    history.logits[name] = logits[slot]
            elif name != "dev_live":
                history.logits[name] = logits[slot]
        return diverged

    def _keep(self, slot: int, step: int, score: float) -> bool:
        """Keep the scored weights, if they are the best; return whether their logits are the run's."""
        history = self.histories[self.running[slot]]
        if self.runs[0].evaluation.keep == "final":
            return True
        if not is_best(history.kept, step, score, self.callbacks.higher_is_better):
            # As long as no weights are kept, the final ones may be.
            return history.kept is None
        # The last weights are in their slot already.
        last = step == self.plan.total_steps
        tensors = {} if last else self.pack_model.scored_weights(slot)
        history.kept = KeptWeights(step, score, tensors)
        return True

    def _put_back(self, slots: Iterable[int]) -> None:
        """Put the kept weights of runs that end into their slots; the copies are freed."""
        for slot in slots:
            history = self.histories[self.running[slot]]
            if history.kept is not None and history.kept.tensors:
                self.pack_model.put_back(slot, history.kept.tensors)
                history.kept = dataclasses.replace(history.kept, tensors={})

    def _score_test(self, step: int, averaged: bool, without: set[int]) -> None:
        """Score the test set for all slots but some; nothing else of it is kept."""
        if without.issuperset(range(len(self.running))):
            return
        logits = self.pack_model.logits(split := self.task.splits["test"], averaged)
        for slot, run in enumerate(self.running):
            if slot not in without and np.isfinite(logits[slot]).all():
                values = self.callbacks.score(logits[slot], split)
                self.histories[run].add_scores(self.plan, step, "test", values)

    def _finish(self, slots: list[int], step: int) -> None:
        """Score the other splits, and record representations, for runs whose training ends."""
        self._put_back(slots)
        start, count = self.plan.averaging_start, self.runs[0].diagnostics.representations
        averaged = start is not None and step > start
        runs = [self.running[slot] for slot in slots]
        kept = [self.histories[run].kept for run in runs]
        steps = [step if one is None else one.step for one in kept]
        for name, split in self.task.splits.items():
            if name not in ("train", "dev"):
                logits = self.pack_model.logits(split, averaged)[slots]
                for slot in self._score(steps, name, logits, runs):
                    self.histories[runs[slot]].status = "diverged"
        if count is not None:
            found = self.pack_model.representations(self.task.splits["dev"], count)[slots]
            for run, tokens in zip(runs, found, strict=True):
                self.histories[run].representations = tokens

    def _end(self, diverged: list[int], finished: Sequence[int] = ()) -> None:
        """Drop the runs in these slots, and set the status of those that diverged."""
        ended = sorted({*diverged, *finished})
        if not ended:
            return
        self._share_time()
        self._put_back(diverged)
        for slot in diverged:
            self.histories[self.running[slot]].status = "diverged"
        for slot in reversed(ended):
            del self.running[slot]
        if self.running:
            self.pack_model.drop(ended)

    def _save(self, checkpoint_manager: CheckpointManager, step: int) -> None:
        self._share_time()
        for slot, run in enumerate(self.running):
            state = self.pack_model.state(slot)
            checkpoint_manager.save(
                self.runs[run].run_id, Checkpoint(step, self.histories[run], state)
            )

    def _share_time(self) -> None:
        """Divide the time since the last call among the running runs."""
        now = time.perf_counter()
        for run in self.running:
            self.histories[run].seconds += (now - self.last_time) / len(self.running)
        self.last_time = now


def _is_due(checkpoint_manager: CheckpointManager, made: int) -> bool:
    """Whether a checkpoint is saved after `made` updates."""
    every = checkpoint_manager.every
    return made == checkpoint_manager.until or (every is not None and made % every == 0)
