"""`launch`: plans a batch of jobs, has an executor run it, and reports failures."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus, configure_log, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from seedlab.compat.hydra_private import returned_value, singleton_state
from seedlab.errors import LostError, SeedlabError, mark_reported
from seedlab.launch.batch_plan import BatchPlan, plan_batch
from seedlab.launch.display.displays import make_display
from seedlab.launch.executors.executor import Executor, Resources, make_executor
from seedlab.launch.executors.session import Session
from seedlab.launch.executors.settings import LauncherSettings
from seedlab.launch.failure_report import failure_report
from seedlab.launch.interruption import interruptible
from seedlab.launch.jobs.application import StagedRuns, TaskAdapter, adapter_of
from seedlab.launch.jobs.returns import completed_return, failed_return
from seedlab.launch.launch_plan import dry_run_text, headline
from seedlab.launch.stages import Stages

log = logging.getLogger(__name__)


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
        Arguments of Hydra's `Launcher.setup`.
    batch : sequence of override lists
    first_number : int
        ``hydra.job.num`` of the first job.

    Raises
    ------
    SeedlabError
        A refusal, before anything is run.
    KeyboardInterrupt, SystemExit
        On Ctrl-C and SIGTERM. Finished runs are kept, and the command to continue is printed.
    """
    if not batch:
        raise SeedlabError(
            "the sweep is empty, so that nothing would be trained: a swept key has no values; look at "
            "the ranges and glob(...) of the command line and of hydra.sweeper.params."
        )
    setup_globals()
    configure_log(config.hydra.hydra_logging, config.hydra.verbose)
    adapter = adapter_of(task_function)
    plan = plan_batch(hydra_context.config_loader, config, batch, first_number, adapter)
    cohorts = (
        adapter.cohorts([item.request for item in plan.planned]) if adapter is not None else ()
    )
    if cohorts:
        _refuse_batches(config)
    task_name = str(config.hydra.job.name)
    executor: Executor | None = None
    if len(plan.on_record) < len(plan.jobs):
        session = Session(hydra_context, task_function, singleton_state(), task_name)
        executor = make_executor(settings, _resources(plan), session)
    if plan.dry and adapter is not None:
        sys.stdout.write(dry_run_text(plan, cohorts, executor.slots if executor else (), adapter))
        sys.stdout.write("\n")
        return [completed_return(job, None, task_name) for job in plan.jobs]
    returns = {
        job.position: completed_return(job, plan.on_record[job.position], task_name)
        for job in plan.jobs
        if job.position in plan.on_record
    }
    Path(str(config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
    if adapter is not None:
        _begin(plan, cohorts, adapter)
    deferred: Sequence[str] = ()
    if executor is not None:
        stages = Stages(plan, cohorts, executor.slots[0].threads, len(executor.slots))
        _train(settings, executor, plan, stages, returns, adapter)
        deferred = _finish_cohorts(plan, cohorts, stages, returns, task_name)
    else:
        log.info(f"{len(plan.jobs)} runs, all of them on record")
    if adapter is not None:
        _fail_lost_runs(plan, cohorts, returns, adapter)
    errors = _errors(returns)
    if errors:
        failed = [(job, errors[job.position]) for job in plan.jobs if job.position in errors]
        sys.stderr.write("\n".join([failure_report(failed), *deferred]) + "\n")
        sys.stderr.flush()
        for _, error in failed:
            mark_reported(error)
    return [returns[job.position] for job in plan.jobs]


def _train(
    settings: LauncherSettings,
    executor: Executor,
    plan: BatchPlan,
    stages: Stages,
    returns: dict[int, JobReturn],
    adapter: TaskAdapter | None,
) -> None:
    """Do the work of all stages and add the jobs' returns to `returns`."""
    advice = "Finished runs are kept; continue" if plan.planned else "Run everything again"
    with interruptible(advice), executor:
        while work_items := stages.next(_errors(returns)):
            jobs = sum(len(work.jobs) for work in work_items)
            log.info(headline(plan, work_items, min(len(executor.slots), len(work_items))))
            before = 0 if stages.several else len(plan.on_record)
            with make_display(
                settings.progress, jobs + before, before, settings.heartbeat
            ) as display:
                returns.update(executor.run(work_items, display))
            if adapter is not None:
                # A decision about its runs would make a study again that was removed.
                for study in _studies(plan):
                    adapter.missing(study, ())


def _studies(plan: BatchPlan) -> list[Path]:
    return list(dict.fromkeys(item.request.study for item in plan.planned))


def _fail_lost_runs(
    plan: BatchPlan,
    cohorts: Sequence[StagedRuns],
    returns: dict[int, JobReturn],
    adapter: TaskAdapter,
) -> None:
    """Fail the jobs whose run was recorded and is on record no more."""
    not_started = _not_started(cohorts)
    for study in _studies(plan):
        done = {
            item.job.run_id: item.job
            for item in plan.planned
            if item.request.study == study
            and (study, item.job.run_id) not in not_started
            and returns[item.job.position].status is JobStatus.COMPLETED
        }
        for run_id in adapter.missing(study, done):
            error = LostError(
                f"its folder in {study} is gone: it was removed or renamed while this command "
                "ran. Put it back, or issue the same command again to train the run again."
            )
            returns[done[run_id].position] = failed_return(done[run_id], error)


def _finish_cohorts(
    plan: BatchPlan,
    cohorts: Sequence[StagedRuns],
    stages: Stages,
    returns: dict[int, JobReturn],
    task_name: str,
) -> list[str]:
    """Set the returns of runs under early stopping, and log outcomes.

    Returns
    -------
    list of str
        A sentence for each deferred decision.
    """
    deferred: list[str] = []
    errors = _errors(returns)
    for cohort in cohorts:
        jobs = {
            item.job.run_id: item for item in plan.planned if item.request.study == cohort.study
        }
        scores = cohort.reports(plan.planned[0].request.engine.score)
        for run in cohort.cells:
            job = jobs[run.run_id].job
            if run.run_id in scores and job.position not in errors:
                returned = returns.get(job.position)
                if returned is None or returned_value(returned) != scores[run.run_id]:
                    returns[job.position] = completed_return(job, scores[run.run_id], task_name)
        if sentences := stages.deferred(cohort, errors):
            deferred += sentences
        else:
            log.info(cohort.outcome_text())
    return deferred


def _errors(returns: Mapping[int, JobReturn]) -> dict[int, BaseException]:
    return {at: returned_value(r) for at, r in returns.items() if r.status is JobStatus.FAILED}


def _refuse_batches(config: DictConfig) -> None:
    """Refuse a sweeper that hands over a cohort in parts: each part would be a cohort of its own."""
    size = OmegaConf.select(config, "hydra.sweeper.max_batch_size", default=None)
    if size is not None:
        raise SeedlabError(
            f"hydra.sweeper.max_batch_size={size} hands the jobs over in batches, and early stopping "
            "would compare the runs of each batch by themselves; with early_stopping it must be null: "
            "leave it out (packs are made of all runs anyhow)."
        )


def _resources(plan: BatchPlan) -> Resources:
    """Return the requirements of a batch; its engines have to agree on those of a worker."""
    wanted = {(e.threads, e.device, e.workers_per_gpu) for e in plan.engines}
    if len(wanted) > 1:
        raise SeedlabError(
            "engine.threads, engine.device and engine.workers_per_gpu apply to a worker as a whole, "
            "so they can't differ between the jobs of one launch; got (threads, device, "
            f"workers_per_gpu): {', '.join(map(str, sorted(wanted, key=str)))}. Issue one command "
            "for each."
        )
    [(threads, device, workers_per_gpu)] = wanted or {(None, "auto", 1)}
    graphs = any(engine.graphs for engine in plan.engines)
    return Resources(threads, device, graphs, workers_per_gpu)


def _not_started(cohorts: Sequence[StagedRuns]) -> set[tuple[Path, str]]:
    """Return the runs that their policy never starts."""
    return {
        (cohort.study, run.run_id)
        for cohort in cohorts
        for run in {*cohort.cells} - {*cohort.started}
    }


def _begin(plan: BatchPlan, cohorts: Sequence[StagedRuns], adapter: TaskAdapter) -> None:
    """Open the studies of a batch with the runs that will be started."""
    not_started = _not_started(cohorts)
    for study in _studies(plan):
        runs = [item.request.spec for item in plan.planned if item.request.study == study]
        adapter.begin(study, [run for run in runs if (study, run.run_id) not in not_started])
    for cohort in cohorts:
        cohort.begin()
