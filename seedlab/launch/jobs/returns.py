"""`JobReturn`s of jobs that Hydra's `run_job` did not return."""

from __future__ import annotations

from hydra.core.utils import JobReturn, JobStatus

from seedlab.compat.hydra_private import make_return
from seedlab.launch.jobs.work import Job


def completed_return(job: Job, score: float | None, task_name: str) -> JobReturn:
    """Return the JobReturn of a job whose result is in the store (it holds no config)."""
    return make_return(job.overrides, JobStatus.COMPLETED, score, task_name)


def failed_return(job: Job, error: Exception) -> JobReturn:
    """Return the JobReturn of a job that no worker could finish."""
    return make_return(job.overrides, JobStatus.FAILED, error)
