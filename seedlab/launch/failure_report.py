"""The list of failed jobs at the end of a launch, with the error of each."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Sequence

from seedlab.errors import SeedlabError, WorkerDiedError
from seedlab.launch.jobs.work import Job

_SHOWN = 8
_REPORT = (
    "An error with a traceback is unexpected. Open an issue with the traceback "
    "and the command (see CONTRIBUTING.md)."
)


def failure_report(failed: Sequence[tuple[Job, BaseException]]) -> str:
    """Return all failures as text; jobs that failed in the same way are listed together.

    Parameters
    ----------
    failed : sequence of (Job, exception)
        At least one.
    """
    causes: dict[str, list[Job]] = {}
    for job, error in failed:
        causes.setdefault(describe_error(error), []).append(job)
    parts = [f"{len(failed)} {'run' if len(failed) == 1 else 'runs'} failed:"]
    for cause, jobs in causes.items():
        parts.append("\n".join(_listed(jobs)))
        parts.append("\n".join(f"    {line}" for line in cause.splitlines()))
    if not all(_explained(error) for _, error in failed):
        parts.append(_REPORT)
    return "\n".join(parts)


def describe_error(error: BaseException) -> str:
    """Return an error as text: a refusal's sentence, or an unexpected error's traceback as well.

    An error that came from another process has its traceback in its notes.
    """
    notes = [] if _explained(error) else getattr(error, "__notes__", [])
    if isinstance(error, SeedlabError):
        return "\n".join([str(error), *notes])
    # The notes repeat the error's own line at their end.
    return "\n".join(notes or traceback.format_exception_only(error)).rstrip()


def _explained(error: BaseException) -> bool:
    """Return whether the message alone names the remedy: refusals and dead workers."""
    return isinstance(error, WorkerDiedError) or (
        isinstance(error, SeedlabError) and error.exit_code == SeedlabError.exit_code
    )


def _listed(jobs: Sequence[Job]) -> Iterable[str]:
    yield from (f"  {job.label}" for job in jobs[:_SHOWN])
    if len(jobs) > _SHOWN:
        yield f"  ... and {len(jobs) - _SHOWN} more in the same way"
