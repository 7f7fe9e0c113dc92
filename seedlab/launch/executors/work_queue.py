"""`WorkQueue`: work items that wait, run and end; retries and halving after a worker's death."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from hydra.core.utils import JobReturn, JobStatus

from seedlab.compat.hydra_private import returned_value
from seedlab.errors import LostError, RunFailedError, SeedlabError, WorkerDiedError
from seedlab.execution.events import Event
from seedlab.launch.display.base import Display
from seedlab.launch.executors.failure_series import FailureSeries
from seedlab.launch.executors.run_work import Done, PackFailed
from seedlab.launch.jobs.returns import LeanReturn, completed_return, failed_return
from seedlab.launch.jobs.slots import Slot
from seedlab.launch.jobs.work import Job, WorkItem

CLAIM_SECONDS = 10.0
"""time after which a run that another process trains is asked for again"""


@dataclass
class Attempt:
    """One try at a work item.

    Attributes
    ----------
    work : WorkItem
    tries : int
        Earlier tries of a lone run that cost it its worker.
    not_before : float
        Monotonic time in seconds before which it is not taken.
    slot : Slot or None
        The slot that took it.
    announced : dict of run id to score
        Runs whose results are in the store.
    begun : bool
        Whether the training of a run has begun.
    halved_from : int
        Runs of the pack that ran out of memory, of which this is a part; 0: there was none.
    """

    work: WorkItem
    tries: int = 0
    not_before: float = 0.0
    slot: Slot | None = None
    announced: dict[str, float | None] = field(default_factory=dict)
    begun: bool = False
    halved_from: int = 0


class WorkQueue:
    """Work items of one `Executor.run`, with their retries and the returns of their jobs.

    An executor takes an attempt, reports when it is handed out, passes on its events and ends it
    with `completed` or `lost`.

    Parameters
    ----------
    work_items : sequence of WorkItem
    display : Display
        Is kept up to date by the queue.
    retries : int
        Tries of a lone run after the first that killed its worker, at least 0.
    task_name : str
        Hydra's name of the job, for JobReturns of recorded runs whose worker died.

    give_up_after : int, optional
        Failures in a row that are alike, with no result in between, after which `completed` and
        `lost` raise `GivenUpError`. None: never. A failure is a refusal, a worker that
        died before a run of its pack was begun, or a run that is given up. Halving is none.

    Attributes
    ----------
    returns : dict of position to JobReturn
        Jobs that have ended.
    """

    def __init__(
        self,
        work_items: Sequence[WorkItem],
        display: Display,
        retries: int,
        task_name: str,
        give_up_after: int | None = None,
    ) -> None:
        self._waiting = deque(Attempt(work) for work in work_items)
        self._running = 0
        self._display = display
        self._retries = retries
        self._task_name = task_name
        self._series = FailureSeries(give_up_after)
        self._fits = 0
        self.returns: dict[int, JobReturn] = {}

    @property
    def open(self) -> bool:
        """Whether work waits or runs."""
        return bool(self._waiting) or self._running > 0

    def take(self, slot: Slot) -> Attempt | None:
        """Return the next attempt that is due, for a slot; None when none is."""
        now = time.monotonic()
        due = next((attempt for attempt in self._waiting if attempt.not_before <= now), None)
        if due is not None:
            self._waiting.remove(due)
            self._running += 1
            due.slot = slot
        return due

    def handed_out(self, attempt: Attempt) -> None:
        """Note that a worker has the attempt's work."""
        self._display.assigned(_slot(attempt), attempt.work)

    def event(self, attempt: Attempt, event: Event) -> None:
        """Note an event of a run; one that announces a result keeps the run from being lost."""
        attempt.begun = attempt.begun or event.kind == "started"
        if event.kind in ("finished", "stopped"):
            attempt.announced[event.run_id] = event.score
            self._series.end()
        self._display.event(_slot(attempt), event)

    def completed(self, attempt: Attempt, result: Done | PackFailed) -> None:
        """End an attempt with the result of `run_work`; a pack that raised is split."""
        if isinstance(result, PackFailed):
            last_line = result.error.rstrip().splitlines()[-1]
            if result.out_of_memory:
                text = f"memory ran out: a pack of {len(attempt.work.jobs)} runs is halved"
            else:
                text = "a pack failed as a whole and is split"
            self._display.note(f"{text} ({last_line})")
            self._split(attempt, result.error, result.out_of_memory)
            return
        refused: SeedlabError | None = None
        for job in attempt.work.jobs:
            if job.position not in result.returns:
                continue
            returned = result.returns[job.position]
            if attempt.work.pack is not None:
                returned = LeanReturn(returned, job, attempt.work.templates[job.group])
            if returned.status is JobStatus.FAILED and job.run_id in attempt.announced:
                # The pack was refused after this run was on record.
                returned = self._recorded(job, attempt)
            self.returns[job.position] = returned
            self._display.event(_slot(attempt), _final_event(job.run_id, returned))
            value = returned_value(returned)
            if returned.status is JobStatus.COMPLETED:
                self._series.end()
            elif isinstance(value, SeedlabError) and not isinstance(value, RunFailedError):
                refused = value
        if attempt.halved_from and refused is None and not result.skipped:
            self._say_what_fits(attempt, result)
        if result.skipped:
            later = time.monotonic() + CLAIM_SECONDS
            self._waiting.append(Attempt(attempt.work.only(result.skipped), not_before=later))
        self._end(attempt)
        if isinstance(refused, LostError):
            raise refused
        if refused is not None:
            self._series.add(str(refused), exit_code=refused.exit_code)

    def lost(self, attempt: Attempt, reason: str) -> None:
        """End an attempt whose worker died: keep its recorded runs, try the rest in halves.

        Parameters
        ----------
        attempt : Attempt
        reason : str
            Cause of the worker's death, for the error of a run that is given up.
        """
        given_up = self._split(attempt, reason)
        if given_up or not attempt.begun:
            self._series.add(reason, exit_code=WorkerDiedError.exit_code)

    def _split(self, attempt: Attempt, reason: str, out_of_memory: bool = False) -> bool:
        """End an attempt without all results; return whether its one run was given up."""
        work, announced = attempt.work, attempt.announced
        given_up = False
        for job in work.jobs:
            if job.run_id in announced:
                self.returns[job.position] = self._recorded(job, attempt)
        left = work.only([job.run_id for job in work.jobs if job.run_id not in announced])
        if len(left.jobs) > 1:
            # What ran out of memory once is known by the widest pack that did.
            tried = attempt.halved_from or (len(work.jobs) if out_of_memory else 0)
            halves = [Attempt(half, halved_from=tried) for half in left.split()]
            self._waiting.extendleft(reversed(halves))
        elif left.jobs:
            # The last run of a pack need not be the guilty one: its tries count from here.
            tries = attempt.tries + 1 if len(work.jobs) == 1 else 0
            if tries <= self._retries:
                self._waiting.appendleft(Attempt(left, tries))
            else:
                self._give_up(attempt, left.jobs[0], f"given up after {tries} tries: {reason}")
                given_up = True
        self._end(attempt)
        return given_up

    def _say_what_fits(self, attempt: Attempt, result: Done) -> None:
        """Name the width of a part that was trained after its pack had run out of memory."""
        width = len(attempt.work.jobs)
        returns = [result.returns[job.position] for job in attempt.work.jobs]
        if width <= self._fits or any(r.status is JobStatus.FAILED for r in returns):
            return
        self._fits = width
        self._display.note(
            f"a pack of {attempt.halved_from} runs does not fit into memory, one of {width} does: "
            f"set engine.width={width} to train without halving"
        )

    def _recorded(self, job: Job, attempt: Attempt) -> JobReturn:
        return completed_return(job, attempt.announced[job.run_id], self._task_name)

    def _give_up(self, attempt: Attempt, job: Job, reason: str) -> None:
        self.returns[job.position] = failed_return(job, WorkerDiedError(reason))
        self._display.event(_slot(attempt), Event("failed", job.run_id, message=reason))

    def _end(self, attempt: Attempt) -> None:
        self._running -= 1
        self._display.released(_slot(attempt))


def _slot(attempt: Attempt) -> Slot:
    if attempt.slot is None:
        raise RuntimeError("an attempt has to be taken for a slot before it is reported on")
    return attempt.slot


def _final_event(run_id: str, returned: JobReturn) -> Event:
    value = returned_value(returned)
    if returned.status is JobStatus.COMPLETED:
        score = float(value) if isinstance(value, int | float) else None
        return Event("finished", run_id, score=score)
    refused = isinstance(value, SeedlabError)
    message = str(value) if refused else f"{type(value).__name__}: {value}"
    return Event("failed", run_id, message=message)
