"""`execute`: train a pack in this process and put its runs on record.

The task is tokenised once per study (cached on disk) and the weights are loaded once per
worker; both stay in memory for the packs that follow.
"""

from __future__ import annotations

import dataclasses
import importlib
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seedlab.content import load_encoded
from seedlab.engines import ENGINES
from seedlab.errors import SeedlabError
from seedlab.grid import EngineSpec, Pack, Stage
from seedlab.launch.events import Event, Outcome
from seedlab.launch.keeper import StoreKeeper
from seedlab.spec import ModelSpec, RunSpec
from seedlab.store.checkpoints import Checkpoints
from seedlab.store.record import Record
from seedlab.store.study import Study
from seedlab.train.plan import make_plan

if TYPE_CHECKING:
    from seedlab.models.weights import Weights
    from seedlab.tasks.encoded import EncodedTask
    from seedlab.train.checkpoint import Keeper
    from seedlab.train.result import RunResult
    from seedlab.train.structure import Structure

log = logging.getLogger(__name__)
_EVENT_SECONDS = 0.25
"""A step count is sent at most this often per pack."""


def execute(pack: Pack, folder: Path, on_event: Callable[[Event], None]) -> dict[str, Outcome]:
    """Train the runs of a pack that nobody trains and that have not come so far yet.

    Parameters
    ----------
    pack : Pack
    folder : pathlib.Path
        The study's.
    on_event : callable

    Returns
    -------
    dict of run id to Outcome
    """
    study, score, until = Study(folder), pack.engine.score, pack.stage.until
    outcomes: dict[str, Outcome] = {}
    with ExitStack() as stack:
        claimed = {}
        for run in pack.runs:
            claim = study.claim(run.run_id, until)
            if claim is not None:
                claimed[run.run_id] = stack.enter_context(claim)
        recorded = study.finished() if len(claimed) < len(pack.runs) else {}
        for run in pack.runs:
            run_id = run.run_id
            if run_id not in claimed:
                found = recorded.get(run_id)
                there = found if found is not None and found.has_reached(until) else None
                outcomes[run_id] = (
                    Outcome("finished", there.reported(score)) if there else Outcome("skipped")
                )
                on_event(_ended(there, run_id))
        todo = [run for run in pack.runs if run.run_id in claimed]
        if todo:
            task = load_task_of(todo[0])
            engine = resolve_engine(todo[0], task, pack.engine)
            keeper = _keeper(study, pack.stage, task, engine)
            for result in train(todo, task, engine, on_event, keeper):
                run_id = result.spec.run_id
                if run_id in keeper.resumed:
                    origin = {**result.provenance, "resumed_from": keeper.resumed[run_id]}
                    result = dataclasses.replace(result, provenance=origin)
                record = study.write(result, task)
                if record.is_over:
                    Checkpoints(folder).drop([run_id])
                claimed[run_id].release()
                outcomes[run_id] = Outcome("finished", record.reported(score))
                on_event(_ended(record, run_id))
    return outcomes


def resolve_engine(run: RunSpec, task: EncodedTask, engine: EngineSpec) -> EngineSpec:
    """Return the engine's settings with the engine in the place of ``auto``."""
    from seedlab.engines.choice import choose

    weights = load_weights_of(run, task, prepare(engine))
    chosen, reason = choose(engine.name, run, weights.model)
    if reason:
        log.warning("training one run after another (engine=serial): %s", reason)
    return dataclasses.replace(engine, name=chosen)


def _keeper(study: Study, stage: Stage, task: EncodedTask, engine: EngineSpec) -> StoreKeeper:
    from seedlab.tasks.metrics import METRICS

    metric, device = METRICS[task.metrics[0]], prepare(engine)
    return StoreKeeper(
        study,
        stage,
        metric=metric.name,
        higher_is_better=metric.higher_is_better,
        circumstances={
            "engine": engine.name,
            "device": device,
            **_trainer(engine).circumstances(device),
        },
    )


def _trainer(engine: EngineSpec) -> Any:
    """Return the engine that the settings name."""
    module, _, name = ENGINES[engine.name].partition(":")
    return getattr(importlib.import_module(module), name).of(engine)


def train(
    runs: list[RunSpec],
    task: EncodedTask,
    engine: EngineSpec,
    on_event: Callable[[Event], None] = lambda event: None,
    keeper: Keeper | None = None,
) -> Iterator[RunResult]:
    """Train runs of one shape with an engine; an iterator over their `RunResult`.

    No result is written: `seedlab verify` and `seedlab save` train through this as well.
    """
    from seedlab.tasks.metrics import METRICS
    from seedlab.train.loop import Watch

    engine = resolve_engine(runs[0], task, engine)
    weights = load_weights_of(runs[0], task, prepare(engine))
    metrics = [METRICS[name] for name in task.metrics]
    specs = {run.run_id: run for run in runs}
    last = 0.0

    def score(logits: Any, split: Any) -> dict[str, float]:
        return {metric.name: metric.score(logits, split.labels) for metric in metrics}

    def observe(run_id: str, step: int, value: float | None) -> None:
        nonlocal last
        now = time.monotonic()
        if value is None and now - last < _EVENT_SECONDS:
            return
        last = now
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
    watch = Watch(score, observe, metrics[0].higher_is_better, keeper)
    yield from _trainer(engine).train(runs, task, weights, watch)


def load_task_of(run: RunSpec) -> EncodedTask:
    """Return the run's task, and check that it still is what the run was planned on."""
    task = load_encoded(run.task, run.model, run.seeds.subsample, run.recipe.truncation)
    if run.data_hash and task.content_hash() != run.data_hash:
        raise SeedlabError(
            f"the data of task '{run.task.name}' has changed since run {run.run_id} was planned "
            f"(content {task.content_hash()}, expected {run.data_hash}); restore the files, or plan "
            "anew by issuing the command again."
        )
    return task


def load_weights_of(run: RunSpec, task: EncodedTask, device: str) -> Weights:
    """Return the run's pre-trained model on a device, loaded once per process."""
    from seedlab.train.structure import structure_of

    structure = structure_of(run.recipe)
    return _weights(run.model, task.n_labels, task.pad_id, task.max_length, structure, device)


@lru_cache(maxsize=1)
def _weights(
    model: ModelSpec,
    n_labels: int,
    pad_id: int,
    max_length: int,
    structure: Structure,
    device: str,
) -> Weights:
    from seedlab.models.checkpoint import locate
    from seedlab.models.weights import MASTER_DTYPES, load_weights

    weights = load_weights(
        locate(model.name, model.path, model.allow_pickle),
        n_labels=n_labels,
        pad_id=pad_id,
        max_length=max_length,
        dtype=MASTER_DTYPES[model.dtype],
        trust_remote_code=model.trust_remote_code,
        **structure._asdict(),
    )
    weights.model.to(device)
    return weights


def prepare(engine: EngineSpec) -> str:
    """Set the number of CPU threads and return the device that the engine's settings mean.

    Raises
    ------
    SeedlabError
        When a CUDA device is asked for, or needed, and there is none.
    """
    import torch

    if engine.threads is not None:
        torch.set_num_threads(engine.threads)
    if engine.device == "cpu" or (engine.device == "auto" and not torch.cuda.is_available()):
        if engine.graphs:
            raise SeedlabError(
                "engine.graphs=true records CUDA graphs, but torch sees no CUDA device; use "
                "engine.graphs=false, or install a CUDA build of torch."
            )
        return "cpu"
    if not torch.cuda.is_available():
        raise SeedlabError(
            "engine.device=cuda, but torch sees no CUDA device; use engine.device=auto or cpu, or "
            "install a CUDA build of torch."
        )
    return "cuda:0"


def _ended(record: Record | None, run_id: str) -> Event:
    if record is None:
        return Event("skipped", run_id, message="another process trains it")
    return Event(
        "finished" if record.is_over else "paused",
        run_id,
        step=record.steps,
        total_steps=record.total_steps,
        score=record.best_score,
        message="failed run" if record.failed and record.is_over else "",
        higher_is_better=record.direction == "max",
    )
