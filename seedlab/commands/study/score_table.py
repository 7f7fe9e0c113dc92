"""The init x order table of scores, for a terminal; it estimates nothing."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import fmean

from seedlab.commands.study.settings import Setting, settings_of
from seedlab.store.chosen import ScoredRun

FAILED = "*"
STOPPED = "~"


def score_grid(runs: Iterable[ScoredRun], score: str = "best", width: int = 80) -> str:
    """Return tables of scores, init seeds down and order seeds across, with their means.

    Parameters
    ----------
    runs : iterable of ScoredRun
        Runs of any tasks; each setting has a table of its own, headed by what differs from the
        others of the same task, model and recipe.
    score : {"best", "final"}
        See `ScoredRun.reported`.
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
    tables = [_table(setting, score, width) for setting in settings_of(runs)]
    return "\n\n".join(tables) if tables else "no runs yet"


def _table(setting: Setting, score: str, width: int) -> str:
    like = setting.like
    cells: dict[tuple[int, int], list[ScoredRun]] = {}
    for run in setting.runs:
        seeds = run.record.seeds
        cells.setdefault((seeds["init"], seeds["order"]), []).append(run)
    inits = sorted({init for init, _ in cells})
    orders = sorted({order for _, order in cells})
    label = max(len("init\\order"), *(len(str(seed)) for seed in inits))
    selected = any(not run.record.is_over for run in setting.runs)
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
        f"{like.task} / {like.model} / {setting.recipe}: {score} {like.metric} on {like.split} "
        f"({'higher' if like.direction == 'max' else 'lower'} is better)",
        line("init\\order", [*heads, "mean "]),
        *(row(init) for init in shown_inits),
        line("mean", [*foot, means(list(cells))]),
    ]
    return "\n".join([*lines, *_notes(setting, cells)])


def _notes(setting: Setting, cells: dict[tuple[int, int], list[ScoredRun]]) -> list[str]:
    runs = [run.record for run in setting.runs]
    failed, stopped = (
        sum(r.failed and r.is_over for r in runs),
        sum(not r.is_over for r in runs),
    )
    notes = [f"majority: {setting.like.majority:.3f}"]
    if failed:
        notes.append(f"{FAILED} failed: {failed} of {len(runs)}")
    if stopped:
        notes.append(f"{STOPPED} stopped early: {stopped}, best score until then")
    if len(cells) < len(runs):
        notes.append("cells with several runs show their mean")
    return ["; ".join(notes)]


def _cell(runs: list[ScoredRun], score: str) -> str:
    mark = " "
    if any(not run.record.is_over for run in runs):
        mark = STOPPED
    elif any(run.record.failed for run in runs):
        mark = FAILED
    return f"{fmean(run.reported(score) for run in runs):.3f}{mark}"


def _some(seeds: list[int], room: int) -> list[int | None]:
    """Return the seeds that fit, with a None where some are left out."""
    if len(seeds) <= room:
        return list(seeds)
    return [*seeds[: room - 2], None, seeds[-1]]
