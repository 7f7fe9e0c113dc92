"""`BatchPlan`: a batch of Hydra's jobs as runs, on record and still to train."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig, OmegaConf

from seedlab.launch.jobs.application import RunRequest, TaskAdapter
from seedlab.launch.jobs.job_configs import (
    compose_template,
    group_key,
    refuse_chdir,
    set_seeds,
    swept_seeds,
    task_config,
)
from seedlab.launch.jobs.work import Job, WorkItem
from seedlab.spec.pack import EngineSpec, Pack, cut_evenly, form_packs


@dataclass(frozen=True)
class PlannedJob:
    """A job and the run that it asks for."""

    job: Job
    request: RunRequest


@dataclass(frozen=True)
class BatchPlan:
    """Jobs and runs of a batch.

    Parameters
    ----------
    jobs : tuple of Job
        All of them, in Hydra's order.
    planned : tuple of PlannedJob
        The same jobs with their runs; empty for a foreign application.
    on_record : mapping of position to score
        Scores of the jobs whose run is finished or diverged and in the store.
    templates : mapping of group to DictConfig
    """

    jobs: tuple[Job, ...]
    planned: tuple[PlannedJob, ...]
    on_record: Mapping[int, float | None]
    templates: Mapping[int, DictConfig]

    @property
    def dry(self) -> bool:
        """Whether the configuration says ``dry=true``."""
        return bool(self.planned) and any(
            OmegaConf.select(template, "dry", default=False) for template in self.templates.values()
        )

    @property
    def engines(self) -> list[EngineSpec]:
        """The engines that the batch asks for, each once."""
        return list(dict.fromkeys(item.request.engine for item in self.planned))


def plan_batch(
    loader: ConfigLoader,
    master: DictConfig,
    batch: Sequence[Sequence[str]],
    first_number: int,
    adapter: TaskAdapter | None,
) -> BatchPlan:
    """Turn a batch into jobs and, where there is an adapter, into runs.

    Hydra composes once per group of jobs that differ in plain integer ``seed.*`` overrides
    alone.

    Raises
    ------
    SeedlabError
        When the adapter refuses a run, two jobs ask for one run of one study, or the
        configuration can't be trained in packs.
    """
    groups: dict[tuple[str, ...], list[int]] = {}
    for position, overrides in enumerate(batch):
        groups.setdefault(group_key(overrides), []).append(position)
    templates: dict[int, DictConfig] = {}
    jobs: dict[int, Job] = {}
    requests: dict[int, RunRequest] = {}
    for group, positions in enumerate(groups.values()):
        template = compose_template(loader, master, batch[positions[0]])
        templates[group] = template
        if adapter is not None:
            refuse_chdir(template)
            requests |= _requests(template, {at: batch[at] for at in positions}, adapter)
        for at in positions:
            number = first_number + at
            run_id = requests[at].spec.run_id if adapter is not None else str(number)
            jobs[at] = Job(at, number, tuple(batch[at]), run_id, group)
    ordered = tuple(jobs[at] for at in range(len(batch)))
    planned = tuple(PlannedJob(job, requests[job.position]) for job in ordered if requests)
    on_record: dict[int, float | None] = {}
    for study, items in _by_study(planned):
        # Runs on record are dropped below, so a run that is asked for twice is refused here.
        form_packs([item.request.spec for item in items], EngineSpec())
        known = (
            adapter.scores_on_record(study, items[0].request.engine) if adapter is not None else {}
        )
        on_record |= {
            item.job.position: known[item.job.run_id] for item in items if item.job.run_id in known
        }
    return BatchPlan(ordered, planned, on_record, templates)


def make_work_items(
    plan: BatchPlan, threads: int, workers: int, excluded: Collection[int] = frozenset()
) -> list[WorkItem]:
    """Return the work items of a batch: packs of the runs still to train, or single jobs.

    Parameters
    ----------
    plan : BatchPlan
    threads : int
        CPU threads per worker, to be recorded with every run.
    workers : int
        Packs that are trained side by side, at least 1.
    excluded : collection of int
        Positions of further jobs that are left out.
    """
    if not plan.planned:
        return [WorkItem((job,), {job.group: plan.templates[job.group]}) for job in plan.jobs]
    work_items = []
    for study, items in _by_study(plan.planned):
        todo = [
            item
            for item in items
            if item.job.position not in plan.on_record and item.job.position not in excluded
        ]
        jobs = {item.job.run_id: item.job for item in todo}
        packs: list[Pack] = []
        for engine, stage in dict.fromkeys(
            (item.request.engine, item.request.stage) for item in todo
        ):
            specs = [
                item.request.spec
                for item in todo
                if (item.request.engine, item.request.stage) == (engine, stage)
            ]
            recorded = dataclasses.replace(engine, threads=threads)
            packs += form_packs(specs, recorded, stage)
        for pack in cut_evenly(packs, workers):
            work_items.append(make_work_item(pack, study, jobs, plan.templates))
    return work_items


def make_work_item(
    pack: Pack, study: Path, jobs: Mapping[str, Job], templates: Mapping[int, DictConfig]
) -> WorkItem:
    """Return the work item of a pack; `jobs` maps run ids to jobs."""
    mine = tuple(jobs[run.run_id] for run in pack.runs)
    return WorkItem(mine, {job.group: templates[job.group] for job in mine}, pack, study)


def _requests(
    template: DictConfig, overrides: Mapping[int, Sequence[str]], adapter: TaskAdapter
) -> dict[int, RunRequest]:
    requests = {}
    with task_config(template) as cfg:
        for position, lines in overrides.items():
            set_seeds(cfg, swept_seeds(lines))
            requests[position] = adapter.request(cfg)
    return requests


def _by_study(planned: Sequence[PlannedJob]) -> Iterator[tuple[Path, list[PlannedJob]]]:
    for study in dict.fromkeys(item.request.study for item in planned):
        yield study, [item for item in planned if item.request.study == study]
