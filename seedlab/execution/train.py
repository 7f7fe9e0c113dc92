"""Training of runs of one shape with an engine, without writing results."""

from __future__ import annotations

import dataclasses
import logging
import math
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from seedlab.engines import ENGINES
from seedlab.execution.events import Event
from seedlab.inputs.loaded import load_weights_of, prepare
from seedlab.spec.pack import EngineSpec
from seedlab.spec.recipe import RecipeSpec
from seedlab.spec.run import RunSpec
from seedlab.training.step_plan import make_plan

if TYPE_CHECKING:
    from seedlab.engines.engine import Engine
    from seedlab.tasks.encoded import EncodedTask
    from seedlab.training.checkpoint import CheckpointManager
    from seedlab.training.result import RunResult


log = logging.getLogger(__name__)
_EVENT_SECONDS = 1.0
"""Time between two updates that are reported; each report has one event per run of the column."""


def resolve_engine(run: RunSpec, task: EncodedTask, engine: EngineSpec) -> EngineSpec:
    """Return the engine's settings with the engine in the place of ``auto``."""
    from seedlab.engines.choose import choose

    weights = load_weights_of(run, task, prepare(engine))
    chosen, reason = choose(engine.name, run, weights.model)
    if reason:
        log.warning("training one run after another (engine=serial): %s", reason)
    return dataclasses.replace(engine, name=chosen)


def gpu_of(device: str) -> dict[str, str]:
    """Return what records say of a GPU: its product name and its UUID; nothing of a CPU."""
    import torch

    if device == "cpu":
        return {}
    found = torch.cuda.get_device_properties(device)
    return {"device_name": str(found.name), "device_uuid": str(getattr(found, "uuid", ""))}


def make_engine(engine: EngineSpec) -> Engine:
    """Return the engine that the settings name."""
    return ENGINES[engine.name]().of(engine)


def train(
    runs: list[RunSpec],
    task: EncodedTask,
    engine: EngineSpec,
    on_event: Callable[[Event], None] = lambda event: None,
    checkpoint_manager: CheckpointManager | None = None,
) -> Iterator[RunResult]:
    """Train runs of one shape with an engine; an iterator over their `RunResult`.

    No result is written: `seedlab verify` and `seedlab save` train through this as well.
    """
    from seedlab.tasks.metrics import METRICS
    from seedlab.training.loop import Callbacks
    from seedlab.training.trained_sizes import trained_sizes

    engine = resolve_engine(runs[0], task, engine)
    device = prepare(engine)
    weights = load_weights_of(runs[0], task, device)
    metrics = [METRICS[name] for name in task.metrics]
    specs = {run.run_id: run for run in runs}
    last, reported = -math.inf, -1

    def score(logits: Any, split: Any) -> dict[str, float]:
        return {metric.name: metric.score(logits, split.labels) for metric in metrics}

    def observe(run_id: str, step: int, value: float | None) -> None:
        nonlocal last, reported
        if value is None and step != reported:
            now = time.monotonic()
            if now - last < _EVENT_SECONDS:
                return
            # The other runs of the column made the same step, and are reported with it.
            last, reported = now, step
        kind = "stepped" if value is None else "evaluated"
        on_event(
            Event(
                kind,  # type: ignore[arg-type]
                run_id,
                step=step,
                total_steps=totals[run_id],
                score=value,
                higher_is_better=metrics[0].higher_is_better,
            )
        )

    n_train = len(task.splits["train"])
    totals = {
        run_id: make_plan(run.recipe, run.evaluation, n_train).total_steps
        for run_id, run in specs.items()
    }
    for run in runs:
        on_event(Event("started", run.run_id, total_steps=totals[run.run_id]))
    callbacks = Callbacks(score, observe, metrics[0].higher_is_better, checkpoint_manager)
    sizes: dict[RecipeSpec, tuple[int, ...]] = {}
    for run in runs:
        if run.recipe not in sizes:
            plan = make_plan(run.recipe, run.evaluation, n_train)
            sizes[run.recipe] = trained_sizes(run, plan, weights)
    for result in make_engine(engine).train(runs, task, weights, callbacks):
        # With the depths that were trained, the rates of all depths follow from the recipe.
        origin = {**result.provenance, "trained": sizes[result.spec.recipe], **gpu_of(device)}
        yield dataclasses.replace(result, provenance=origin)
