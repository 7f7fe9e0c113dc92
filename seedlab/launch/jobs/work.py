"""`Job` and `WorkItem`: Hydra's jobs, and the jobs that a worker gets at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from seedlab.spec.pack import Pack


@dataclass(frozen=True)
class Job:
    """One job of a Hydra batch.

    Parameters
    ----------
    position : int
        Index in the batch, from 0.
    number : int
        ``hydra.job.num``.
    overrides : tuple of str
    run_id : str
        Id of its run, and ``hydra.job.id``. A foreign job has its number, as with Hydra's own
        launcher.
    group : int
        Index of the template that its configuration is made from.
    """

    position: int
    number: int
    overrides: tuple[str, ...]
    run_id: str
    group: int

    @property
    def label(self) -> str:
        """The job in messages: its number and its overrides."""
        return f"#{self.number} {' '.join(self.overrides)}".rstrip()


@dataclass(frozen=True)
class WorkItem:
    """Jobs that one worker runs together: a pack, or one job of a foreign application.

    Parameters
    ----------
    jobs : tuple of Job
    templates : mapping of group to DictConfig
        The composed configuration of every group that has a job here.
    pack : Pack or None
        The runs, one per job and in the same order; None for a foreign job.
    study : Path or None
        The study's folder.
    """

    jobs: tuple[Job, ...]
    templates: Mapping[int, DictConfig]
    pack: Pack | None = None
    study: Path | None = None

    def only(self, run_ids: Collection[str]) -> WorkItem:
        """Return a work item of some of the jobs."""
        kept = [at for at, job in enumerate(self.jobs) if job.run_id in run_ids]
        jobs = tuple(self.jobs[at] for at in kept)
        pack = self.pack
        if pack is not None:
            pack = dataclasses.replace(pack, runs=tuple(pack.runs[at] for at in kept))
        groups = {job.group for job in jobs}
        templates = {group: self.templates[group] for group in groups}
        return WorkItem(jobs, templates, pack, self.study)

    def split(self) -> tuple[WorkItem, WorkItem]:
        """Return the two halves, to find the run that kills its worker."""
        ids = [job.run_id for job in self.jobs]
        middle = len(ids) // 2
        return self.only(ids[:middle]), self.only(ids[middle:])

    def labels(self) -> dict[str, str]:
        """Return a short name of every run: its seeds, or the job's number and overrides."""
        if self.pack is None:
            return {job.run_id: job.label for job in self.jobs}
        return {
            job.run_id: f"init {run.seeds.init} order {run.seeds.order}"
            for job, run in zip(self.jobs, self.pack.runs, strict=True)
        }
