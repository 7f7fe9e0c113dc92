"""`Display`: the progress of a running launch, from the events that an executor reports."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Self

from rich.console import Console
from rich.progress import Progress, ProgressColumn, Task

from seedlab.execution.events import Event
from seedlab.launch.display.gpu_monitor import GpuMonitor
from seedlab.launch.display.progress import ProgressState
from seedlab.launch.jobs.slots import Slot
from seedlab.launch.jobs.work import WorkItem


class Display(ABC):
    """Counts a launch's events, and times it with `rich.progress`.

    Parameters
    ----------
    progress : ProgressState
    console : Console
    columns : sequence of ProgressColumn
        Columns of the bars; a display that draws no bars needs none.
    clock : callable
        Monotonic time in seconds.
    """

    def __init__(
        self,
        progress: ProgressState,
        console: Console,
        columns: Sequence[ProgressColumn],
        clock: Callable[[], float],
    ) -> None:
        self.progress, self.clock = progress, clock
        self.gpus = GpuMonitor(clock)
        # Redrawn from `tick` alone: a drawing thread would mix with the workers' output.
        self.bars = Progress(
            *columns,
            console=console,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
            # rich keeps the last 1,000 samples, which is the pace of the last minutes.
            speed_estimate_period=float("inf"),
            get_time=clock,
            expand=True,
        )
        task = self.bars.add_task("", total=progress.total, completed=progress.before, text="")
        self.launch: Task = self.bars.tasks[task]
        # The cause of the latest failure; a whole pack may fail for one cause.
        self._cause = ""

    def __enter__(self) -> Self:
        return self

    @abstractmethod
    def __exit__(self, *error: object) -> None: ...

    def assigned(self, slot: Slot, work: WorkItem) -> None:
        """Note that a worker got work."""
        self.progress.assigned(slot, work)

    def event(self, slot: Slot, event: Event) -> None:
        """Note an event of a run; the end of a run may be reported twice."""
        if self.progress.count(slot, event):
            if event.kind == "failed":
                repeated, self._cause = event.message == self._cause, event.message
                if repeated and event.message:
                    event = dataclasses.replace(event, message="as above")
            self.ended(event)

    def released(self, slot: Slot) -> None:
        """Note that a worker has no work any more: it completed the work, or died."""
        self.progress.released(slot)

    @abstractmethod
    def ended(self, event: Event) -> None:
        """Show that a run ended; called once per run."""

    @abstractmethod
    def note(self, text: str) -> None:
        """Show a message for the user."""

    @abstractmethod
    def output(self, lines: Sequence[str]) -> None:
        """Show lines that a worker wrote to its standard output or error."""

    def tick(self) -> None:
        """Show the time that has passed; called several times a second."""
        # A pack that is tried again loses steps; rich would count them twice.
        worked = max(self.launch.completed, self.progress.worked)
        self.bars.update(self.launch.id, completed=worked)
