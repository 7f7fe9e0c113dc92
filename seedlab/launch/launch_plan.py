"""The plan of a launch as text: the dry run, and the line before training starts."""

from __future__ import annotations

from collections.abc import Sequence

from seedlab.launch.batch_plan import BatchPlan, make_work_items
from seedlab.launch.jobs.application import StagedRuns, TaskAdapter
from seedlab.launch.jobs.slots import Slot
from seedlab.launch.jobs.work import WorkItem


def dry_run_text(
    plan: BatchPlan, cohorts: Sequence[StagedRuns], slots: Sequence[Slot], adapter: TaskAdapter
) -> str:
    """Return the plan of a batch, for ``dry=true``.

    Parameters
    ----------
    plan : BatchPlan
    cohorts : sequence of StagedRuns
    slots : sequence of Slot
        Slots of the executor; empty when all runs are on record.
    adapter : TaskAdapter
    """
    started = {run.run_id for cohort in cohorts for run in cohort.started}
    in_cohorts = {run.run_id for cohort in cohorts for run in cohort.cells}
    specs = [
        item.request.spec
        for item in plan.planned
        if item.job.run_id in started or item.job.run_id not in in_cohorts
    ]
    on_record = {job.run_id for job in plan.jobs if job.position in plan.on_record}
    threads = slots[0].threads if slots else 1
    not_started = [job.position for job in plan.jobs if job.run_id in in_cohorts - started]
    work_items = make_work_items(plan, threads, max(1, len(slots)), not_started)
    packs = [work.pack for work in work_items if work.pack is not None]
    lines = [line for cohort in cohorts for line in ("", *cohort.plan_text(len(slots)))]
    return "\n".join([adapter.describe(specs, packs, on_record, max(1, len(slots))), *lines])


def headline(plan: BatchPlan, work_items: Sequence[WorkItem], workers: int) -> str:
    """Return the runs, packs and workers of a stage in one line."""
    jobs = sum(len(work.jobs) for work in work_items)
    if not plan.planned:
        return f"{jobs} jobs on {workers} workers"
    until = sorted({w.pack.stage.until for w in work_items if w.pack and w.pack.stage.until})
    steps = f" up to step {' or '.join(map(str, until))}" if until else ""
    return (
        f"{len(plan.jobs)} runs: {len(plan.on_record)} on record, {jobs} to train{steps} in "
        f"{len(work_items)} packs on {workers} workers"
    )
