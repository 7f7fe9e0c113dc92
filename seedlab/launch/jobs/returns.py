"""`JobReturn`s of jobs that hold no configuration: a launch may have ten thousand of them."""

from __future__ import annotations

from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig

from seedlab.compat.hydra_private import make_return, returned_value
from seedlab.launch.jobs.job_configs import is_hydra, returned_configs
from seedlab.launch.jobs.work import Job


def completed_return(job: Job, score: float | None, task_name: str) -> JobReturn:
    """Return the JobReturn of a job whose result is in the store (it holds no config)."""
    return make_return(job.overrides, JobStatus.COMPLETED, score, task_name)


def failed_return(job: Job, error: Exception) -> JobReturn:
    """Return the JobReturn of a job that no worker could finish."""
    return make_return(job.overrides, JobStatus.FAILED, error)


class LeanReturn(JobReturn):
    """The JobReturn of a trained job; its configurations are composed when they are asked for.

    The two configurations of a job take 200 KB, and 10,000 jobs would keep 2 GB of them. They differ in
    their seeds alone, so the jobs of a group share a template.

    Parameters
    ----------
    returned : JobReturn
        From the worker, whose configurations are not kept.
    job : Job
    template : DictConfig
        The composed configuration of the job's group; it is not changed.
    """

    def __init__(self, returned: JobReturn, job: Job, template: DictConfig) -> None:
        # Not the worker's list: the strings of a job's overrides are in memory already.
        self.overrides = [line for line in job.overrides if not is_hydra(line)]
        self.working_dir, self.task_name = returned.working_dir, returned.task_name
        self.status, self._return_value = returned.status, returned_value(returned)
        self._job, self._template = job, template

    @property
    def cfg(self) -> DictConfig:  # type: ignore[override]
        """The configuration that the task function got."""
        return self._configs()[0]

    @property
    def hydra_cfg(self) -> DictConfig:  # type: ignore[override]
        """Hydra's own part of the job's configuration."""
        return self._configs()[1]

    def _configs(self) -> tuple[DictConfig, DictConfig]:
        return returned_configs(
            self._template,
            self._job.overrides,
            number=self._job.number,
            identifier=self._job.run_id,
            working_folder=self.working_dir or "",
        )
