"""The status of a study: its cells by state, their scores and the time they took.

It reads records, the plan and claims, and changes nothing.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import median

from seedlab.commands.study.settings import settings_of
from seedlab.durations import duration
from seedlab.gpu_use import gpu_uses
from seedlab.store.chosen import ScoredRun, scored_runs
from seedlab.store.study import StudyFolder


@dataclass(frozen=True)
class ScoreSummary:
    """The scores of one setting so far, without early-stopped runs."""

    task: str
    model: str
    recipe: str
    """Its name, and what differs from other settings of the same name."""
    metric: str
    direction: str
    runs: int
    failed: int
    best: float
    """Best chosen score (`seedlab.store.chosen`)."""
    median: float
    """Median of the chosen scores."""
    median_final: float
    """Median of `Record.final_score`."""
    keep: str
    """``final`` or ``best``: weights that the runs keep (`evaluation.keep`)."""


@dataclass(frozen=True)
class StudyStatus:
    """The status of a study; a cell is done, running or left."""

    name: str
    planned: int
    """Cells of the plan, and finished cells outside it."""
    done: int
    """Cells on record, in any state."""
    running: int
    left: int
    failed: int
    """Done cells that were not stopped and are no better than the majority, or diverged."""
    diverged: int
    stopped: int
    """Done cells that a policy stopped early."""
    corrupt: int
    """Folders of damaged runs that were set aside."""
    workers: int
    """Processes that hold claims."""
    seconds_per_run: float | None
    """Median; None before the first run is done."""
    seconds_left: float | None
    """Cells that are not done, times seconds per run, divided by the workers (one if none runs)."""
    scores: tuple[ScoreSummary, ...]
    devices: tuple[tuple[str, int], ...] = ()
    """Product names of GPUs, and the done cells that each has trained; those of a CPU are left
    out."""
    gpus: tuple[str, ...] = ()
    """Use of this machine's GPUs, one line each, while a worker of this machine trains."""


def status(study: StudyFolder) -> StudyStatus:
    """Return the status of a study."""
    # Claims are read before records, so that a run that ends in between counts as done.
    owners = study.owners()
    # A stopped run that a worker has claimed is running again.
    runs = [
        run for run in scored_runs(study) if run.record.is_over or run.record.run_id not in owners
    ]
    records = {run.record.run_id: run.record for run in runs}
    planned = study.planned().keys() | records.keys()
    running = owners.keys() - records.keys()
    planned |= running
    undone = len(planned) - len(records)
    trained = [record.seconds for record in records.values() if record.is_over]
    typical = median(trained) if trained else None
    workers = len({owners[run_id] for run_id in running})
    return StudyStatus(
        name=study.name,
        planned=len(planned),
        done=len(records),
        running=len(running),
        left=undone - len(running),
        failed=sum(record.failed and record.is_over for record in records.values()),
        diverged=sum(record.status == "diverged" for record in records.values()),
        stopped=sum(record.status == "stopped" for record in records.values()),
        corrupt=len(study.corrupt()),
        workers=workers,
        seconds_per_run=typical,
        seconds_left=None if typical is None else undone * typical / max(workers, 1),
        scores=summarise(runs),
        devices=tuple(
            Counter(
                record.device_name for record in records.values() if record.device_name
            ).most_common()
        ),
        gpus=tuple(_gpu_lines({owners[run_id] for run_id in running})),
    )


def _gpu_lines(owners: Iterable[str]) -> Iterator[str]:
    """Yield the use of every GPU of this machine, if one of the workers, ``"host pid"``, is here."""
    host = socket.gethostname()
    here = {pid for at, _, pid in (owner.partition(" ") for owner in owners) if at == host}
    for use in gpu_uses() if here else ():
        name = use.uuid if use.is_instance else use.index
        mine = sum(str(pid) in here for pid in use.processes)
        workers = f", {mine} {'worker' if mine == 1 else 'workers'} of this study" if mine else ""
        yield f"gpu {name}: {use.name}{', ' if str(use) else ''}{use}{workers}"


def summarise(runs: Iterable[ScoredRun]) -> tuple[ScoreSummary, ...]:
    """Return the scores of every setting (see `settings_of`)."""
    summaries = []
    for setting in settings_of(run for run in runs if run.record.is_over):
        like = setting.like
        best = [run.reported("best") for run in setting.runs]
        summaries.append(
            ScoreSummary(
                task=like.task,
                model=like.model,
                recipe=setting.recipe,
                metric=like.metric,
                direction=like.direction,
                runs=len(best),
                failed=sum(run.record.failed for run in setting.runs),
                best=max(best) if like.direction == "max" else min(best),
                median=median(best),
                median_final=median(run.record.final_score for run in setting.runs),
                keep=like.spec.get("evaluation", {}).get("keep", "final"),
            )
        )
    return tuple(summaries)


def format_status(state: StudyStatus) -> list[str]:
    """Return the status as lines of plain text."""
    failed = f"{state.failed} failed"
    if state.diverged:
        failed += f", {state.diverged} of them diverged"
    if state.stopped:
        failed += f"; {state.stopped} stopped early"
    lines = [
        f"study {state.name}: {state.done} of {state.planned} cells done ({failed}), "
        f"{state.running} running, {state.left} left",
    ]
    if state.seconds_per_run is not None:
        line = f"time: {duration(state.seconds_per_run)} per run (median)"
        if state.seconds_left:
            workers = "one worker" if state.workers < 2 else f"{state.workers} workers"
            line += f", about {duration(state.seconds_left)} left with {workers}"
        lines.append(line)
    if state.devices:
        lines.append(f"trained on: {', '.join(f'{name} ({n})' for name, n in state.devices)}")
    lines += state.gpus
    if state.corrupt:
        left = " (their runs count as left and are trained again)" if state.left else ""
        lines.append(f"folders of damaged runs, set aside in corrupt/: {state.corrupt}{left}")
    if state.scores:
        lines += ["", *_score_lines(state.scores)]
    return lines


def _score_lines(scores: tuple[ScoreSummary, ...]) -> list[str]:
    header = ("task", "model", "recipe", "metric", "runs", "failed", "best", "median", "final")
    rows = [
        (
            s.task,
            s.model,
            s.recipe,
            f"{s.metric} ({s.direction})",
            str(s.runs),
            str(s.failed),
            f"{s.best:.4f}",
            f"{s.median:.4f}",
            f"{s.median_final:.4f}",
        )
        for s in scores
    ]
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    table = [
        "  ".join(
            text.ljust(width) if column < 4 else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (header, *rows)
    ]
    kept = {s.keep for s in scores}
    final = (
        "after training" if kept == {"final"} else "of the weights that runs keep (evaluation.keep)"
    )
    return [
        *table,
        f"best, median: of each run's best evaluation after step 0; final: median {final}",
    ]
