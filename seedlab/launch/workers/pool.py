"""`LocalExecutor`: one worker process per slot of this machine, which takes pack after pack.

A worker's start (imports, loading) is paid once. A worker that dies is replaced.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any, Self

import cloudpickle
from hydra.core.utils import JobReturn

from seedlab.errors import SeedlabError
from seedlab.execution.events import Event
from seedlab.launch.display.base import Display
from seedlab.launch.executors.executor import Resources
from seedlab.launch.executors.run_work import Done, PackFailed
from seedlab.launch.executors.session import Session
from seedlab.launch.executors.settings import LauncherSettings
from seedlab.launch.executors.work_queue import Attempt, WorkQueue
from seedlab.launch.jobs.application import adapter_of
from seedlab.launch.jobs.slots import Slot
from seedlab.launch.jobs.work import WorkItem
from seedlab.launch.workers.gpu_names import GpuNames, gpu_names
from seedlab.launch.workers.machine_slots import make_slots, usable_cores
from seedlab.launch.workers.messages import Broken, Hello, Message, Ready
from seedlab.launch.workers.process import Output, WorkerProcess

_TICK_SECONDS = 0.2
# Workers in a row that may die before they are ready.
_START_ATTEMPTS = 3
_GOODBYE_SECONDS = 5.0
# Seconds between two checks that the studies are still there.
_WATCH_SECONDS = 1.0


@dataclass
class WorkerSlot:
    """A slot, its worker and the attempt that it works on."""

    slot: Slot
    worker: WorkerProcess | None = None
    ready: bool = False
    attempt: Attempt | None = None


class LocalExecutor:
    """Runs work in worker processes of this machine; a `seedlab.launch.executors.executor.Executor`.

    Its workers wait for more work until it is closed.

    Parameters
    ----------
    settings : LauncherSettings
    resources : Resources
    session : Session

    Raises
    ------
    SeedlabError
        When this machine does not have the GPUs that are asked for.
    """

    def __init__(self, settings: LauncherSettings, resources: Resources, session: Session) -> None:
        self.slots: Sequence[Slot] = make_slots(
            slots=settings.slots,
            gpus=settings.gpus,
            threads=resources.threads,
            device=resources.device,
            names=GpuNames() if resources.device == "cpu" else gpu_names(os.environ),
            cores=usable_cores(),
            workers_per_gpu=resources.workers_per_gpu,
        )
        if resources.graphs and self.slots[0].gpu is None:
            raise SeedlabError(
                "engine.graphs=true records CUDA graphs, but no GPU is visible here; use "
                "engine.graphs=false, or make one visible (CUDA_VISIBLE_DEVICES, "
                "hydra.launcher.gpus)."
            )
        self._settings, self._session = settings, session
        self._worker_slots = [WorkerSlot(slot) for slot in self.slots]
        self._failed_starts = 0
        self._watched = 0.0

    def __enter__(self) -> Self:
        # An empty entry of the search path is the working directory, which the workers share.
        search_path = list(sys.path)
        self._packed_session = cloudpickle.dumps((search_path, cloudpickle.dumps(self._session)))
        return self

    def __exit__(self, kind: type[BaseException] | None = None, *rest: object) -> None:
        workers = [worker_slot.worker for worker_slot in self._worker_slots if worker_slot.worker]
        for worker in workers:
            worker.hang_up()
        for worker in workers:
            worker.stop(_GOODBYE_SECONDS if kind is None else 0.0)
            self._show_output(worker)
            worker.close_outputs()

    def run(self, work_items: Sequence[WorkItem], display: Display) -> Mapping[int, JobReturn]:
        """Run all work items; see `Executor.run`."""
        self._display = display
        self._queue = WorkQueue(
            work_items,
            display,
            self._settings.retries,
            self._session.task_name,
            self._settings.give_up_after,
        )
        while self._queue.open:
            for worker_slot in self._worker_slots:
                self._serve(worker_slot)
            self._listen()
            self._display.tick()
            self._watch_studies()
        return self._queue.returns

    def _serve(self, worker_slot: WorkerSlot) -> None:
        """Give an idle slot its next work, starting a worker if there is none."""
        if worker_slot.attempt is None:
            worker_slot.attempt = self._queue.take(worker_slot.slot)
            if worker_slot.attempt is None:
                return
            if worker_slot.ready:
                self._hand_out(worker_slot)
        if worker_slot.worker is None:
            worker_slot.worker = WorkerProcess(worker_slot.slot)
        elif (
            not worker_slot.ready
            and time.monotonic() - worker_slot.worker.started > self._settings.start_timeout
        ):
            raise SeedlabError(
                f"the worker of {worker_slot.slot.label} was not ready after "
                f"{self._settings.start_timeout:g} seconds (hydra.launcher.start_timeout); it "
                f"wrote:\n{worker_slot.worker.tail()}\n"
                "Set a longer hydra.launcher.start_timeout if imports are slow here."
            )

    def _watch_studies(self) -> None:
        """Refuse to go on when a study in training is gone: its runs could not be recorded."""
        adapter = adapter_of(self._session.task_function)
        if adapter is None or time.monotonic() - self._watched < _WATCH_SECONDS:
            return
        self._watched = time.monotonic()
        attempts = [worker_slot.attempt for worker_slot in self._worker_slots]
        for study in {attempt.work.study for attempt in attempts if attempt}:
            if study is not None:
                adapter.missing(study, ())

    def _hand_out(self, worker_slot: WorkerSlot) -> None:
        if worker_slot.attempt is None or worker_slot.worker is None:
            return
        self._queue.handed_out(worker_slot.attempt)
        worker_slot.worker.send(worker_slot.attempt.work)

    def _listen(self) -> None:
        """Wait a moment for messages and output of the workers, and handle them."""
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
                    self._handle(worker_slot, worker_slot.worker, message)

    def _handle(self, worker_slot: WorkerSlot, worker: WorkerProcess, message: Message) -> None:
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
                if worker_slot.attempt is not None:
                    self._queue.event(worker_slot.attempt, message)
            case Done() | PackFailed():
                if worker_slot.attempt is not None:
                    self._queue.completed(worker_slot.attempt, message)
                worker_slot.attempt = None

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
            if worker_slot.attempt is not None:
                self._queue.lost(worker_slot.attempt, f"the worker process {how}{tail}")
            worker_slot.attempt = None
            return
        self._failed_starts += 1
        if self._failed_starts >= _START_ATTEMPTS:
            raise SeedlabError(f"workers die before they are ready: the last one {how}{tail}")

    def _show_output(self, worker: WorkerProcess) -> None:
        for output in worker.outputs:
            self._display.output(output.lines())
