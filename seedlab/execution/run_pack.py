"""Training of one pack: claims, checkpoints, records and events of its runs."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from seedlab.execution.checkpoint_manager import StudyCheckpointManager
from seedlab.execution.events import Event, Outcome
from seedlab.execution.train import make_engine, resolve_engine, train
from seedlab.inputs.loaded import load_task_of, prepare
from seedlab.spec.pack import EngineSpec, Pack, Stage
from seedlab.store.checkpoints import Checkpoints
from seedlab.store.chosen import ScoredRun, scored
from seedlab.store.study import StudyFolder
from seedlab.store.study_plan import check_begun

if TYPE_CHECKING:
    from seedlab.tasks.encoded import EncodedTask


log = logging.getLogger(__name__)


def execute(pack: Pack, folder: Path, on_event: Callable[[Event], None]) -> dict[str, Outcome]:
    """Train the runs of a pack that no other process trains and that are not on record yet.

    Parameters
    ----------
    pack : Pack
    folder : pathlib.Path
        The study's.
    on_event : callable

    Returns
    -------
    dict of run id to Outcome

    Raises
    ------
    LostError
        When the study, which has to be begun, is gone.
    """
    study, score, until = StudyFolder(folder), pack.engine.score, pack.stage.until
    check_begun(folder)
    outcomes: dict[str, Outcome] = {}
    with ExitStack() as stack:
        claimed = {}
        for run in pack.runs:
            claim = study.claim(run.run_id, until)
            if claim is not None:
                claimed[run.run_id] = stack.enter_context(claim)
        recorded = study.records() if len(claimed) < len(pack.runs) else {}
        for run in pack.runs:
            run_id = run.run_id
            if run_id not in claimed:
                found = recorded.get(run_id)
                reached = found is not None and found.has_reached(until)
                there = scored(study, found) if found is not None and reached else None
                outcomes[run_id] = (
                    Outcome("recorded", there.reported(score)) if there else Outcome("skipped")
                )
                on_event(_ended(there, run_id))
        todo = [run for run in pack.runs if run.run_id in claimed]
        if todo:
            task = load_task_of(todo[0])
            engine = resolve_engine(todo[0], task, pack.engine)
            checkpoint_manager = _checkpoint_manager(study, pack.stage, task, engine)
            for result in train(todo, task, engine, on_event, checkpoint_manager):
                run_id = result.spec.run_id
                if run_id in checkpoint_manager.resumed:
                    origin = {
                        **result.provenance,
                        "resumed_from": checkpoint_manager.resumed[run_id],
                    }
                    result = dataclasses.replace(result, provenance=origin)
                check_begun(folder)
                record = study.write(result, task)
                if record.is_over:
                    Checkpoints(folder).drop([run_id])
                claimed[run_id].release()
                ended = scored(study, record)
                outcomes[run_id] = Outcome("recorded", ended.reported(score))
                on_event(_ended(ended, run_id))
    return outcomes


def _checkpoint_manager(
    study: StudyFolder, stage: Stage, task: EncodedTask, engine: EngineSpec
) -> StudyCheckpointManager:
    from seedlab.tasks.metrics import METRICS

    metric, device = METRICS[task.metrics[0]], prepare(engine)
    return StudyCheckpointManager(
        study,
        stage,
        metric=metric.name,
        higher_is_better=metric.higher_is_better,
        circumstances={
            "engine": engine.name,
            "device": device,
            **make_engine(engine).circumstances(device),
        },
    )


def _ended(run: ScoredRun | None, run_id: str) -> Event:
    if run is None:
        return Event("skipped", run_id, message="another process trains it")
    record = run.record
    return Event(
        "finished" if record.is_over else "stopped",
        run_id,
        step=record.steps,
        total_steps=record.total_steps,
        score=run.reported("best"),
        message="failed run" if record.failed and record.is_over else "",
        higher_is_better=record.direction == "max",
        setting=record.run_spec().setting,
    )
