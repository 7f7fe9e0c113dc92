"""`Display`: what a display of a running launch is told."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Self

from seedlab.launch.events import Event
from seedlab.launch.slots import Slot
from seedlab.launch.tally import Tally
from seedlab.launch.work import Work


class Display(ABC):
    """Shows how far a launch is, from nothing but what it is told.

    Parameters
    ----------
    tally : Tally
        Counts what is told.
    """

    def __init__(self, tally: Tally) -> None:
        self.tally = tally

    def __enter__(self) -> Self:
        return self

    @abstractmethod
    def __exit__(self, *error: object) -> None: ...

    def assigned(self, slot: Slot, work: Work) -> None:
        """A worker got work."""
        self.tally.assigned(slot, work)

    def event(self, slot: Slot, event: Event) -> None:
        """Something happened to a run; its end may be told twice."""
        if self.tally.count(slot, event):
            self.ended(event)

    def released(self, slot: Slot) -> None:
        """A worker has no work any more, whether it did it or died."""
        self.tally.released(slot)

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
