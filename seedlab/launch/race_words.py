"""A race in words: what is going to be done and what it costs, and what came of it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seedlab.launch.heats import Heat
from seedlab.launch.room import checkpoint_bytes, most_checkpoints

if TYPE_CHECKING:
    from seedlab.launch.race import Race

_MEGABYTE = 1e6


def plan_words(race: Race, workers: int) -> list[str]:
    """Return the plan of a race: policy, cells, rungs, cost and disk."""
    t, n = len(race.started), len(race.cells)
    orders = {run.seeds.order for run in race.started}
    drawn = (
        f"all {n} cells"
        if t == n
        else f"{t} of {n} cells, drawn by early_stopping.seed={race.policy.seed}, whole columns "
        f"first ({len(orders)} order seeds)"
    )
    lines = [f"early stopping: {race.policy.policy} of {drawn}"]
    lines += [_heat_words(heat, race.total_steps) for heat in race.heats]
    costs = [heat.cost(race.total_steps) for heat in race.heats]
    known = [cost for cost in costs if cost is not None]
    if len(known) == len(costs):
        lines.append(
            f"cost     {sum(known):.2f} full trainings in place of {t} (t f + p (1 - f) at every "
            "rung)"
        )
    else:
        lines.append(f"cost     not known beforehand, at most {t} full trainings")
    most = most_checkpoints(race.heats, workers, race.every)
    each = checkpoint_bytes(race.started[0])
    lines.append(
        f"disk     at most {most} checkpoints of about {each / _MEGABYTE:.1f} MB: "
        f"{most * each / _MEGABYTE:.0f} MB{_free(race.study, most * each)}"
    )
    return lines


def outcome_words(race: Race, outcome: dict[str, Any]) -> str:
    """Return what came of a race, in a few sentences."""
    expected = outcome["expected_cost"]
    text = (
        f"early stopping ({race.policy.policy}): {outcome['started']} runs started, "
        f"{outcome['to_the_end']} trained to the end, {outcome['stopped']} stopped"
    )
    if outcome["failed"]:
        text += f", {outcome['failed']} diverged or failed"
    text += f". Cost: {outcome['cost']:.2f} full trainings"
    if expected is not None:
        text += f" (by the formula {expected:.2f})"
    text += f" in place of {outcome['started']}."
    if outcome["best_run"] is not None:
        text += f" Best score {outcome['best_score']:.4f}, run {outcome['best_run']}."
    return text


def _heat_words(heat: Heat, total_steps: int) -> str:
    name = "" if heat.name == "all" else f"{heat.name}: "
    if not heat.rungs:
        return f"rungs    {name}{len(heat.runs)} runs, none is stopped"
    if any(rung.keep is None for rung in heat.rungs):
        steps = [rung.step for rung in heat.rungs]
        return (
            f"rungs    {name}{len(heat.runs)} runs, compared {len(steps)} times from step {steps[0]} "
            f"to {steps[-1]} of {total_steps}"
        )
    rungs = ", ".join(
        f"{rung.keep} after step {rung.step} ({rung.step / total_steps:.1%})" for rung in heat.rungs
    )
    return f"rungs    {name}of {len(heat.runs)} runs go on: {rungs}"


def _free(study: Path, needed: int) -> str:
    there = next(place for place in (study, *study.absolute().parents) if place.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        return (
            f"; only {free / _MEGABYTE:.0f} MB are free: runs that can't be kept start over when "
            "they go on"
        )
    return ""
