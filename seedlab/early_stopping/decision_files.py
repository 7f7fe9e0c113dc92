"""The content of a cohort's files in a study: its plan and its decisions.

Some keys are older than the names in the code. They stay, because studies have files with them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from seedlab.early_stopping.brackets import RunBracket, StepRung
from seedlab.early_stopping.promotion import Curve, best_of
from seedlab.spec.early_stopping import EarlyStoppingSpec
from seedlab.spec.run import RunSpec

PROMOTED = "goes_on"
"""Key of the run ids that a decision promotes, best first."""
BRACKET = "heat"
"""Key of the name of a decision's bracket."""
BRACKETS = "heats"
"""Key of a plan's brackets."""


def plan_content(
    policy: EarlyStoppingSpec,
    n_cells: int,
    started: Sequence[RunSpec],
    brackets: Sequence[RunBracket],
    total_steps: int,
) -> dict[str, Any]:
    """Return the plan of a cohort as it is written before any run starts.

    Parameters
    ----------
    policy : EarlyStoppingSpec
    n_cells : int
        Runs of the cohort, started or not.
    started : sequence of RunSpec
    brackets : sequence of RunBracket
    total_steps : int
        Updates of a full training.
    """
    return {
        "policy": dataclasses.asdict(policy),
        "cells": n_cells,
        "started": [
            {"run": run.run_id, "init": run.seeds.init, "order": run.seeds.order} for run in started
        ],
        "total_steps": total_steps,
        BRACKETS: [
            {
                "name": bracket.name,
                "runs": len(bracket.runs),
                "rungs": [dataclasses.asdict(rung) for rung in bracket.rungs],
                "cost": bracket.cost(total_steps),
            }
            for bracket in brackets
        ],
    }


def decision_content(
    bracket: RunBracket,
    rung: StepRung,
    ranked: Sequence[RunSpec],
    promoted: Collection[str],
    curves: Mapping[str, Curve],
    total_steps: int,
    *,
    higher_is_better: bool,
) -> dict[str, Any]:
    """Return a decision as it is written.

    Parameters
    ----------
    bracket : RunBracket
    rung : StepRung
    ranked : sequence of RunSpec
        The compared runs, best first.
    promoted : collection of run ids
    curves : mapping of run id to Curve
        Those of all compared runs.
    total_steps : int
        Updates of a full training.
    higher_is_better : bool
        Direction of the deciding metric.
    """
    return {
        BRACKET: bracket.name,
        "step": rung.step,
        "fraction": rung.step / total_steps,
        "keep": rung.keep,
        PROMOTED: [run.run_id for run in ranked if run.run_id in promoted],
        "ranking": [
            {
                "run": run.run_id,
                "init": run.seeds.init,
                "order": run.seeds.order,
                "best_so_far": best_of(curves[run.run_id], higher_is_better=higher_is_better),
                "failed": curves[run.run_id].failed,
            }
            for run in ranked
        ],
    }


def decision_key(bracket: RunBracket, rung: StepRung) -> str:
    """Return the name of a decision's file, without its ending."""
    return f"{bracket.name}-step-{rung.step}"
