"""`ProgressState`: how far a launch is, counted from its events."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from seedlab.execution.events import Event
from seedlab.launch.jobs.slots import Slot
from seedlab.launch.jobs.work import WorkItem


@dataclass
class RunState:
    """Where one run of a running pack is."""

    step: int = 0
    total_steps: int = 0
    score: float | None = None
    ended: bool = False

    @property
    def fraction(self) -> float:
        """Share of the run's steps that are done, in [0, 1]."""
        if self.ended:
            return 1.0
        return min(1.0, self.step / self.total_steps) if self.total_steps else 0.0


@dataclass
class PackState:
    """Where a running pack is."""

    runs: dict[str, RunState]
    labels: Mapping[str, str]
    latest: str | None = None
    """the run that was heard of last"""

    @property
    def fraction(self) -> float:
        """Share of the pack's work that is done, in [0, 1]."""
        return sum(run.fraction for run in self.runs.values()) / len(self.runs)


@dataclass
class ProgressState:
    """Counts of a launch.

    Parameters
    ----------
    total : int
        Runs of the batch.
    before : int
        Runs of them that were finished before.
    clock : callable
        Seconds that only grow.
    """

    total: int
    before: int
    clock: Callable[[], float]
    scores: dict[str, float] = field(default_factory=dict)
    finished: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    packs: dict[Slot, PackState] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    """of every run that was ever assigned"""
    higher_is_better: bool = True

    def __post_init__(self) -> None:
        self._start = self.clock()

    def assigned(self, slot: Slot, work: WorkItem) -> None:
        """Count a pack as running."""
        labels = work.labels()
        self.labels.update(labels)
        self.packs[slot] = PackState({run_id: RunState() for run_id in labels}, labels)

    def released(self, slot: Slot) -> None:
        """Count a pack as no longer running."""
        self.packs.pop(slot, None)

    def count(self, slot: Slot, event: Event) -> bool:
        """Take in an event and say whether it ends a run that had not ended yet."""
        pack = self.packs.get(slot)
        run = pack.runs.get(event.run_id) if pack else None
        if pack and run:
            pack.latest = event.run_id
            run.step = max(run.step, event.step)
            run.total_steps = event.total_steps or run.total_steps
            run.score = run.score if event.score is None else event.score
            run.ended = run.ended or event.kind in ("finished", "stopped", "failed", "skipped")
        if event.kind not in ("finished", "stopped", "failed"):
            return False
        ended = event.run_id in self.finished or event.run_id in self.failed
        if ended:
            return False
        (self.failed if event.kind == "failed" else self.finished).add(event.run_id)
        if event.kind != "failed" and event.score is not None:
            self.higher_is_better = event.higher_is_better
            # NaN is the score of a diverged run: it has no place in an order.
            if event.score == event.score:
                self.scores[event.run_id] = event.score
        return True

    @property
    def done(self) -> int:
        """Runs with a result, those from before included."""
        return self.before + len(self.finished)

    @property
    def best(self) -> float | None:
        """The best score of this launch."""
        if not self.scores:
            return None
        return (max if self.higher_is_better else min)(self.scores.values())

    @property
    def median(self) -> float | None:
        """The median score of this launch."""
        return statistics.median(self.scores.values()) if self.scores else None

    @property
    def elapsed(self) -> float:
        """Seconds since the launch began."""
        return self.clock() - self._start

    @property
    def left(self) -> float | None:
        """Seconds that the rest will take at the pace so far; None before there is one."""
        ended = len(self.finished) + len(self.failed)
        running = sum(
            run.fraction
            for pack in self.packs.values()
            for run_id, run in pack.runs.items()
            if run_id not in self.finished and run_id not in self.failed
        )
        work = self.total - self.before
        made = ended + running
        return self.elapsed * (work - made) / made if made > 0 else None


def duration(seconds: float | None) -> str:
    """Return a duration for the reader: ``0:00:07``, ``1:02:03``, ``3 days 04:05``."""
    if seconds is None:
        return "unknown"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours}:{minutes:02}:{rest:02}"
    days, hours = divmod(hours, 24)
    return f"{days} {'day' if days == 1 else 'days'} {hours:02}:{minutes:02}"
