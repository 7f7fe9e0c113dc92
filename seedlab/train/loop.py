"""The one training loop, over the runs of a column: same batches, a model each.

It knows steps, batches, evaluations and runs that diverge; how the models compute is the
business of a `Trainee`, which the engine supplies.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from seedlab.spec import RunSpec
from seedlab.tasks.encoded import EncodedTask, Split
from seedlab.train.batches import Batch, collate, training_batches
from seedlab.train.plan import Plan
from seedlab.train.result import Evaluation, RunResult

Floats = npt.NDArray[np.float64]
Score = Callable[[npt.NDArray[np.float32], Split], Mapping[str, float]]
"""((example, class) logits, split) -> value of every metric, the deciding one first"""
Observe = Callable[[int, int, float | None], None]
"""(run, steps made, dev score if one was taken) -> nothing"""


class Trainee(Protocol):
    """The models of a column in training, one slot per run."""

    def update(self, batch: Batch, step: int, multiplier: float) -> tuple[Floats, Floats]:
        """Make update number `step`; return (slot,) losses and gradient norms."""
        ...

    def logits(self, split: Split) -> npt.NDArray[np.float32]:
        """Return the (slot, example, class) logits of a split, changing nothing."""
        ...

    def drop(self, slots: list[int]) -> None:
        """Stop computing these slots; the others move up."""
        ...


@dataclass
class Trace:
    """What the loop saw of one run; see `seedlab.train.result.RunResult`.

    `seconds` is the run's share: the time of the column, divided by the runs in it.
    """

    status: str = "finished"
    evaluations: list[Evaluation] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    grad_norms: list[float] = field(default_factory=list)
    logits: dict[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    seconds: float = 0.0

    def result(self, run: RunSpec, plan: Plan, provenance: Mapping[str, Any]) -> RunResult:
        """Return the trace as the result of `run`, which was trained by `plan`."""
        rates = np.array(plan.multipliers[: len(self.losses)])
        return RunResult(
            spec=run,
            status=self.status,
            evaluations=tuple(self.evaluations),
            losses=np.array(self.losses),
            learning_rates=run.recipe.optimizer.learning_rate * rates,
            grad_norms=np.array(self.grad_norms),
            logits=self.logits,
            total_steps=plan.total_steps,
            seconds=self.seconds,
            provenance=provenance,
        )


def train_column(
    trainee: Trainee,
    n_runs: int,
    plan: Plan,
    task: EncodedTask,
    *,
    batch_size: int,
    order_seed: int,
    score: Score,
    observe: Observe,
) -> list[Trace]:
    """Train the runs of a column to the end and return their traces, in slot order.

    The ``dev`` split is scored at every evaluation step of the plan, the other splits after
    the last. A run whose loss or logits stop being finite is dropped; the others go on.
    """
    last = time.perf_counter()
    traces = [Trace() for _ in range(n_runs)]
    running = list(range(n_runs))
    due = set(plan.evaluation_steps)

    def share_time() -> None:
        nonlocal last
        now = time.perf_counter()
        for run in running:
            traces[run].seconds += (now - last) / len(running)
        last = now

    def part(bad: npt.NDArray[np.bool_]) -> None:
        slots = np.flatnonzero(bad).tolist()
        if slots:
            share_time()
        for slot in slots:
            traces[running[slot]].status = "diverged"
        for slot in reversed(slots):
            del running[slot]
        if slots and running:
            trainee.drop(slots)

    def evaluate(step: int, name: str) -> None:
        split = task.splits[name]
        logits = trainee.logits(split)
        bad = np.array([not np.isfinite(slot).all() for slot in logits])
        epoch = step / plan.steps_per_epoch
        for slot, run in enumerate(running):
            if not bad[slot]:
                values = score(logits[slot], split)
                traces[run].evaluations += [
                    Evaluation(step, epoch, name, metric, value) for metric, value in values.items()
                ]
                traces[run].logits[name] = logits[slot]
                if name == "dev":
                    observe(run, step, next(iter(values.values())))
        part(bad)

    if 0 in due:
        evaluate(0, "dev")
    examples = training_batches(len(task.splits["train"]), batch_size, order_seed)
    for step, indices in enumerate(islice(examples, plan.total_steps)):
        if not running:
            break
        batch = collate(task.splits["train"], indices, task.pad_id)
        losses, norms = trainee.update(batch, step, plan.multipliers[step])
        for slot, run in enumerate(running):
            traces[run].losses.append(float(losses[slot]))
            traces[run].grad_norms.append(float(norms[slot]))
        part(np.asarray(~np.isfinite(losses)))
        if step + 1 in due and running:
            evaluate(step + 1, "dev")
        elif running:
            for run in running:
                observe(run, step + 1, None)
    for name in task.splits:
        if name not in ("train", "dev") and running:
            evaluate(plan.total_steps, name)
    share_time()
    return traces
