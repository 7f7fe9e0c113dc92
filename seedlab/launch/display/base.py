"""`Display`: what a display of a running launch is told."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Self

from seedlab.execution.events import Event
from seedlab.launch.display.progress import ProgressState
from seedlab.launch.jobs.slots import Slot
from seedlab.launch.jobs.work import WorkItem


class Display(ABC):
    """Shows how far a launch is, from nothing but what it is told.

    Parameters
    ----------
    tally : ProgressState
        Counts what is told.
    """

    def __init__(self, progress: ProgressState) -> None:
        self.progress = progress

    def __enter__(self) -> Self:
        return self

    @abstractmethod
    def __exit__(self, *error: object) -> None: ...

    def assigned(self, slot: Slot, work: WorkItem) -> None:
        """A worker got work."""
        self.progress.assigned(slot, work)

    def event(self, slot: Slot, event: Event) -> None:
        """Something happened to a run; its end may be told twice."""
        if self.progress.count(slot, event):
            self.ended(event)

    def released(self, slot: Slot) -> None:
        """A worker has no work any more, whether it did it or died."""
        self.progress.released(slot)

    @abstractmethod
    def ended(self, event: Event) -> None:
        """A run ended (told once)."""

    @abstractmethod
    def note(self, text: str) -> None:
        """Something happened that the user should know."""

    @abstractmethod
    def output(self, lines: Sequence[str]) -> None:
        """A worker wrote lines to its standard output or error."""

    @abstractmethod
    def tick(self) -> None:
        """Time has passed; called several times a second."""
