"""`Pace`: the speed of training a pack, measured by a few updates, and the times that follow from it.

The pack's own engine, width and threads are used, because a run of a wide pack takes a fraction of
the time of a run by itself.
"""

from __future__ import annotations

import dataclasses
import heapq
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np

from seedlab.errors import is_out_of_memory
from seedlab.execution.train import make_engine, resolve_engine
from seedlab.inputs.loaded import load_weights_of, prepare
from seedlab.spec.pack import EngineSpec
from seedlab.spec.run import EvaluationSpec, RunSpec
from seedlab.tasks.encoded import EncodedTask, Split
from seedlab.training.loop import Callbacks
from seedlab.training.step_plan import StepPlan, make_plan

_SECONDS = 2.0
"""Shortest time of measuring; a slow pack takes as long as three updates and an evaluation."""
_EVERY = 3
"""The measured updates after which the sample is scored."""
_LEAST_STEPS = 6


@dataclass(frozen=True)
class Pace:
    """The measured speed of one run of a pack.

    Parameters
    ----------
    step_seconds : float
        Seconds of one update: the update of the whole column, divided by its runs.
    example_seconds : float
        Seconds of scoring one example, divided in the same way.
    engine : str
    width : int
        Runs that were trained together.
    threads : int
        CPU threads.
    """

    step_seconds: float
    example_seconds: float
    engine: str
    width: int
    threads: int

    def run_seconds(self, run: RunSpec, plan: StepPlan, task: EncodedTask) -> float:
        """Return the seconds of one run to its end, scoring included.

        The validation set is scored at every evaluation, and twice where weights are averaged. Other
        sets are scored once, at the end. With `diagnostics.test_curve` the test set is scored at every
        evaluation; with `evaluation.keep` best the kept weights are scored on it once more.
        """
        start, evaluations = plan.averaging_start, len(plan.evaluation_steps)
        averaged = [step for step in plan.evaluation_steps if start is not None and step > start]
        times = dict.fromkeys(task.splits, 1) | {"train": 0, "dev": evaluations + len(averaged)}
        if run.diagnostics.test_curve:
            times["test"] = evaluations + (run.evaluation.keep == "best")
        scored = sum(times[name] * len(split) for name, split in task.splits.items())
        return plan.total_steps * self.step_seconds + scored * self.example_seconds


def elapsed(pack_seconds: Iterable[float], workers: int) -> float:
    """Return the seconds until all packs are done: each goes to the worker that is free first."""
    free = [0.0] * workers
    for seconds in pack_seconds:
        heapq.heapreplace(free, free[0] + seconds)
    return max(free)


def measure_pace(
    runs: Sequence[RunSpec],
    task: EncodedTask,
    engine: EngineSpec,
    clock: Callable[[], float] = time.perf_counter,
) -> Pace:
    """Train the runs of a pack for a moment; no result is written.

    Parameters
    ----------
    runs : sequence of RunSpec
        The runs of one pack. The serial engine trains the first of them alone. If memory runs out,
        half of them are measured.
    task : EncodedTask
    engine : EngineSpec
    clock : callable
        Time in seconds.
    """
    import torch

    resolved = resolve_engine(runs[0], task, engine)
    weights = load_weights_of(runs[0], task, prepare(engine))
    sampled = _sample(task.splits["dev"], runs[0].evaluation.batch_size)
    few = dataclasses.replace(task, splits={"train": task.splits["train"], "dev": sampled})
    left = [_short(run, len(task.splits["train"])) for run in runs]
    if resolved.name == "serial":
        left = left[:1]
    while True:
        watch = Stopwatch(clock)
        callbacks = Callbacks(watch.score, watch.observe)
        try:
            for _ in make_engine(resolved).train(left, few, weights, callbacks):
                pass
        except _EnoughError:
            pass
        except Exception as error:
            # As a launch does: a pack that does not fit is halved.
            if len(left) == 1 or not is_out_of_memory(error):
                raise
            left = left[: len(left) // 2]
            continue
        width, step, scoring = watch.column()
        return Pace(
            step / width,
            scoring / width / len(sampled),
            resolved.name,
            width,
            torch.get_num_threads(),
        )


class _EnoughError(Exception):
    """Ends a training of which enough was measured."""


@dataclass
class Stopwatch:
    """Times the updates and evaluations of a column from the callbacks of its training.

    Parameters
    ----------
    clock : callable
        Time in seconds.
    seconds : float
        Time after which the training is ended.
    """

    clock: Callable[[], float]
    seconds: float = _SECONDS
    runs: set[str] = field(default_factory=set)
    updates: list[float] = field(default_factory=list)
    """seconds of each update but the first, which also prepares memory"""
    evaluations: dict[int, float] = field(default_factory=dict)
    """step -> seconds of its update and evaluation"""
    _step: int = 0
    _began: float | None = None
    """end of the step before, or of this one's latest callback"""
    _before: float = 0.0
    _start: float = 0.0

    def score(self, logits: Any, split: Any) -> dict[str, float]:
        """Return a score; a dry run needs none."""
        return {"none": 0.0}

    def observe(self, run_id: str, step: int, value: float | None) -> None:
        """Note that a run made a step, and was scored if there is a value.

        Raises
        ------
        _EnoughError
            When enough was measured.
        """
        now = self.clock()
        if self._began is None:
            self._start = now
        elif step != self._step:
            self._before = self._began
            if value is None:
                self.updates.append(now - self._before)
        if value is not None and self._began is not None:
            self.evaluations[step] = now - self._before
        self.runs.add(run_id)
        self._step, self._began = step, now
        whole = value is None or len(self.evaluations) > 1
        if whole and self.updates and self.evaluations and now - self._start >= self.seconds:
            raise _EnoughError

    def column(self) -> tuple[int, float, float]:
        """Return the runs of the column, and the seconds of one update and of one evaluation.

        The first evaluation also prepares batches. It counts where there is no other.
        """
        step = median(self.updates)
        found = list(self.evaluations.values())
        return len(self.runs), step, max(0.0, median(found[1:] or found) - step)


def _short(run: RunSpec, n_examples: int) -> RunSpec:
    """Return a run whose evaluations come soon; nothing of it is recorded."""
    evaluation = EvaluationSpec(every=_EVERY, at_start=False, batch_size=run.evaluation.batch_size)
    recipe = run.recipe
    if make_plan(recipe, run.evaluation, n_examples).total_steps < _LEAST_STEPS:
        recipe = dataclasses.replace(recipe, max_steps=_LEAST_STEPS)
    # The sample has no test set.
    diagnostics = dataclasses.replace(run.diagnostics, test_curve=False)
    return dataclasses.replace(run, evaluation=evaluation, recipe=recipe, diagnostics=diagnostics)


def _sample(split: Split, n: int) -> Split:
    """Return `n` examples at equal distances: a set may be sorted by length or by class."""
    n = min(n, len(split))
    chosen = np.linspace(0, len(split) - 1, n).round().astype(np.int64)
    tokens = [np.arange(split.offsets[i], split.offsets[i + 1]) for i in chosen]
    places = np.concatenate(tokens)
    return dataclasses.replace(
        split,
        ids=split.ids[places],
        types=split.types[places],
        offsets=np.concatenate([[0], np.cumsum([len(place) for place in tokens])]),
        labels=split.labels[chosen],
    )
