"""The displays, with events and a clock of the tests' own."""

from __future__ import annotations

import dataclasses
import io
import math
from collections.abc import Sequence

import pytest
from rich.console import Console

from seedlab.execution.events import Event, Kind
from seedlab.launch.display.base import Display
from seedlab.launch.display.displays import LineDisplay, LiveDisplay, make_display
from seedlab.launch.display.progress import ProgressState
from seedlab.launch.display.texts import clock_time, counts, summary
from seedlab.launch.jobs.slots import Slot
from seedlab.launch.jobs.work import Job, WorkItem
from seedlab.spec.pack import EngineSpec, Pack
from seedlab.spec.run import RunSpec, Seeds

CPU, GPU = Slot(0, 1), Slot(1, 1, "3")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def work(inits: Sequence[int], order: int = 0, total_seed: int = 0) -> WorkItem:
    runs = tuple(RunSpec(seeds=Seeds(init=i, order=order, mask=total_seed)) for i in inits)
    jobs = tuple(Job(at, at, (f"seed.init={at}",), run.run_id, 0) for at, run in enumerate(runs))
    return WorkItem(jobs, {}, Pack(runs, EngineSpec()))


def report(
    display: Display, slot: Slot, job: Job, kind: Kind, step: int = 0, score: float | None = None
) -> None:
    display.event(slot, Event(kind, job.run_id, step=step, total_steps=100, score=score))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def progress() -> ProgressState:
    return ProgressState(total=10, before=2)


@pytest.fixture
def lines(progress: ProgressState, clock: Clock) -> tuple[LineDisplay, io.StringIO]:
    stream = io.StringIO()
    return LineDisplay(progress, heartbeat=60, stream=stream, clock=clock), stream


def test_one_line_for_every_run_that_ends(lines: tuple[LineDisplay, io.StringIO]) -> None:
    display, stream = lines
    pack = work([0, 1, 2])
    display.assigned(CPU, pack)
    report(display, CPU, pack.jobs[0], "started")
    report(display, CPU, pack.jobs[0], "evaluated", 50, 0.7)
    report(display, CPU, pack.jobs[0], "finished", 100, 0.75)
    display.event(CPU, Event("failed", pack.jobs[1].run_id, message="ValueError: no\nmore"))
    report(display, CPU, pack.jobs[2], "skipped")
    assert stream.getvalue().splitlines() == [
        "[3/10] init 0 order 0 finished: 0.75",
        "[4/10] init 1 order 0 FAILED: ValueError: no",
    ]


def test_a_cause_that_fails_a_whole_pack_is_told_once(
    lines: tuple[LineDisplay, io.StringIO],
) -> None:
    display, stream = lines
    pack = work([0, 1, 2, 3])
    display.assigned(CPU, pack)
    for job, message in zip(pack.jobs, ("full", "full", "worse", "full"), strict=True):
        display.event(CPU, Event("failed", job.run_id, message=message))
    told = [line.partition("FAILED: ")[2] for line in stream.getvalue().splitlines()]
    assert told == ["full", "as above", "worse", "full"]


def test_an_end_that_is_reported_twice_counts_once(lines: tuple[LineDisplay, io.StringIO]) -> None:
    display, stream = lines
    pack = work([0])
    display.assigned(CPU, pack)
    for _ in range(2):
        report(display, CPU, pack.jobs[0], "finished", 100, 0.75)
    assert len(stream.getvalue().splitlines()) == 1
    assert display.progress.done == 3


def test_status_lines_come_with_the_first_update_and_then_up_to_a_heartbeat_apart(
    lines: tuple[LineDisplay, io.StringIO], clock: Clock
) -> None:
    display, stream = lines
    pack = work([0])
    display.assigned(CPU, pack)
    report(display, CPU, pack.jobs[0], "started")
    said: list[tuple[float, str]] = []
    for tenths in range(2500):
        clock.now = tenths / 10
        if clock.now >= 5:
            report(display, CPU, pack.jobs[0], "stepped", min(50, int(clock.now)))
        display.tick()
        new = stream.getvalue()[sum(len(line) + 1 for _, line in said) :]
        said += [(clock.now, line) for line in new.splitlines()]
    assert [at for at, _ in said] == [5.0, 7.0, 11.0, 19.0, 35.0, 67.0, 127.0, 187.0, 247.0]
    assert said[0][1] == "2/10 done | running: 5/100 updates | 0:00:05 | left unknown"
    # An update a second: the rest of this run and seven more take 765 s.
    assert said[4][1] == "2/10 done | running: 35/100 updates | 0:00:35 | left 0:12:45"


def test_a_heartbeat_where_no_update_is_made(
    lines: tuple[LineDisplay, io.StringIO], clock: Clock
) -> None:
    display, stream = lines
    display.assigned(CPU, work([0]))
    for clock.now in (10.0, 59.9, 60.0, 60.2, 119.0, 120.0):
        display.tick()
    assert stream.getvalue().splitlines() == [
        "2/10 done | 0:01:00 | left unknown",
        "2/10 done | 0:02:00 | left unknown",
    ]


def test_a_pack_that_loads_says_so(progress: ProgressState, clock: Clock) -> None:
    display, _ = live(progress, clock)
    pack = work([0, 1])
    display.assigned(CPU, pack)
    display.tick()
    assert "loading data and weights" in shown(display)[1]
    report(display, CPU, pack.jobs[0], "started")
    clock.now = 1.0
    display.tick()
    assert "0/2 runs, step 0/100" in shown(display)[1]


def test_a_pack_that_is_tried_again_is_not_counted_twice(
    lines: tuple[LineDisplay, io.StringIO], clock: Clock
) -> None:
    display, _ = lines
    pack = work([0])
    for first in (10.0, 60.0):
        display.assigned(CPU, pack)
        for step in (20, 40):
            clock.now = first + step
            report(display, CPU, pack.jobs[0], "stepped", step)
            display.tick()
    assert display.launch.completed == pytest.approx(2.4)
    # The pace of the first try: a fifth of a run in 20 s.
    assert display.launch.time_remaining == pytest.approx(760, abs=1)  # rich rounds up


def test_the_quiet_display_shows_nothing_but_the_workers_output(progress: ProgressState) -> None:
    stream = io.StringIO()
    with LineDisplay(progress, 60, stream, quiet=True) as display:
        display.note("a worker died")
        display.output(["from a worker"])
    assert stream.getvalue() == "from a worker\n"


def test_the_summary_has_counts_scores_and_times(
    lines: tuple[LineDisplay, io.StringIO], clock: Clock
) -> None:
    display, _ = lines
    progress = display.progress
    assert summary(progress, display.launch) == "2/10 done | 0:00:00 | left unknown"
    pack = work(range(8))
    display.assigned(CPU, pack)
    for at, job in enumerate(pack.jobs[:4]):
        clock.now = 10.0 * (at + 1)
        display.event(CPU, Event("finished", job.run_id, score=0.6 + 0.1 * at))
        display.tick()
    expected = "6/10 done | new runs: best 0.9, median 0.75 | 0:00:40 | left 0:00:40"
    assert summary(progress, display.launch) == expected
    display.event(CPU, Event("failed", pack.jobs[4].run_id))
    assert "6/10 done | 1 failed" in summary(progress, display.launch)


def test_a_metric_that_is_to_be_small_has_its_smallest_score_as_the_best(
    progress: ProgressState,
) -> None:
    pack = work(range(3))
    progress.assigned(CPU, pack)
    for job, score in zip(pack.jobs, (0.5, 0.2, math.nan), strict=True):
        event = Event("finished", job.run_id, score=score)
        progress.count(CPU, dataclasses.replace(event, higher_is_better=False))
    assert (progress.best, progress.median) == (0.2, 0.35)  # NaN is a diverged run's
    assert progress.done == 5


def test_scores_of_several_settings_have_no_common_best_and_median(progress: ProgressState) -> None:
    pack = work(range(3))
    progress.assigned(CPU, pack)
    for job, setting in zip(pack.jobs, "aab", strict=True):
        progress.count(CPU, Event("finished", job.run_id, score=0.5, setting=setting))
    assert (progress.best, progress.median) == (None, None)
    assert counts(progress) == ["2 settings"]


def test_the_summary_of_625_runs_fits_80_columns(clock: Clock) -> None:
    display = LineDisplay(ProgressState(625, 0), 60, io.StringIO(), clock=clock)
    pack = work(range(400))
    display.assigned(CPU, pack)
    for at, job in enumerate(pack.jobs):
        clock.now = 100.0 * (at + 1)
        kind: Kind = "finished" if at < 300 else "failed"
        display.event(CPU, Event(kind, job.run_id, score=0.87654321))
        display.tick()
    assert len(summary(display.progress, display.launch)) <= 80


def shown(display: LiveDisplay, width: int = 80) -> list[str]:
    console = Console(file=io.StringIO(), record=True, width=width, force_terminal=True)
    console.print(display.bars.get_renderable())
    return console.export_text().splitlines()


def live(progress: ProgressState, clock: Clock) -> tuple[LiveDisplay, io.StringIO]:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=80, color_system=None)
    return LiveDisplay(progress, console, clock), stream


def test_the_live_display_has_a_bar_for_the_launch_and_one_per_slot(
    progress: ProgressState, clock: Clock
) -> None:
    display, _ = live(progress, clock)
    first, second = work(range(5)), work([7], order=3)
    display.assigned(CPU, first)
    clock.now = 10.0
    display.assigned(GPU, second)
    for clock.now, step in ((20.0, 20), (30.0, 40)):
        report(display, GPU, second.jobs[0], "stepped", step)
        display.tick()
    report(display, CPU, first.jobs[0], "finished", 100, 0.9)
    for job in first.jobs[1:]:
        report(display, CPU, job, "evaluated", 25, 0.8)
    clock.now = 40.0
    display.tick()
    rows = [row.rstrip().split(maxsplit=6) for row in shown(display, width=110)]
    assert [row[0] for row in rows] == ["3/10", "slot", "gpu"]
    # Elapsed, left, text. The launch did 2.2 runs in 20 s, and 5.6 are left.
    assert rows[0][3:] == ["0:00:40", "left", "0:00:51", "new runs: best 0.9, median 0.9"]
    assert rows[1][3] == "0:00:40"
    assert rows[1][6] == "1/5 runs, step 25/100, scores .. 0.8 0.8 0.8, init 4 order 0"
    assert rows[2][3:6] == ["0:00:30", "left", "0:00:30"]
    assert rows[2][6] == "step 40/100, init 7 order 3"


@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_line_is_wrapped(progress: ProgressState, clock: Clock, width: int) -> None:
    display, _ = live(progress, clock)
    slots = [Slot(index, 1) for index in range(12)]
    for slot in slots:
        pack = work(range(25), order=1000 + slot.index)
        display.assigned(slot, pack)
        for job in pack.jobs:
            report(display, slot, job, "evaluated", 99, 0.123456)
    display.tick()
    text = shown(display, width)
    assert len(text) == 1 + 12
    assert max(map(len, text)) <= width
    assert all(" 0/25 " in row or width == 40 for row in text[1:])


def test_the_live_display_is_redrawn_four_times_a_second_at_most(
    progress: ProgressState, clock: Clock
) -> None:
    display, stream = live(progress, clock)
    with display:
        display.tick()
        drawn = len(stream.getvalue())
        for clock.now in (0.05, 0.1, 0.2):
            display.tick()
        assert len(stream.getvalue()) == drawn
        clock.now = 0.3
        display.tick()
        assert len(stream.getvalue()) > drawn


def test_workers_output_and_failures_stand_above_the_live_display(
    progress: ProgressState, clock: Clock
) -> None:
    display, stream = live(progress, clock)
    pack = work([0])
    with display:
        display.assigned(CPU, pack)
        display.tick()
        display.output(["\x1b[31mred\x1b[0m and [not markup]"])
        display.event(CPU, Event("failed", pack.jobs[0].run_id, message="it broke"))
        display.released(CPU)
    text = stream.getvalue()
    assert "red and [not markup]" in text
    assert "[3/10] init 0 order 0 FAILED: it broke" in text
    # What stays on the screen are the counts, without the packs.
    last = text.rpartition("2/10 done")[2]
    assert "1 failed" in last
    assert "slot 0" not in last
    assert progress.packs == {}


def test_a_display_is_chosen_by_name_and_by_what_the_output_is() -> None:
    assert isinstance(make_display("auto", 1, 0, 60), LineDisplay)
    assert isinstance(make_display("live", 1, 0, 60), LiveDisplay)
    assert isinstance(make_display("none", 1, 0, 60), LineDisplay)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (None, "unknown"),
        (0.4, "0:00:00"),
        (59.6, "0:01:00"),
        (3723, "1:02:03"),
        (86400, "1 day, 0:00:00"),
        (3 * 86400 + 4 * 3600 + 5 * 60, "3 days, 4:05:00"),
    ],
)
def test_durations(seconds: float | None, expected: str) -> None:
    assert clock_time(seconds) == expected
