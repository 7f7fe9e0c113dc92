"""Which runs of a dead worker are kept, and which are tried again."""

from __future__ import annotations

import pytest
from omegaconf import OmegaConf

from seedlab.execution.events import Event, Kind
from seedlab.launch.display.displays import make_display
from seedlab.launch.executors.run_work import Done
from seedlab.launch.executors.work_queue import WorkQueue
from seedlab.launch.jobs.slots import Slot
from seedlab.launch.jobs.work import Job, WorkItem
from seedlab.spec.pack import EngineSpec, Pack
from seedlab.spec.run import RunSpec, Seeds

SLOT = Slot(0, 1)
RUNS = tuple(RunSpec(seeds=Seeds(init=i)) for i in range(3))
JOBS = tuple(Job(at, at, (), run.run_id, 0) for at, run in enumerate(RUNS))


@pytest.fixture
def queue() -> WorkQueue:
    work = WorkItem(JOBS, {0: OmegaConf.create()}, Pack(RUNS, EngineSpec()))
    return WorkQueue([work], make_display("none", 3, 0, 60.0), retries=0, task_name="test")


@pytest.mark.parametrize("kind", ["finished", "stopped"])
def test_an_announced_run_is_kept_when_its_worker_dies(queue: WorkQueue, kind: Kind) -> None:
    attempt = queue.take(SLOT)
    assert attempt is not None
    assert queue.take(SLOT) is None
    queue.handed_out(attempt)
    queue.event(attempt, Event(kind, RUNS[1].run_id, score=0.75))
    queue.lost(attempt, "the worker process was killed by SIGKILL")
    assert queue.returns.keys() == {1}
    assert (queue.returns[1].return_value, queue.returns[1].task_name) == (0.75, "test")
    halves = [queue.take(SLOT), queue.take(SLOT)]
    assert [half.work.jobs for half in halves if half] == [(JOBS[0],), (JOBS[2],)]
    assert queue.open


def test_a_queue_is_open_until_every_attempt_has_ended(queue: WorkQueue) -> None:
    attempt = queue.take(SLOT)
    assert attempt is not None
    queue.handed_out(attempt)
    assert queue.open
    queue.completed(attempt, Done({}))
    assert not queue.open
