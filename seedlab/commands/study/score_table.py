"""The init x order table of scores, for a terminal; it estimates nothing."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import fmean

from seedlab.store.record import Record

FAILED = "*"
STOPPED = "~"


def score_grid(records: Iterable[Record], score: str = "best", width: int = 80) -> str:
    """Return tables of scores, init seeds down and order seeds across, with their means.

    Parameters
    ----------
    records : iterable of Record
        Records of any tasks; each task, model and recipe has a table of its own.
    score : {"best", "final"}
        `Record.best_score` or `Record.final_score`.
    width : int
        Columns of the terminal. If not all seeds fit, the first ones and the last are shown. The
        means are over all seeds.

    Returns
    -------
    str
        Failed runs are marked ``*``, cells without a run ``-``. Early-stopped runs are marked
        ``~`` and show their best score so far. A table with them has no means, because the other
        runs were selected by their scores. A cell with several runs shows their mean.
    """
    groups: dict[tuple[str, str, str, str], list[Record]] = {}
    for record in records:
        key = (record.task, record.model, record.recipe, record.metric)
        groups.setdefault(key, []).append(record)
    tables = [_table(groups[key], score, width) for key in sorted(groups)]
    return "\n\n".join(tables) if tables else "no runs yet"


def _table(runs: list[Record], score: str, width: int) -> str:
    first = runs[0]
    cells: dict[tuple[int, int], list[Record]] = {}
    for run in runs:
        cells.setdefault((run.seeds["init"], run.seeds["order"]), []).append(run)
    inits = sorted({init for init, _ in cells})
    orders = sorted({order for _, order in cells})
    label = max(len("init\\order"), *(len(str(seed)) for seed in inits))
    selected = any(not run.is_over for run in runs)
    text = {place: _cell(several, score) for place, several in cells.items()}
    size = max(6, *(len(t) for t in text.values()), *(len(str(seed)) for seed in orders))
    shown_inits = _some(inits, 25)
    shown_orders = _some(orders, max((width - label) // (size + 1) - 1, 3))

    def line(head: str, values: list[str]) -> str:
        return (head.rjust(label) + "".join(f" {value:>{size}}" for value in values)).rstrip()

    def means(places: list[tuple[int, int]]) -> str:
        values = [run.reported(score) for place in places for run in cells.get(place, ())]
        return f"{fmean(values):.3f}" + " " if values and not selected else "- "

    def row(init: int | None) -> str:
        if init is None:
            return line("...", ["..."] * (len(shown_orders) + 1))
        values = [
            "..." if order is None else text.get((init, order), "- ") for order in shown_orders
        ]
        return line(str(init), [*values, means([(init, order) for order in orders])])

    heads = ["..." if order is None else f"{order} " for order in shown_orders]
    foot = [
        "..." if order is None else means([(init, order) for init in inits])
        for order in shown_orders
    ]
    lines = [
        f"{first.task} / {first.model} / {first.recipe}: {score} {first.metric} on {first.split} "
        f"({'higher' if first.direction == 'max' else 'lower'} is better)",
        line("init\\order", [*heads, "mean "]),
        *(row(init) for init in shown_inits),
        line("mean", [*foot, means(list(cells))]),
    ]
    return "\n".join([*lines, *_notes(runs, cells)])


def _notes(runs: list[Record], cells: dict[tuple[int, int], list[Record]]) -> list[str]:
    failed, stopped = (
        sum(r.failed and r.is_over for r in runs),
        sum(not r.is_over for r in runs),
    )
    notes = [f"majority: {runs[0].majority:.3f}"]
    if failed:
        notes.append(f"{FAILED} failed: {failed} of {len(runs)}")
    if stopped:
        notes.append(f"{STOPPED} stopped early: {stopped}, best score until then")
    if len(cells) < len(runs):
        notes.append("cells with several runs show their mean")
    return ["; ".join(notes)]


def _cell(runs: list[Record], score: str) -> str:
    mark = " "
    if any(not run.is_over for run in runs):
        mark = STOPPED
    elif any(run.failed for run in runs):
        mark = FAILED
    return f"{fmean(run.reported(score) for run in runs):.3f}{mark}"


def _some(seeds: list[int], room: int) -> list[int | None]:
    """Return the seeds that fit, with a None where some are left out."""
    if len(seeds) <= room:
        return list(seeds)
    return [*seeds[: room - 2], None, seeds[-1]]
