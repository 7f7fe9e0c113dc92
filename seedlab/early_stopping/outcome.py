"""The outcome of a cohort: its runs by status, their cost and the best score."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from seedlab.early_stopping.brackets import RunBracket
from seedlab.spec.run import RunSpec
from seedlab.store.chosen import ScoredRun


def count_outcome(
    started: Sequence[RunSpec],
    scores: Mapping[str, ScoredRun],
    brackets: Sequence[RunBracket],
    total_steps: int,
    *,
    higher_is_better: bool,
) -> dict[str, Any]:
    """Return the outcome as plain values.

    The cost is counted in full trainings: updates made, divided by those of a whole run.

    Parameters
    ----------
    started : sequence of RunSpec
        The runs that were started.
    scores : mapping of run id to ScoredRun
        Runs on record with their chosen scores; a started run without a record failed.
    brackets : sequence of RunBracket
        The expected cost is theirs.
    total_steps : int
        Updates of a full training.
    higher_is_better : bool
        Direction of the deciding metric.
    """
    found = [scores[run.run_id] for run in started if run.run_id in scores]
    recorded = [run.record for run in found]
    expected = [bracket.cost(total_steps) for bracket in brackets]
    known = [cost for cost in expected if cost is not None]
    pick = max if higher_is_better else min
    scored = [run for run in found if math.isfinite(run.chosen_score)]
    best = pick(scored, key=lambda r: r.chosen_score) if scored else None
    diverged = sum(record.status == "diverged" for record in recorded)
    return {
        "started": len(started),
        "to_the_end": sum(record.is_over for record in recorded),
        "stopped": sum(not record.is_over for record in recorded),
        "failed": diverged + len(started) - len(recorded),
        "cost": sum(record.steps for record in recorded) / total_steps,
        "expected_cost": sum(known) if len(known) == len(expected) else None,
        "seconds": sum(record.seconds for record in recorded),
        "best_run": best.record.run_id if best else None,
        "best_score": best.chosen_score if best else None,
    }
