"""The displays: a live one for terminals, plain lines for logs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text

from seedlab.errors import SeedlabError, nearest
from seedlab.execution.events import Event
from seedlab.launch.display.base import Display
from seedlab.launch.display.progress import ProgressState
from seedlab.launch.display.texts import counts, final_line, pack_text, summary
from seedlab.launch.jobs.slots import Slot
from seedlab.launch.jobs.work import WorkItem

MODES = ("auto", "live", "lines", "none")
_FRAME_SECONDS = 0.25
_FIRST_PAUSE_SECONDS = 2.0


def check_mode(mode: str) -> None:
    """Refuse an unknown display.

    Raises
    ------
    SeedlabError
    """
    if mode not in MODES:
        raise SeedlabError(
            f"hydra.launcher.progress is '{mode}'; it must be one of {', '.join(MODES)}."
            f"{nearest(mode, MODES)}"
        )


def make_display(mode: str, total: int, before: int, heartbeat: float) -> Display:
    """Return the display that the launcher's setting asks for.

    Parameters
    ----------
    mode : str
        ``auto`` (live on a terminal, otherwise lines), ``live``, ``lines`` or ``none``.
    total, before : int
        Runs of the batch, and those of them that were on record before.
    heartbeat : float
        Seconds between two status lines in a log.

    Raises
    ------
    SeedlabError
        For an unknown display.
    """
    check_mode(mode)
    console = Console(highlight=False)
    progress = ProgressState(total, before)
    if mode == "live" or (mode == "auto" and console.is_terminal and not console.is_dumb_terminal):
        return LiveDisplay(progress, console)
    return LineDisplay(progress, heartbeat, sys.stdout, quiet=mode == "none")


class LineDisplay(Display):
    """One line per run that ends, and status lines.

    The first status line comes with the first update. The times between two lines are doubled then,
    from two seconds up to the heartbeat.

    Parameters
    ----------
    progress : ProgressState
    heartbeat : float
        Seconds between two status lines.
    stream : text stream
    quiet : bool
        Whether only the workers' output is shown.
    clock : callable
        Monotonic time in seconds.
    """

    def __init__(
        self,
        progress: ProgressState,
        heartbeat: float,
        stream: TextIO,
        *,
        quiet: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(progress, Console(file=stream), (), clock)
        self._heartbeat = heartbeat
        self._stream = stream
        self._quiet = quiet
        self._next = clock() + heartbeat
        self._pause: float | None = None

    def __exit__(self, *error: object) -> None:
        self._say(summary(self.progress, self.launch))

    def ended(self, event: Event) -> None:
        """Write the run's line."""
        self._say(final_line(self.progress, event))

    def note(self, text: str) -> None:
        """Write the message."""
        self._say(text)

    def output(self, lines: Sequence[str]) -> None:
        """Write the lines."""
        for line in lines:
            self._write(line)

    def tick(self) -> None:
        """Write the status when it is due."""
        super().tick()
        now = self.clock()
        if self._pause is None and self.progress.updates[0]:
            self._next, self._pause = now, _FIRST_PAUSE_SECONDS
        if now >= self._next:
            pause = min(self._pause or self._heartbeat, self._heartbeat)
            self._next, self._pause = now + pause, self._pause and 2 * pause
            self._say(summary(self.progress, self.launch))
            if not self._quiet and (used := self.gpus.line(self.progress.packs)):
                self._say(used)

    def _say(self, text: str) -> None:
        if not self._quiet:
            self._write(text)

    def _write(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()


class LiveDisplay(Display):
    """Bars that are redrawn in place: one for the launch, one per slot.

    Parameters
    ----------
    progress : ProgressState
    console : Console
    clock : callable
        Monotonic time in seconds.
    """

    def __init__(
        self,
        progress: ProgressState,
        console: Console,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=10),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn(
                "{task.fields[text]}",
                markup=False,
                table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"),
            ),
        )
        super().__init__(progress, console, columns, clock)
        self._slots: dict[Slot, TaskID] = {}
        self._drawn = float("-inf")

    def __enter__(self) -> Self:
        self.bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._update()
        # The bars of slots go; the launch's stays on the screen.
        for slot in self._slots:
            self.released(slot)
        self.bars.refresh()
        self.bars.stop()

    def assigned(self, slot: Slot, work: WorkItem) -> None:
        """Show the slot's bar, empty."""
        super().assigned(slot, work)
        if slot not in self._slots:
            self._slots[slot] = self.bars.add_task(slot.label, visible=False, text="")
        self.bars.reset(self._slots[slot], total=len(work.jobs), visible=True, text="")

    def released(self, slot: Slot) -> None:
        """Hide the slot's bar."""
        super().released(slot)
        if slot in self._slots:
            self.bars.update(self._slots[slot], visible=False)

    def ended(self, event: Event) -> None:
        """Show a failure above the bars; finished runs are in the counts."""
        if event.kind == "failed":
            self.note(final_line(self.progress, event))

    def note(self, text: str) -> None:
        """Show the message above the bars."""
        self.bars.console.print(Text(text, "yellow"), soft_wrap=True)

    def output(self, lines: Sequence[str]) -> None:
        """Show the lines above the bars, colours included."""
        for line in lines:
            self.bars.console.print(Text.from_ansi(line), soft_wrap=True)

    def tick(self) -> None:
        """Redraw, four times a second at most."""
        now = self.clock()
        if now - self._drawn >= _FRAME_SECONDS:
            self._drawn = now
            self._update()
            self.bars.refresh()

    def _update(self) -> None:
        super().tick()
        text = ", ".join(counts(self.progress))
        description = f"{self.progress.done}/{self.progress.total} done"
        self.bars.update(self.launch.id, description=description, text=text)
        for slot, pack in self.progress.packs.items():
            used = self.gpus.text(slot)
            text = f"{used} | {pack_text(pack)}" if used else pack_text(pack)
            self.bars.update(self._slots[slot], completed=pack.done, text=text)
