"""Progress as text: the summary of a launch, the state of a pack, the end of a run."""

from __future__ import annotations

from datetime import timedelta

from rich.progress import Task

from seedlab.execution.events import Event
from seedlab.launch.display.progress import PackState, ProgressState

_SCORES_SHOWN = 3
_WIDTH = 80


def summary(progress: ProgressState, launch: Task) -> str:
    """Return counts and times in one line, of less than 80 characters for 625 runs.

    The updates of the running packs are left out where they would make it longer.
    """
    times = [clock_time(launch.elapsed)]
    if progress.ended < progress.total:
        times.append(f"left {clock_time(launch.time_remaining)}")
    parts = [f"{progress.done}/{progress.total} done", *counts(progress), *times]
    made, asked = progress.updates
    if asked:
        longer = [*parts[:1], f"running: {made:,}/{asked:,} updates", *parts[1:]]
        parts = longer if len(" | ".join(longer)) <= _WIDTH else parts
    return " | ".join(parts)


def counts(progress: ProgressState) -> list[str]:
    """Return the failures and scores, where there are some."""
    parts = []
    if progress.failed:
        parts.append(f"{len(progress.failed)} failed")
    if progress.best is not None and progress.median is not None:
        # Scores of runs on record are not known here.
        whose = "new runs: " if progress.before else ""
        parts.append(f"{whose}best {progress.best:.4g}, median {progress.median:.4g}")
    elif len(progress.settings) > 1:
        parts.append(f"{len(progress.settings)} settings")
    return parts


def pack_text(pack: PackState) -> str:
    """Return the runs done, the step and the latest scores of a running pack."""
    if pack.latest is None:
        return "loading data and weights"
    parts = []
    if len(pack.runs) > 1:
        ended = sum(run.ended for run in pack.runs.values())
        parts.append(f"{ended}/{len(pack.runs)} runs")
    latest = pack.runs[pack.latest]
    if latest.total_steps:
        parts.append(f"step {latest.step}/{latest.total_steps}")
    scores = [run.score for run in pack.runs.values() if run.score is not None]
    if scores:
        shown = " ".join(f"{score:.3g}" for score in scores[-_SCORES_SHOWN:])
        parts.append(f"scores {'.. ' if len(scores) > _SCORES_SHOWN else ''}{shown}")
    if len(pack.runs) == 1:
        parts.append(next(iter(pack.labels.values())))
    else:
        parts.append(pack.labels[pack.latest])
    return ", ".join(parts)


def final_line(progress: ProgressState, event: Event) -> str:
    """Return the end of a run in one line."""
    at = f"[{progress.ended}/{progress.total}]"
    label = progress.labels.get(event.run_id, event.run_id)
    if event.kind == "failed":
        cause = event.message.splitlines()[0] if event.message else "no reason was given"
        return f"{at} {label} FAILED: {cause}"
    score = "" if event.score is None else f": {event.score:.4g}"
    end = f"stopped at step {event.step}" if event.kind == "stopped" else "finished"
    return f"{at} {label} {end}{score}"


def clock_time(seconds: float | None) -> str:
    """Return a duration as rich's columns write it: ``0:00:07``, ``3 days, 4:05:00``."""
    return "unknown" if seconds is None else str(timedelta(seconds=round(seconds)))
