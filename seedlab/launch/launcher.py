"""`launch`: what `hydra/launcher=seedlab` does with a batch of jobs."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus, configure_log, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from seedlab.compat.hydra_private import returned_value, singleton_state
from seedlab.errors import SeedlabError
from seedlab.launch.batch_plan import BatchPlan, make_work_items, plan_batch
from seedlab.launch.display.displays import check_mode, make_display
from seedlab.launch.jobs.application import CohortProtocol, TaskAdapter, adapter_of
from seedlab.launch.jobs.slots import Slot, make_slots, usable_cores, visible_gpus
from seedlab.launch.jobs.work import WorkItem
from seedlab.launch.repeat_command import command
from seedlab.launch.stages import Stages
from seedlab.launch.workers.failures import completed_return, failure_report
from seedlab.launch.workers.messages import Session
from seedlab.launch.workers.pool import LocalExecutor

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
        check_mode(self.progress)
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
    cohorts = adapter.cohorts([item.plan for item in plan.planned]) if adapter is not None else ()
    if cohorts:
        _refuse_batches(config)
    slots = _slots(settings, plan) if len(plan.finished) < len(plan.jobs) else []
    task_name = str(config.hydra.job.name)
    if plan.dry and adapter is not None:
        _say(_described(plan, cohorts, slots, adapter))
        return [completed_return(job, None, task_name) for job in plan.jobs]
    returns = {
        job.position: completed_return(job, plan.finished[job.position], task_name)
        for job in plan.jobs
        if job.position in plan.finished
    }
    Path(str(config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
    if adapter is not None:
        _begin(plan, cohorts, adapter)
    deferred: Sequence[str] = ()
    if slots:
        stages = Stages(plan, cohorts, slots[0].threads, len(slots))
        session = Session(hydra_context, task_function, singleton_state())
        _train(settings, session, slots, plan, stages, returns, task_name)
        deferred = _report(plan, cohorts, stages, returns, task_name)
    else:
        log.info(f"{len(plan.jobs)} runs, all of them on record")
    errors = _errors(returns)
    if errors:
        failed = [(job, errors[job.position]) for job in plan.jobs if job.position in errors]
        _say("\n".join([failure_report(failed), *deferred]), error=True)
    return [returns[job.position] for job in plan.jobs]


def _train(
    settings: LauncherSettings,
    session: Session,
    slots: Sequence[Slot],
    plan: BatchPlan,
    stages: Stages,
    returns: dict[int, JobReturn],
    task_name: str,
) -> None:
    """Do the work of all stages; what comes of it goes into `returns`."""
    executor = LocalExecutor(
        session,
        slots,
        task_name=task_name,
        retries=settings.retries,
        start_timeout=settings.start_timeout,
        # An empty entry is the working directory, which the workers share.
        search_path=sys.path,
    )
    try:
        with executor:
            while work_items := stages.next(_errors(returns)):
                jobs = sum(len(work.jobs) for work in work_items)
                log.info(_headline(plan, work_items, min(len(slots), len(work_items))))
                before = 0 if stages.several else len(plan.finished)
                total = jobs + before
                display = make_display(settings.progress, total, before, settings.heartbeat)
                with display:
                    returns.update(executor.run(work_items, display))
    except KeyboardInterrupt:
        kept = "Finished runs are kept; continue" if plan.planned else "Run everything again"
        _say(f"\nInterrupted. {kept} with the same command:\n  {command()}", error=True)
        raise


def _report(
    plan: BatchPlan,
    cohorts: Sequence[CohortProtocol],
    stages: Stages,
    returns: dict[int, JobReturn],
    task_name: str,
) -> list[str]:
    """Say what came of the races, let their jobs report what there is; return what is put off."""
    deferred: list[str] = []
    errors = _errors(returns)
    for cohort in cohorts:
        jobs = {item.job.run_id: item for item in plan.planned if item.plan.study == cohort.study}
        scores = cohort.reports(plan.planned[0].plan.engine.score)
        for run in cohort.cells:
            job = jobs[run.run_id].job
            if run.run_id in scores and job.position not in errors:
                returned = returns.get(job.position)
                if returned is None or returned_value(returned) != scores[run.run_id]:
                    returns[job.position] = completed_return(job, scores[run.run_id], task_name)
        if waits := stages.deferred(cohort, errors):
            deferred += waits
        else:
            log.info(cohort.outcome_text())
    return deferred


def _errors(returns: Mapping[int, JobReturn]) -> dict[int, BaseException]:
    return {at: returned_value(r) for at, r in returns.items() if r.status is JobStatus.FAILED}


def _refuse_batches(config: DictConfig) -> None:
    """Refuse a sweeper that hands over a race in parts: each part would be a race of its own."""
    size = OmegaConf.select(config, "hydra.sweeper.max_batch_size", default=None)
    if size is not None:
        raise SeedlabError(
            f"hydra.sweeper.max_batch_size={size} hands the jobs over in batches, and early stopping "
            "would compare the runs of each batch by themselves; with early_stopping it must be null: "
            "leave it out (packs are made of all runs anyhow)."
        )


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
    slots = make_slots(
        slots=settings.slots,
        gpus=settings.gpus,
        threads=threads,
        device=device,
        visible=[] if device == "cpu" else visible_gpus(os.environ),
        cores=usable_cores(),
    )
    if slots[0].gpu is None and any(engine.graphs for engine in plan.engines):
        raise SeedlabError(
            "engine.graphs=true records CUDA graphs, but no GPU is visible here; use "
            "engine.graphs=false, or make one visible (CUDA_VISIBLE_DEVICES, hydra.launcher.gpus)."
        )
    return slots


def _begin(plan: BatchPlan, cohorts: Sequence[CohortProtocol], adapter: TaskAdapter) -> None:
    idle = {
        (cohort.study, run.run_id)
        for cohort in cohorts
        for run in {*cohort.cells} - {*cohort.started}
    }
    for study in dict.fromkeys(item.plan.study for item in plan.planned):
        runs = [item.plan.spec for item in plan.planned if item.plan.study == study]
        adapter.begin(study, [run for run in runs if (study, run.run_id) not in idle])
    for cohort in cohorts:
        cohort.begin()


def _described(
    plan: BatchPlan, cohorts: Sequence[CohortProtocol], slots: Sequence[Slot], adapter: TaskAdapter
) -> str:
    started = {run.run_id for cohort in cohorts for run in cohort.started}
    in_cohorts = {run.run_id for cohort in cohorts for run in cohort.cells}
    specs = [
        item.plan.spec
        for item in plan.planned
        if item.job.run_id in started or item.job.run_id not in in_cohorts
    ]
    finished = {job.run_id for job in plan.jobs if job.position in plan.finished}
    threads = slots[0].threads if slots else 1
    left = [job.position for job in plan.jobs if job.run_id in in_cohorts - started]
    work_items = make_work_items(plan, threads, max(1, len(slots)), left)
    packs = [work.pack for work in work_items if work.pack is not None]
    words = [line for cohort in cohorts for line in ("", *cohort.plan_text(len(slots)))]
    return "\n".join([adapter.describe(specs, packs, finished), *words])


def _headline(plan: BatchPlan, work_items: Sequence[WorkItem], workers: int) -> str:
    jobs = sum(len(work.jobs) for work in work_items)
    if not plan.planned:
        return f"{jobs} jobs on {workers} workers"
    until = sorted({w.pack.stage.until for w in work_items if w.pack and w.pack.stage.until})
    how_far = f" up to step {' or '.join(map(str, until))}" if until else ""
    return (
        f"{len(plan.jobs)} runs: {len(plan.finished)} on record, {jobs} to train{how_far} in "
        f"{len(work_items)} packs on {workers} workers"
    )


def _say(text: str, *, error: bool = False) -> None:
    stream = sys.stderr if error else sys.stdout
    stream.write(text + "\n")
    stream.flush()
