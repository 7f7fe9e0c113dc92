"""Texts of early stopping: the plan with its cost and disk use, and the outcome."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seedlab.early_stopping.brackets import RunBracket
from seedlab.early_stopping.disk_use import checkpoint_bytes, most_checkpoints
from seedlab.spec.early_stopping import EarlyStoppingSpec
from seedlab.spec.run import RunSpec

_MEGABYTE = 1e6


def plan_text(
    study: Path,
    policy: EarlyStoppingSpec,
    started: Sequence[RunSpec],
    n_cells: int,
    brackets: Sequence[RunBracket],
    *,
    total_steps: int,
    every: int | None,
    workers: int,
) -> list[str]:
    """Return the plan of a cohort in lines: policy, cells, rungs, cost and disk use.

    Parameters
    ----------
    study : pathlib.Path
        The study's folder.
    policy : EarlyStoppingSpec
    started : sequence of RunSpec
        The runs that are started.
    n_cells : int
        Runs of the cohort, started or not.
    brackets : sequence of RunBracket
    total_steps : int
        Updates of a full training.
    every : int or None
        Updates between two checkpoints, besides those at the rungs.
    workers : int
        Number of packs in training at a time.
    """
    t = len(started)
    orders = {run.seeds.order for run in started}
    drawn = (
        f"all {n_cells} cells"
        if t == n_cells
        else f"{t} of {n_cells} cells, drawn by early_stopping.seed={policy.seed}, whole columns "
        f"first ({len(orders)} order seeds)"
    )
    lines = [f"early stopping: {policy.policy} of {drawn}"]
    lines += [_bracket_text(bracket, total_steps) for bracket in brackets]
    costs = [bracket.cost(total_steps) for bracket in brackets]
    known = [cost for cost in costs if cost is not None]
    if len(known) == len(costs):
        lines.append(
            f"cost     {sum(known):.2f} full trainings in place of {t} (t f + p (1 - f) at every "
            "rung)"
        )
    else:
        lines.append(f"cost     not known beforehand, at most {t} full trainings")
    most = most_checkpoints(brackets, workers, every)
    each = checkpoint_bytes(started[0])
    lines.append(
        f"disk     at most {most} checkpoints of about {each / _MEGABYTE:.1f} MB: "
        f"{most * each / _MEGABYTE:.0f} MB{_free(study, most * each)}"
    )
    return lines


def outcome_text(policy: str, outcome: Mapping[str, Any]) -> str:
    """Return the outcome of a cohort (see `count_outcome`) as text."""
    expected = outcome["expected_cost"]
    text = (
        f"early stopping ({policy}): {outcome['started']} runs started, "
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


def _bracket_text(bracket: RunBracket, total_steps: int) -> str:
    name = "" if bracket.name == "all" else f"{bracket.name}: "
    if not bracket.rungs:
        return f"rungs    {name}{len(bracket.runs)} runs, none is stopped"
    if any(rung.keep is None for rung in bracket.rungs):
        steps = [rung.step for rung in bracket.rungs]
        return (
            f"rungs    {name}{len(bracket.runs)} runs, compared {len(steps)} times from step {steps[0]} "
            f"to {steps[-1]} of {total_steps}"
        )
    rungs = ", ".join(
        f"{rung.keep} after step {rung.step} ({rung.step / total_steps:.1%})"
        for rung in bracket.rungs
    )
    return f"rungs    {name}promoted of {len(bracket.runs)} runs: {rungs}"


def _free(study: Path, needed: int) -> str:
    there = next(place for place in (study, *study.absolute().parents) if place.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        return f"; only {free / _MEGABYTE:.0f} MB are free: promoted runs without a checkpoint start over"
    return ""
