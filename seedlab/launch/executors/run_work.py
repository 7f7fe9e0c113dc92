"""`run_work`: does one work item in this process, with Hydra's `run_job` for every job."""

from __future__ import annotations

import functools
import gc
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cloudpickle
from hydra.core.utils import JobReturn, JobStatus, run_job
from omegaconf import DictConfig

from seedlab.compat.hydra_private import returned_value
from seedlab.errors import RunFailedError, SeedlabError, is_out_of_memory
from seedlab.execution.events import Event, Outcome
from seedlab.launch.executors.session import Session
from seedlab.launch.jobs.application import TaskAdapter, adapter_of
from seedlab.launch.jobs.job_configs import job_config
from seedlab.launch.jobs.returns import failed_return
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
    out_of_memory : bool
        Whether memory ran out, which fewer runs may avoid.
    """

    error: str
    out_of_memory: bool = False


class _PackRaisedError(BaseException):
    """Leaves all nested jobs: `run_job` catches `Exception` alone, so none of them ends.

    Its cause is an error of the pack, or one of `run_job` itself: a job's folder that can't be
    made, say.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


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
    try:
        # A job's folder would make a study again that was removed.
        if work.study is not None:
            adapter.missing(work.study, ())
    except SeedlabError as error:
        return Done({job.position: _portable(failed_return(job, error)) for job in work.jobs})
    result = _PackRun(work, work.pack, session, adapter).run(emit)
    if isinstance(result, PackFailed):
        # The error's traceback and its frames hold one another, and with them the pack's memory.
        # This process plans the halves by the memory that is free.
        gc.collect()
    return result


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
            error = _refusal(raised.error, self._work.study)
            if len(jobs) > 1 and not isinstance(error, SeedlabError):
                text = "".join(traceback.format_exception(error))
                return PackFailed(text, is_out_of_memory(error))
            return Done({job.position: _portable(failed_return(job, error)) for job in jobs})
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

        try:
            self._returns[job.position] = _run_job(job, self._work, self._session, task)
        except Exception as error:
            raise _PackRaisedError(error) from error

    def _train(self, emit: Callable[[Event], None]) -> None:
        if self._work.study is None:
            raise RuntimeError("a pack has a work item without a study")
        try:
            self._outcomes = self._adapter.execute(self._pack, self._work.study, emit)
        except Exception as error:
            refused = _refusal(error, self._work.study)
            if len(self._work.jobs) > 1 and not isinstance(refused, SeedlabError):
                raise _PackRaisedError(error) from error
            self._error = refused

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
    try:
        returned = _portable(_run_job(job, work, session, session.task_function))
    except Exception as error:
        # The job's folder could not be made, say; the application's own errors are in `returned`.
        returned = _portable(failed_return(job, _refusal(error, None)))
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


def _refusal(error: Exception, study: Path | None) -> Exception:
    """Return the refusal that tells an error of the system, such as a full disk; or the error."""
    from seedlab.store.atomic_files import FULL, disk_full
    from seedlab.store.writable import explain

    if not isinstance(error, OSError):
        return error
    if error.errno in FULL and study is not None:
        # One text for all packs, whichever file could not be written.
        refusal: Exception | None = disk_full(study, "training a pack", error)
    else:
        explained = explain(error)
        refusal = None if explained is None else SeedlabError(explained)
    if refusal is None:
        return error
    refusal.__cause__ = error
    return refusal


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
