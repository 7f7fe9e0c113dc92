"""An ask-and-tell loop in which trials pause at a rung until their cohort is complete.

This barrier lets "start 20, stop at step 3, continue 5" and successive halving keep exactly
the trials that the rule selects; a pruner cannot wait. The loop does not depend on models:
the caller trains, and keeps the checkpoints of paused trials.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from analysis.rules.policies import best_so_far
from analysis.rules.pruners import checked_rungs, survivors

Advance = Callable[[Trial, int, int], Sequence[float]]


def run_cohort(
    study: Study,
    advance: Advance,
    *,
    started: int,
    rungs: Mapping[int, int],
    steps: int,
    seed: int = 0,
) -> list[FrozenTrial]:
    """Start trials, pause all of them at each rung, continue the best.

    Parameters
    ----------
    study : optuna Study
        With one objective; its pruner is not asked. It may hold other trials.
    advance : callable
        ``advance(trial, step_from, step_to)`` trains a trial from `step_from` on (0: from the
        beginning, where it also suggests its parameters) up to `step_to`, and returns the
        scores of the steps `step_from` + 1 to `step_to`. When it has returned, the trial is
        paused: keep a checkpoint if it has to leave the memory. An exception ends the loop, after the trial
        has been reported as failed.
    started : int
    rungs : mapping of step to number kept
        As for `analysis.rules.pruners.CohortPruner`; a rung at `steps` or later is refused.
    steps : int
        Of a whole training.
    seed : int
        Of the tie-breaking.

    Returns
    -------
    list of FrozenTrial
        The cohort, in order of asking. Those that were trained to the end are COMPLETE and their
        value is their best score; the others are PRUNED.

    Raises
    ------
    ValueError
        The rungs do not fit, or `advance` returns another number of scores.
    """
    stops = checked_rungs(started, rungs)
    if steps < 1 or any(step >= steps for step in stops):
        raise ValueError(
            f"steps is {steps} and the last rung is at {max(stops, default=0)}; allowed: rungs "
            "before the last step, after which no trial can be stopped."
        )
    higher = study.direction == StudyDirection.MAXIMIZE
    trials = [study.ask() for _ in range(started)]
    racing, before = {trial.number: trial for trial in trials}, 0
    for step, keep in [*stops.items(), (steps, started)]:
        for trial in racing.values():
            _advance(study, trial, advance, before, step)
        everyone = study.get_trials(deepcopy=False)
        cohort = [everyone[number] for number in racing]
        kept = {t.number for t in survivors(cohort, step, keep, higher=higher, seed=seed)}
        for trial in [trial for number, trial in racing.items() if number not in kept]:
            study.tell(trial, state=TrialState.PRUNED)
            del racing[trial.number]
        before = step
    sign = 1.0 if higher else -1.0
    everyone = study.get_trials(deepcopy=False)
    for trial in racing.values():
        scores = [sign * score for score in everyone[trial.number].intermediate_values.values()]
        best = float(best_so_far(scores)[-1])
        if math.isnan(best):
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, sign * best)
    by_number = study.get_trials(deepcopy=False)
    return [by_number[trial.number] for trial in trials]


def _advance(study: Study, trial: Trial, advance: Advance, before: int, step: int) -> None:
    try:
        scores = list(advance(trial, before, step))
        if len(scores) != step - before:
            raise ValueError(
                f"advance returned {len(scores)} scores for trial {trial.number} from step {before} "
                f"to step {step}; allowed: one score per step, {step - before}."
            )
    except BaseException:
        study.tell(trial, state=TrialState.FAIL)
        raise
    for at, score in enumerate(scores, start=before + 1):
        trial.report(float(score), at)
