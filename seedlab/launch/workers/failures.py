"""Failed jobs: the errors they carry and the list of all of them at the end."""

from __future__ import annotations

import signal
import traceback
from collections.abc import Iterable, Sequence

from hydra.core.utils import JobReturn, JobStatus

from seedlab.compat.hydra_private import make_return
from seedlab.launch.jobs.work import Job

_SHOWN = 8


_LIKELY = {
    "SIGKILL": "often the system's out-of-memory killer",
    "SIGSEGV": "a crash inside a library",
    "SIGBUS": "a crash inside a library, or a full disk or shared memory",
    "SIGABRT": "a library gave up",
}


def describe_exit(code: int | None) -> str:
    """Return how a process ended, from its return code (negative: the signal)."""
    if code is None:
        return "ended its connection and hung"
    if code >= 0:
        return f"ended with exit status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        return f"was killed by signal {-code}"
    hint = f" ({_LIKELY[name]})" if name in _LIKELY else ""
    return f"was killed by {name}{hint}"


def failed_return(job: Job, error: Exception) -> JobReturn:
    """Return the JobReturn of a job that no worker could finish."""
    return make_return(job.overrides, JobStatus.FAILED, error)


def completed_return(job: Job, score: float | None, task_name: str) -> JobReturn:
    """Return the JobReturn of a job whose result is in the store (it holds no config)."""
    return make_return(job.overrides, JobStatus.COMPLETED, score, task_name)


def describe_error(error: BaseException) -> str:
    """Return an error with its notes (the worker's traceback), as text."""
    lines = traceback.format_exception_only(type(error), error)
    return "".join(lines).rstrip()


def failure_report(failed: Sequence[tuple[Job, BaseException]]) -> str:
    """Return all failures as text; jobs that failed in the same way are listed together."""
    causes: dict[str, list[Job]] = {}
    for job, error in failed:
        causes.setdefault(describe_error(error), []).append(job)
    parts = [f"{len(failed)} {'run' if len(failed) == 1 else 'runs'} failed:"]
    for cause, jobs in causes.items():
        parts.append("\n".join(_listed(jobs)))
        parts.append("\n".join(f"    {line}" for line in cause.splitlines()))
    return "\n".join(parts)


def _listed(jobs: Sequence[Job]) -> Iterable[str]:
    yield from (f"  {job.label}" for job in jobs[:_SHOWN])
    if len(jobs) > _SHOWN:
        yield f"  ... and {len(jobs) - _SHOWN} more in the same way"
