"""The local executor: one worker process per slot, which takes pack after pack.

A worker's start (imports, loading) is paid once. A worker that dies is replaced; what it
had finished is kept, the rest of its pack is halved and tried again until the run to blame
is alone, and that run is given up after some retries. Everything else goes on.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from typing import Any, Self

import cloudpickle
from hydra.core.utils import JobReturn, JobStatus

from seedlab.compat.hydra_private import returned_value
from seedlab.errors import SeedlabError, WorkerDiedError
from seedlab.execution.events import Event
from seedlab.launch.display.base import Display
from seedlab.launch.jobs.slots import Slot
from seedlab.launch.jobs.work import Job, WorkItem
from seedlab.launch.workers.failures import completed_return, failed_return
from seedlab.launch.workers.messages import Broken, Done, Hello, Message, PackFailed, Ready, Session
from seedlab.launch.workers.process import Output, WorkerProcess

_TICK_SECONDS = 0.2
# A run that another process trains is asked for again after so long.
_CLAIM_SECONDS = 10.0
# Workers that die before they are ready, one after the other: then it is no accident.
_START_ATTEMPTS = 3
_GOODBYE_SECONDS = 5.0


@dataclass
class _Attempt:
    work: WorkItem
    tries: int = 0
    not_before: float = 0.0


@dataclass
class WorkerSlot:
    """A slot, its worker and what that is doing."""

    slot: Slot
    worker: WorkerProcess | None = None
    ready: bool = False
    attempt: _Attempt | None = None
    announced: dict[str, float | None] = field(default_factory=dict)
    """scores of the runs that the current work has finished"""


class LocalExecutor:
    """Runs work in worker processes of this machine; a context manager.

    Its workers wait for more work until it is closed.

    Parameters
    ----------
    session : Session
    slots : sequence of Slot
        One worker each, started when there is work for it.
    task_name : str
        Hydra's name of the job, for the JobReturns of runs whose worker died after them.
    retries : int
        How often a lone run is tried again after its worker died.
    start_timeout : float
        Seconds that a worker may take until it is ready.
    search_path : sequence of str
        `sys.path` of the workers.
    """

    def __init__(
        self,
        session: Session,
        slots: Sequence[Slot],
        *,
        task_name: str,
        retries: int,
        start_timeout: float,
        search_path: Sequence[str],
    ) -> None:
        self._packed_session = cloudpickle.dumps((list(search_path), cloudpickle.dumps(session)))
        self._worker_slots = [WorkerSlot(slot) for slot in slots]
        self._task_name = task_name
        self._retries = retries
        self._start_timeout = start_timeout
        self._queue: deque[_Attempt] = deque()
        self._returns: dict[int, JobReturn] = {}
        self._failed_starts = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        workers = [worker_slot.worker for worker_slot in self._worker_slots if worker_slot.worker]
        for worker in workers:
            worker.hang_up()
        for worker in workers:
            worker.stop(_GOODBYE_SECONDS if kind is None else 0.0)
            self._show_output(worker)
            worker.close_outputs()

    def run(self, work_items: Sequence[WorkItem], display: Display) -> Mapping[int, JobReturn]:
        """Do all the work and return a JobReturn for every job, by position in the batch.

        Raises
        ------
        SeedlabError
            When no worker can be started.
        KeyboardInterrupt
            On Ctrl-C.
        """
        self._display = display
        self._returns = {}
        self._queue.extend(_Attempt(work) for work in work_items)
        while self._queue or any(worker_slot.attempt for worker_slot in self._worker_slots):
            for worker_slot in self._worker_slots:
                self._serve(worker_slot)
            self._listen()
            self._display.tick()
        return self._returns

    def _serve(self, worker_slot: WorkerSlot) -> None:
        """Give an idle seat its next work, starting a worker if there is none."""
        if worker_slot.attempt is None:
            worker_slot.attempt = self._next()
            if worker_slot.attempt is None:
                return
            if worker_slot.ready:
                self._hand_out(worker_slot)
        if worker_slot.worker is None:
            worker_slot.worker = WorkerProcess(worker_slot.slot)
        elif (
            not worker_slot.ready
            and time.monotonic() - worker_slot.worker.started > self._start_timeout
        ):
            raise SeedlabError(
                f"the worker of {worker_slot.slot.label} was not ready after {self._start_timeout:g} "
                f"seconds (hydra.launcher.start_timeout); it wrote:\n{worker_slot.worker.tail()}\n"
                "Set a longer hydra.launcher.start_timeout if imports are slow here."
            )

    def _next(self) -> _Attempt | None:
        now = time.monotonic()
        due = next((attempt for attempt in self._queue if attempt.not_before <= now), None)
        if due is not None:
            self._queue.remove(due)
        return due

    def _hand_out(self, worker_slot: WorkerSlot) -> None:
        if worker_slot.attempt is None or worker_slot.worker is None:
            return
        worker_slot.announced = {}
        self._display.assigned(worker_slot.slot, worker_slot.attempt.work)
        worker_slot.worker.send(worker_slot.attempt.work)

    def _listen(self) -> None:
        """Wait a moment for messages and output, and deal with what has come."""
        sources: dict[Any, WorkerSlot] = {}
        for worker_slot in self._worker_slots:
            if worker_slot.worker is not None:
                sources[worker_slot.worker.connection] = worker_slot
                sources |= {out: worker_slot for out in worker_slot.worker.outputs if not out.ended}
        if not sources:
            time.sleep(_TICK_SECONDS)
            return
        for source in wait(list(sources), _TICK_SECONDS):
            worker_slot = sources[source]
            if worker_slot.worker is None:
                continue
            if isinstance(source, Output):
                self._display.output(source.lines())
            elif source is worker_slot.worker.connection:
                message = worker_slot.worker.receive()
                if message is None:
                    self._worker_died(worker_slot, worker_slot.worker)
                else:
                    self._heard(worker_slot, worker_slot.worker, message)

    def _heard(self, worker_slot: WorkerSlot, worker: WorkerProcess, message: Message) -> None:
        match message:
            case Hello():
                worker.send_packed(self._packed_session)
            case Ready():
                worker_slot.ready = True
                self._failed_starts = 0
                self._hand_out(worker_slot)
            case Broken(error):
                raise SeedlabError(f"a worker could not be set up:\n{error}")
            case Event():
                if message.kind in ("finished", "stopped"):
                    worker_slot.announced[message.run_id] = message.score
                self._display.event(worker_slot.slot, message)
            case PackFailed(error):
                self._display.note(
                    f"a pack failed as a whole and is split ({error.rstrip().splitlines()[-1]})"
                )
                self._salvage(worker_slot, error)
            case Done():
                self._done(worker_slot, message)

    def _done(self, worker_slot: WorkerSlot, done: Done) -> None:
        if worker_slot.attempt is None:
            return
        work = worker_slot.attempt.work
        for job in work.jobs:
            if job.position in done.returns:
                returned = done.returns[job.position]
                self._returns[job.position] = returned
                self._display.event(worker_slot.slot, _final_event(job.run_id, returned))
        if done.skipped:
            later = time.monotonic() + _CLAIM_SECONDS
            self._queue.append(_Attempt(work.only(done.skipped), not_before=later))
        self._release(worker_slot)

    def _worker_died(self, worker_slot: WorkerSlot, worker: WorkerProcess) -> None:
        how = worker.reap()
        self._show_output(worker)
        worker.close_outputs()
        was_ready, worker_slot.worker, worker_slot.ready = worker_slot.ready, None, False
        tail = f"; it wrote:\n{worker.tail()}" if worker.tail() else ""
        if was_ready:
            self._display.note(
                f"the worker of {worker_slot.slot.label} {how}; a new one is started"
            )
            self._salvage(worker_slot, f"the worker process {how}{tail}")
            return
        self._failed_starts += 1
        if self._failed_starts >= _START_ATTEMPTS:
            raise SeedlabError(f"workers die before they are ready: the last one {how}{tail}")

    def _salvage(self, worker_slot: WorkerSlot, why: str) -> None:
        """Keep what a dead pack had finished and try the rest again, in halves."""
        attempt = worker_slot.attempt
        if attempt is None:
            return
        work = attempt.work
        for job in work.jobs:
            if job.run_id in worker_slot.announced:
                score = worker_slot.announced[job.run_id]
                self._returns[job.position] = completed_return(job, score, self._task_name)
        left = work.only(
            [job.run_id for job in work.jobs if job.run_id not in worker_slot.announced]
        )
        if len(left.jobs) > 1:
            self._queue.extendleft(_Attempt(half) for half in reversed(left.split()))
        elif left.jobs:
            # Being the last one of a pack proves nothing: the retries count from here.
            tries = attempt.tries + 1 if len(work.jobs) == 1 else 0
            if tries <= self._retries:
                self._queue.appendleft(_Attempt(left, tries))
            else:
                self._give_up(worker_slot, left.jobs[0], f"given up after {tries} tries: {why}")
        self._release(worker_slot)

    def _give_up(self, worker_slot: WorkerSlot, job: Job, why: str) -> None:
        error = WorkerDiedError(why)
        self._returns[job.position] = failed_return(job, error)
        self._display.event(worker_slot.slot, Event("failed", job.run_id, message=why))

    def _release(self, worker_slot: WorkerSlot) -> None:
        worker_slot.attempt = None
        self._display.released(worker_slot.slot)

    def _show_output(self, worker: WorkerProcess) -> None:
        for output in worker.outputs:
            self._display.output(output.lines())


def _final_event(run_id: str, returned: JobReturn) -> Event:
    value = returned_value(returned)
    if returned.status is JobStatus.COMPLETED:
        score = float(value) if isinstance(value, int | float) else None
        return Event("finished", run_id, score=score)
    return Event("failed", run_id, message=f"{type(value).__name__}: {value}")
