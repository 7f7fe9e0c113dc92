"""The displays: a live one for terminals, plain lines where there is none."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Self, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from seedlab.errors import SeedlabError, nearest
from seedlab.execution.events import Event
from seedlab.launch.display.base import Display
from seedlab.launch.display.progress import PackState, ProgressState, duration

MODES = ("auto", "live", "lines", "none")
_FRAME_SECONDS = 0.25
_SLOTS_SHOWN = 8
_SCORES_SHOWN = 3


def check_mode(mode: str) -> None:
    """Refuse a display that there is not.

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
        Runs of the batch, and those of them that were finished before.
    heartbeat : float
        Seconds between two status lines where there is no terminal.

    Raises
    ------
    SeedlabError
    """
    check_mode(mode)
    console = Console(highlight=False)
    progress = ProgressState(total, before, time.monotonic)
    if mode == "live" or (mode == "auto" and console.is_terminal and not console.is_dumb_terminal):
        return LiveDisplay(progress, console)
    return LineDisplay(progress, heartbeat, sys.stdout, quiet=mode == "none")


class LineDisplay(Display):
    """One line per run that ends, and a status line now and then.

    Parameters
    ----------
    tally : ProgressState
    heartbeat : float
        Seconds between two status lines.
    stream : text stream
    quiet : bool
        Only what the workers write is shown.
    """

    def __init__(
        self, progress: ProgressState, heartbeat: float, stream: TextIO, *, quiet: bool = False
    ) -> None:
        super().__init__(progress)
        self._heartbeat = heartbeat
        self._stream = stream
        self._quiet = quiet
        self._next = progress.clock() + heartbeat

    def __exit__(self, *error: object) -> None:
        self._say(summary(self.progress))

    def ended(self, event: Event) -> None:
        """Write the run's line."""
        self._say(final_line(self.progress, event))

    def note(self, text: str) -> None:
        """Write it."""
        self._say(text)

    def output(self, lines: Sequence[str]) -> None:
        """Write them."""
        for line in lines:
            self._write(line)

    def tick(self) -> None:
        """Write the status when the heartbeat is due."""
        now = self.progress.clock()
        if now >= self._next:
            self._next = now + self._heartbeat
            self._say(summary(self.progress))

    def _say(self, text: str) -> None:
        if not self._quiet:
            self._write(text)

    def _write(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()


class LiveDisplay(Display):
    """A display that is redrawn in place: counts, a bar, and one line per slot.

    Parameters
    ----------
    tally : ProgressState
    console : Console
    """

    def __init__(self, progress: ProgressState, console: Console) -> None:
        super().__init__(progress)
        self._console = console
        self._drawn = float("-inf")
        # Redrawn from `tick` alone: a drawing thread would race with the workers' output.
        self._live = Live(
            console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        # The pack lines go; the counts stay on the screen.
        self._live.update(heading(self.progress), refresh=True)
        self._live.stop()

    def ended(self, event: Event) -> None:
        """Show a failure above the display; what finished is in the counts."""
        if event.kind == "failed":
            self.note(final_line(self.progress, event))

    def note(self, text: str) -> None:
        """Show it above the display."""
        self._console.print(Text(text, "yellow"), soft_wrap=True)

    def output(self, lines: Sequence[str]) -> None:
        """Show them above the display, colours included."""
        for line in lines:
            self._console.print(Text.from_ansi(line), soft_wrap=True)

    def tick(self) -> None:
        """Redraw, four times a second at most."""
        now = self.progress.clock()
        if now - self._drawn >= _FRAME_SECONDS:
            self._drawn = now
            self._live.update(self.render(), refresh=True)

    def render(self) -> RenderableType:
        """Return the whole display as it is now."""
        lines = Table.grid(padding=(0, 1), expand=True)
        lines.add_column(no_wrap=True)
        lines.add_column(width=10)
        lines.add_column(no_wrap=True, ratio=1, overflow="ellipsis")
        running = sorted(self.progress.packs.items(), key=lambda item: item[0].index)
        shown = running[:_SLOTS_SHOWN]
        for slot, pack in shown:
            bar = ProgressBar(total=1.0, completed=pack.fraction, width=10)
            lines.add_row(slot.label, bar, pack_line(pack))
        more = len(running) - len(shown)
        tail = [Text(f"and {more} more packs are running")] if more > 0 else []
        return Group(heading(self.progress), lines, *tail)


def heading(progress: ProgressState) -> RenderableType:
    """Return the counts and the bar over all runs."""
    # A bar does not end its line; a row of a grid does.
    lines = Table.grid(expand=True)
    lines.add_row(Text(summary(progress)))
    ended = progress.done + len(progress.failed)
    lines.add_row(ProgressBar(total=max(1, progress.total), completed=ended))
    return lines


def summary(progress: ProgressState) -> str:
    """Return how far a launch is, in one line of less than 80 characters for 625 runs."""
    parts = [f"{progress.done}/{progress.total} done"]
    if progress.failed:
        parts.append(f"{len(progress.failed)} failed")
    if progress.best is not None and progress.median is not None:
        parts.append(f"best {progress.best:.4g}, median {progress.median:.4g}")
    parts.append(duration(progress.elapsed))
    if progress.done + len(progress.failed) < progress.total:
        parts.append(f"left {duration(progress.left)}")
    return " | ".join(parts)


def pack_line(pack: PackState) -> str:
    """Return where a running pack is: runs done, step, current scores."""
    done = sum(run.ended for run in pack.runs.values())
    parts = []
    if len(pack.runs) > 1:
        parts.append(f"{done}/{len(pack.runs)} runs")
    latest = pack.runs.get(pack.latest or "")
    if latest is not None and latest.total_steps:
        parts.append(f"step {latest.step}/{latest.total_steps}")
    scores = [run.score for run in pack.runs.values() if run.score is not None]
    if scores:
        shown = " ".join(f"{score:.3g}" for score in scores[-_SCORES_SHOWN:])
        parts.append(f"scores {'.. ' if len(scores) > _SCORES_SHOWN else ''}{shown}")
    if len(pack.runs) == 1:
        parts.append(next(iter(pack.labels.values())))
    elif pack.latest is not None:
        parts.append(pack.labels[pack.latest])
    return ", ".join(parts)


def final_line(progress: ProgressState, event: Event) -> str:
    """Return the line that says how a run ended."""
    at = f"[{progress.done + len(progress.failed)}/{progress.total}]"
    label = progress.labels.get(event.run_id, event.run_id)
    if event.kind == "failed":
        why = event.message.splitlines()[0] if event.message else "no reason was given"
        return f"{at} {label} FAILED: {why}"
    score = "" if event.score is None else f": {event.score:.4g}"
    how = f"stopped at step {event.step}" if event.kind == "stopped" else "finished"
    return f"{at} {label} {how}{score}"
