"""`run_work`: does one work item in this process, with Hydra's `run_job` for every job."""

from __future__ import annotations

import functools
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import cloudpickle
from hydra.core.utils import JobReturn, JobStatus, run_job
from omegaconf import DictConfig

from seedlab.compat.hydra_private import returned_value
from seedlab.errors import RunFailedError, SeedlabError
from seedlab.execution.events import Event, Outcome
from seedlab.launch.executors.session import Session
from seedlab.launch.jobs.application import TaskAdapter, adapter_of
from seedlab.launch.jobs.job_configs import job_config
from seedlab.launch.jobs.work import Job, WorkItem
from seedlab.spec.pack import Pack

# Python frames per nested job (four were counted), with room for what training needs.
_FRAMES_PER_JOB, _FRAMES = 12, 2000


@dataclass(frozen=True)
class Done:
    """A work item is done.

    Parameters
    ----------
    returns : mapping of position to JobReturn
        Jobs that have ended, by position in the batch. Those of a pack hold no configuration.
    skipped : tuple of run ids
        Runs that another process trains.
    """

    returns: Mapping[int, JobReturn]
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True)
class PackFailed:
    """A pack of more than one run raised as a whole; the run to blame is not known.

    Parameters
    ----------
    error : str
        The traceback.
    """

    error: str


class _PackRaisedError(BaseException):
    """Leaves all nested jobs: `run_job` catches `Exception` alone, so none of them ends."""


def run_work(work: WorkItem, session: Session, emit: Callable[[Event], None]) -> Done | PackFailed:
    """Do the jobs of `work` in this process, with their folders, logs and callbacks.

    The jobs of a pack are nested in one another. So Hydra makes every job's folder and calls
    `on_job_start` before the pack is trained, and it calls `on_job_end` after it.

    Parameters
    ----------
    work : WorkItem
    session : Session
    emit : callable
        Gets the events of the runs.
    """
    adapter = adapter_of(session.task_function)
    if work.pack is None or adapter is None:
        return Done({job.position: _run_foreign(job, work, session, emit) for job in work.jobs})
    return _PackRun(work, work.pack, session, adapter).run(emit)


class _PackRun:
    """One pack, the nesting of its jobs, and their returns."""

    def __init__(self, work: WorkItem, pack: Pack, session: Session, adapter: TaskAdapter) -> None:
        self._work = work
        self._pack = pack
        self._session = session
        self._adapter = adapter
        self._outcomes: Mapping[str, Outcome] = {}
        self._error: Exception | None = None
        self._returns: dict[int, JobReturn] = {}

    def run(self, emit: Callable[[Event], None]) -> Done | PackFailed:
        jobs = self._work.jobs
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(max(limit, _FRAMES + _FRAMES_PER_JOB * len(jobs)))
        try:
            self._enter(0, emit)
        except _PackRaisedError as raised:
            return PackFailed("".join(traceback.format_exception(raised.__cause__)))
        finally:
            sys.setrecursionlimit(limit)
        skipped = tuple(job.run_id for job in jobs if self._status(job) == "skipped")
        ended = [job for job in jobs if job.run_id not in skipped]
        for job in ended:
            # Callbacks have seen them. The launcher composes them again if they are asked for.
            self._returns[job.position].cfg = self._returns[job.position].hydra_cfg = None
        return Done(
            {job.position: _portable(self._returns[job.position]) for job in ended}, skipped
        )

    def _enter(self, depth: int, emit: Callable[[Event], None]) -> None:
        if depth == len(self._work.jobs):
            self._train(emit)
            return
        job = self._work.jobs[depth]

        @functools.wraps(self._session.task_function)
        def task(_: DictConfig) -> float | None:
            self._enter(depth + 1, emit)
            return self._result(job)

        self._returns[job.position] = _run_job(job, self._work, self._session, task)

    def _train(self, emit: Callable[[Event], None]) -> None:
        if self._work.study is None:
            raise RuntimeError("a pack has a work item without a study")
        try:
            self._outcomes = self._adapter.execute(self._pack, self._work.study, emit)
        except Exception as error:
            if len(self._work.jobs) > 1 and not isinstance(error, SeedlabError):
                raise _PackRaisedError from error
            self._error = error

    def _status(self, job: Job) -> str:
        outcome = self._outcomes.get(job.run_id)
        return outcome.status if outcome is not None else "failed"

    def _result(self, job: Job) -> float | None:
        if self._error is not None:
            raise self._error
        outcome = self._outcomes.get(job.run_id)
        if outcome is None:
            raise RunFailedError(f"the engine gave no outcome for run {job.run_id}.")
        if outcome.status == "failed":
            error = RunFailedError(outcome.error.rstrip().rpartition("\n")[2])
            error.add_note(outcome.error.rstrip())
            raise error
        return outcome.score


def _run_foreign(
    job: Job, work: WorkItem, session: Session, emit: Callable[[Event], None]
) -> JobReturn:
    emit(Event("started", job.run_id))
    returned = _portable(_run_job(job, work, session, session.task_function))
    value = returned_value(returned)
    if returned.status is JobStatus.COMPLETED:
        score = float(value) if isinstance(value, int | float) else None
        emit(Event("finished", job.run_id, score=score))
    else:
        emit(Event("failed", job.run_id, message=f"{type(value).__name__}: {value}"))
    return returned


def _run_job(
    job: Job, work: WorkItem, session: Session, task: Callable[[DictConfig], Any]
) -> JobReturn:
    return run_job(
        task_function=task,
        config=job_config(
            work.templates[job.group],
            job.overrides,
            number=job.number,
            # A run's folder keeps its name when the study is continued or extended.
            identifier=job.run_id,
        ),
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
        hydra_context=session.hydra_context,
    )


def _portable(returned: JobReturn) -> JobReturn:
    """Return a JobReturn that can be sent to the parent process.

    Pickling an exception loses its traceback, so its notes hold it. An exception that can't be
    rebuilt (its constructor needs other arguments) is replaced.
    """
    value = returned_value(returned)
    if isinstance(value, BaseException):
        text = "".join(traceback.format_exception(value)).rstrip()
        if not getattr(value, "__notes__", None):
            value.add_note(text)
        if not _can_be_sent(value):
            replacement = RunFailedError(f"{type(value).__name__}: {value}")
            replacement.add_note(text)
            returned.return_value = replacement
    elif not _can_be_sent(value):
        returned.status = JobStatus.FAILED
        returned.return_value = RunFailedError(
            f"the task function returned a {type(value).__name__}, which can't be sent to "
            "another process; return a number, or something that can be pickled."
        )
    return returned


def _can_be_sent(value: Any) -> bool:
    try:
        cloudpickle.loads(cloudpickle.dumps(value))
    except Exception:
        return False
    return True
