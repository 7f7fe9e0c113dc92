"""`launch`: what `hydra/launcher=seedlab` does with a batch of jobs."""

from __future__ import annotations

import logging
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, configure_log, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from seedlab.errors import SeedlabError
from seedlab.launch.adapter import TaskAdapter, adapter_of
from seedlab.launch.failure import completed_return, failure_report
from seedlab.launch.local import LocalExecutor
from seedlab.launch.messages import Session
from seedlab.launch.planning import BatchPlan, make_works, plan_batch
from seedlab.launch.progress import make_display
from seedlab.launch.slots import Slot, make_slots, usable_cores, visible_gpus
from seedlab.launch.work import Work

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LauncherSettings:
    """The values of ``hydra.launcher``; its configuration class explains them."""

    slots: int | None
    gpus: tuple[int | str, ...] | None
    retries: int
    start_timeout: float
    progress: str
    heartbeat: float

    def __post_init__(self) -> None:
        if self.retries < 0:
            raise SeedlabError(
                f"hydra.launcher.retries is {self.retries}; it must be 0 (a run whose worker dies "
                "is not tried again) or more."
            )
        for name in ("start_timeout", "heartbeat"):
            if not getattr(self, name) > 0:
                raise SeedlabError(
                    f"hydra.launcher.{name} is {getattr(self, name)}; it must be a number of "
                    "seconds above 0."
                )


def launch(
    settings: LauncherSettings,
    hydra_context: HydraContext,
    task_function: TaskFunction,
    config: DictConfig,
    batch: Sequence[Sequence[str]],
    first_number: int,
) -> list[JobReturn]:
    """Run a batch of jobs and return a JobReturn for each, in order.

    Parameters
    ----------
    settings : LauncherSettings
    hydra_context, task_function, config
        As Hydra's `Launcher.setup` gets them.
    batch : sequence of override lists
    first_number : int
        ``hydra.job.num`` of the first job.

    Raises
    ------
    SeedlabError
        A refusal, before anything is run.
    KeyboardInterrupt
        On Ctrl-C; what was finished is kept, and how to continue is printed.
    """
    setup_globals()
    configure_log(config.hydra.hydra_logging, config.hydra.verbose)
    adapter = adapter_of(task_function)
    plan = plan_batch(hydra_context.config_loader, config, batch, first_number, adapter)
    unfinished = len(plan.jobs) - len(plan.finished)
    slots = _slots(settings, plan) if unfinished else []
    works = make_works(plan, slots[0].threads) if unfinished else []
    if plan.dry and adapter is not None:
        _say(_described(plan, works, adapter))
        return [completed_return(job, None, _task_name(config)) for job in plan.jobs]
    returns = {
        job.position: completed_return(job, plan.finished[job.position], _task_name(config))
        for job in plan.jobs
        if job.position in plan.finished
    }
    Path(str(config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
    if adapter is not None:
        _begin(plan, adapter)
    log.info(_headline(plan, len(works), min(len(slots), len(works))))
    if works:
        session = Session(hydra_context, task_function, Singleton.get_state())
        returns |= _run(settings, session, slots[: len(works)], plan, works, _task_name(config))
    failed = [
        (job, returns[job.position]._return_value)
        for job in plan.jobs
        if returns[job.position].status is JobStatus.FAILED
    ]
    if failed:
        _say(failure_report(failed), error=True)
    return [returns[job.position] for job in plan.jobs]


def _run(
    settings: LauncherSettings,
    session: Session,
    slots: Sequence[Slot],
    plan: BatchPlan,
    works: Sequence[Work],
    task_name: str,
) -> Mapping[int, JobReturn]:
    total, before = len(plan.jobs), len(plan.finished)
    display = make_display(settings.progress, total, before, settings.heartbeat)
    executor = LocalExecutor(
        session,
        slots,
        task_name=task_name,
        retries=settings.retries,
        start_timeout=settings.start_timeout,
        display=display,
        # An empty entry is the working directory, which the workers share.
        search_path=sys.path,
    )
    try:
        with display:
            return executor.run(works)
    except KeyboardInterrupt:
        kept = "Finished runs are kept; continue" if plan.planned else "Run everything again"
        command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
        _say(f"\nInterrupted. {kept} with the same command:\n  {command}", error=True)
        raise


def _slots(settings: LauncherSettings, plan: BatchPlan) -> list[Slot]:
    """Return the slots for a batch; its engines have to agree on threads and device."""
    wanted = {(engine.threads, engine.device) for engine in plan.engines} or {(None, "auto")}
    if len(wanted) > 1:
        raise SeedlabError(
            "engine.threads and engine.device decide where workers run, so they can't differ "
            f"between the jobs of one launch; got (threads, device): "
            f"{', '.join(map(str, sorted(wanted, key=str)))}. Issue one command for each."
        )
    [(threads, device)] = wanted
    return make_slots(
        slots=settings.slots,
        gpus=settings.gpus,
        threads=threads,
        device=device,
        visible=[] if device == "cpu" else visible_gpus(os.environ),
        cores=usable_cores(),
    )


def _begin(plan: BatchPlan, adapter: TaskAdapter) -> None:
    for study in dict.fromkeys(item.plan.study for item in plan.planned):
        adapter.begin(study, [item.plan.spec for item in plan.planned if item.plan.study == study])


def _described(plan: BatchPlan, works: Sequence[Work], adapter: TaskAdapter) -> str:
    specs = [item.plan.spec for item in plan.planned]
    packs = [work.pack for work in works if work.pack is not None]
    finished = {job.run_id for job in plan.jobs if job.position in plan.finished}
    return adapter.describe(specs, packs, finished)


def _headline(plan: BatchPlan, works: int, workers: int) -> str:
    if not plan.planned:
        return f"{len(plan.jobs)} jobs on {workers} workers"
    todo = len(plan.jobs) - len(plan.finished)
    text = f"{len(plan.jobs)} runs: {len(plan.finished)} on record, {todo} to train"
    return f"{text} in {works} packs on {workers} workers" if works else text


def _task_name(config: DictConfig) -> str:
    return str(config.hydra.job.name)


def _say(text: str, *, error: bool = False) -> None:
    stream = sys.stderr if error else sys.stdout
    stream.write(text + "\n")
    stream.flush()
