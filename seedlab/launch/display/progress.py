"""`ProgressState`: runs, scores and packs of a launch, counted from its events."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field

from seedlab.execution.events import Event
from seedlab.launch.jobs.slots import Slot
from seedlab.launch.jobs.work import WorkItem


@dataclass
class RunState:
    """Progress of one run of a running pack."""

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
    """Progress of a running pack.

    Parameters
    ----------
    runs : dict of run id to RunState
    labels : mapping of run id to str
    latest : str or None
        Run of the latest event.
    """

    runs: dict[str, RunState]
    labels: Mapping[str, str]
    latest: str | None = None

    @property
    def done(self) -> float:
        """Runs done, running ones by their share of steps."""
        return sum(run.fraction for run in self.runs.values())


@dataclass
class ProgressState:
    """Counts of a launch.

    Parameters
    ----------
    total : int
        Runs of the batch.
    before : int
        Runs of them that were on record before the launch.

    Attributes
    ----------
    labels : dict of run id to str
        Labels of all runs that were assigned so far.
    """

    total: int
    before: int
    scores: dict[str, float] = field(default_factory=dict)
    recorded: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    packs: dict[Slot, PackState] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    settings: set[str] = field(default_factory=set)
    higher_is_better: bool = True

    def assigned(self, slot: Slot, work: WorkItem) -> None:
        """Count a pack as running."""
        labels = work.labels()
        self.labels.update(labels)
        self.packs[slot] = PackState({run_id: RunState() for run_id in labels}, labels)

    def released(self, slot: Slot) -> None:
        """Count a pack as no longer running."""
        self.packs.pop(slot, None)

    def count(self, slot: Slot, event: Event) -> bool:
        """Count an event and return whether it ends a run that had not ended yet."""
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
        if event.run_id in self.recorded or event.run_id in self.failed:
            return False
        (self.failed if event.kind == "failed" else self.recorded).add(event.run_id)
        if event.kind != "failed" and event.score is not None:
            self.higher_is_better = event.higher_is_better
            self.settings.add(event.setting)
            # NaN is the score of a diverged run and has no place in an order.
            if event.score == event.score:
                self.scores[event.run_id] = event.score
        return True

    @property
    def done(self) -> int:
        """Runs with a result, those from before included."""
        return self.before + len(self.recorded)

    @property
    def ended(self) -> int:
        """Runs with a result or an error."""
        return self.done + len(self.failed)

    @property
    def worked(self) -> float:
        """Runs ended, and running ones by their share of steps."""
        return self.ended + sum(
            run.fraction
            for pack in self.packs.values()
            for run_id, run in pack.runs.items()
            if run_id not in self.recorded and run_id not in self.failed
        )

    @property
    def updates(self) -> tuple[int, int]:
        """Updates made and updates asked for by the runs of the running packs that have started."""
        runs = [run for pack in self.packs.values() for run in pack.runs.values()]
        return sum(min(r.step, r.total_steps) for r in runs), sum(r.total_steps for r in runs)

    @property
    def best(self) -> float | None:
        """The best score of this launch; None without scores, and with those of several settings."""
        if not self.scores or len(self.settings) > 1:
            return None
        return (max if self.higher_is_better else min)(self.scores.values())

    @property
    def median(self) -> float | None:
        """The median score of this launch; None where `best` is None."""
        if not self.scores or len(self.settings) > 1:
            return None
        return statistics.median(self.scores.values())
