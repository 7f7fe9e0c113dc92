"""Texts of early stopping: the plan with its cost and disk use, and the outcome."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

from seedlab.early_stopping.brackets import RunBracket
from seedlab.models.checkpoint_folder import locate
from seedlab.spec.early_stopping import EarlyStoppingSpec
from seedlab.spec.recipe import active_techniques
from seedlab.spec.run import ModelSpec, RunSpec

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


_VECTORS = 3
"""Numbers per parameter in a checkpoint: the weight and Adam's two moments."""
_ITEM = {"float64": 8}
"""Bytes of a number, where they are not 4."""


def checkpoint_bytes(run: RunSpec) -> int:
    """Return an upper estimate of the size of a run's checkpoint in bytes.

    It counts three numbers for each parameter of the pre-trained model, four with weight
    averaging, in the precision of the master weights. Frozen parameters and unused embedding rows
    are counted, too. The new head and the curves are not; they are a fraction of a per cent.
    """
    kept = sum(technique.vectors for technique in active_techniques(run.recipe).values())
    vectors = _VECTORS + kept
    return vectors * _ITEM.get(run.model.dtype, 4) * _parameters(run.model)


def most_checkpoints(brackets: Sequence[RunBracket], workers: int, every: int | None) -> int:
    """Return the largest number of checkpoints that exist at a time.

    These are the checkpoints of runs that may be promoted, and one that each worker is writing.
    With checkpoints between the rungs (`every`) each run may have one.
    """
    most = 0
    for bracket in brackets:
        kept = [len(bracket.runs) if rung.keep is None else rung.keep for rung in bracket.rungs]
        most += len(bracket.runs) if every is not None else max(kept, default=0)
    return most + workers


@lru_cache(maxsize=8)
def _parameters(model: ModelSpec) -> int:
    folder = locate(model.name, model.path, model.allow_pickle)
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        return sum(file.stat().st_size for file in folder.glob("*.bin")) // 4
    return sum(_numbers(file) for file in files)


def _numbers(file: Path) -> int:
    with file.open("rb") as opened:
        header = json.loads(opened.read(int.from_bytes(opened.read(8), "little")))
    return sum(prod(part["shape"]) for name, part in header.items() if name != "__metadata__")
