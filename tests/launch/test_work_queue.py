"""Which runs of a dead worker are kept, which are tried again, and when a launch is given up."""

from __future__ import annotations

import pytest
from hydra.core.utils import JobStatus
from omegaconf import OmegaConf

from seedlab.errors import SeedlabError
from seedlab.execution.events import Event, Kind
from seedlab.launch.display.displays import make_display
from seedlab.launch.executors.failure_series import GivenUpError
from seedlab.launch.executors.run_work import Done, PackFailed
from seedlab.launch.executors.work_queue import Attempt, WorkQueue
from seedlab.launch.jobs.returns import completed_return, failed_return
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


def packs(width: int, number: int) -> list[WorkItem]:
    """Return packs of runs that differ in their order seed."""
    made = []
    for order in range(number):
        runs = tuple(RunSpec(seeds=Seeds(init=i, order=order)) for i in range(width))
        at = range(order * width, (order + 1) * width)
        jobs = tuple(Job(n, n, (), run.run_id, 0) for n, run in zip(at, runs, strict=True))
        made.append(WorkItem(jobs, {0: OmegaConf.create()}, Pack(runs, EngineSpec())))
    return made


def series(number: int, width: int = 1, give_up_after: int | None = 3) -> WorkQueue:
    display = make_display("none", number * width, 0, 60.0)
    return WorkQueue(packs(width, number), display, 1, "test", give_up_after)


def next_attempt(queue: WorkQueue, *, begun: bool = False) -> Attempt:
    attempt = queue.take(SLOT)
    assert attempt is not None
    queue.handed_out(attempt)
    if begun:
        queue.event(attempt, Event("started", attempt.work.jobs[0].run_id))
    return attempt


def refused(attempt: Attempt, message: str) -> Done:
    error = SeedlabError(message)
    return Done({job.position: failed_return(job, error) for job in attempt.work.jobs})


def test_packs_that_are_refused_alike_end_the_launch() -> None:
    queue = series(9, 2)
    for number in (1, 2):
        attempt = next_attempt(queue)
        queue.completed(attempt, refused(attempt, f"no space left for 'file {number}'; free some."))
    attempt = next_attempt(queue)
    with pytest.raises(GivenUpError) as ended:
        queue.completed(attempt, refused(attempt, "no space left for 'file 7'; free some."))
    assert ended.value.exit_code == 2
    assert str(ended.value) == (
        "the launch is given up, because 3 work items in a row failed alike and no run ended in "
        "between (hydra.launcher.give_up_after=null tries every run). The last failure: no space "
        "left for 'file 7'; free some."
    )


@pytest.mark.parametrize("other", ["result", "another refusal", "null"])
def test_a_result_or_another_cause_in_between_goes_on(other: str) -> None:
    queue = series(7, give_up_after=None if other == "null" else 3)
    for number in range(7):
        attempt = next_attempt(queue)
        done = refused(attempt, "no space left")
        if number % 3 == 2:
            if other == "result":
                run_id = attempt.work.jobs[0].run_id
                queue.event(attempt, Event("finished", run_id, score=0.5))
            elif other == "another refusal":
                done = refused(attempt, "the data has changed")
        queue.completed(attempt, done)
    assert not queue.open


def test_workers_that_die_before_they_train_end_the_launch() -> None:
    queue = series(2, 4)
    reason = "the worker process ended with exit status 1; it wrote:\nTraceback ...\nKeyError: {}"
    for number in (3, 5):
        queue.lost(next_attempt(queue), reason.format(number))
    with pytest.raises(GivenUpError, match=r"it wrote: KeyError: 8\. Mend that") as ended:
        queue.lost(next_attempt(queue), reason.format(8))
    assert ended.value.exit_code == 1


def test_a_pack_that_kills_its_workers_is_halved_to_the_end() -> None:
    """One guilty run of sixteen costs six workers, and the launch goes on."""
    queue = series(1, 16)
    for _ in range(6):
        queue.lost(next_attempt(queue, begun=True), "the worker process was killed by SIGKILL")
    assert queue.returns.keys() == {0}
    assert queue.open


def test_runs_that_kill_their_workers_one_after_another_end_the_launch() -> None:
    queue = series(9)
    for _ in range(5):
        queue.lost(next_attempt(queue, begun=True), "the worker process was killed by SIGKILL")
    with pytest.raises(GivenUpError, match="3 work items in a row failed alike"):
        queue.lost(next_attempt(queue, begun=True), "the worker process was killed by SIGKILL")


def test_a_pack_that_is_refused_late_keeps_the_runs_on_record(queue: WorkQueue) -> None:
    attempt = next_attempt(queue)
    queue.event(attempt, Event("finished", RUNS[0].run_id, score=0.75))
    queue.completed(attempt, refused(attempt, "no space left"))
    assert queue.returns[0].return_value == 0.75
    assert [queue.returns[at].status for at in (1, 2)] == [JobStatus.FAILED] * 2


def test_a_pack_that_runs_out_of_memory_is_halved_and_the_width_that_fits_is_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Eight runs, of which two fit at a time; what was given up is said once, at its width."""
    display = make_display("lines", 8, 0, 60.0)
    queue = WorkQueue(packs(8, 1), display, 1, "test", 3)
    trained = []
    while queue.open:
        attempt = next_attempt(queue, begun=True)
        jobs = attempt.work.jobs
        if len(jobs) > 2:
            error = f"Traceback\nPackMemoryError: a pack of {len(jobs)} runs ran out of memory"
            queue.completed(attempt, PackFailed(error, out_of_memory=True))
        else:
            trained.append(len(jobs))
            queue.completed(
                attempt, Done({job.position: completed_return(job, 0.5, "test") for job in jobs})
            )
    assert trained == [2, 2, 2, 2]
    assert sorted(queue.returns) == list(range(8))
    notes = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("[")]
    assert notes == [
        "memory ran out: a pack of 8 runs is halved (PackMemoryError: a pack of 8 runs ran out of "
        "memory)",
        "memory ran out: a pack of 4 runs is halved (PackMemoryError: a pack of 4 runs ran out of "
        "memory)",
        "a pack of 8 runs does not fit into memory, one of 2 does: set engine.width=2 to train "
        "without halving",
        "memory ran out: a pack of 4 runs is halved (PackMemoryError: a pack of 4 runs ran out of "
        "memory)",
    ]


def test_another_error_of_a_pack_is_not_taken_for_lack_of_memory(
    capsys: pytest.CaptureFixture[str],
) -> None:
    queue = WorkQueue(packs(2, 1), make_display("lines", 2, 0, 60.0), 1, "test", 3)
    queue.completed(next_attempt(queue), PackFailed("ValueError: no"))
    for _ in range(2):
        attempt = next_attempt(queue)
        done = {job.position: completed_return(job, 0.5, "test") for job in attempt.work.jobs}
        queue.completed(attempt, Done(done))
    out = capsys.readouterr().out
    assert "a pack failed as a whole and is split (ValueError: no)" in out
    assert "memory" not in out
