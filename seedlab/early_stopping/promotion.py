"""Promotion: the runs that continue after a rung, by the rules of `analysis.rules.policies`.

All functions are pure: the same scores give the same decision in every process at any time.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.rules.policies import best_so_far, keep_best, median_rule, patience_rule, rank_runs
from seedlab.early_stopping.brackets import StepRung
from seedlab.spec.early_stopping import EarlyStoppingSpec


@dataclass(frozen=True)
class Curve:
    """The validation scores of a run up to a rung.

    Parameters
    ----------
    scores : mapping of step to float
        Scores on the validation set; NaN where a score is undefined. Step 0 is the untrained
        model, which never counts as the best.
    failed : bool
        The run diverged before the rung or could not be trained. It ranks below all others.
    """

    scores: Mapping[int, float]
    failed: bool = False


def best_of(curve: Curve, *, higher_is_better: bool) -> float | None:
    """Return the best score of a curve after step 0; None for a curve without one."""
    values = [v for step, v in curve.scores.items() if step > 0 and not math.isnan(v)]
    if not values:
        return None
    return max(values) if higher_is_better else min(values)


def decide(
    policy: EarlyStoppingSpec,
    rung: StepRung,
    alive: Sequence[str],
    curves: Mapping[str, Curve],
    *,
    higher_is_better: bool,
) -> set[str]:
    """Return the runs that are promoted at a rung.

    Parameters
    ----------
    policy : EarlyStoppingSpec
    rung : StepRung
    alive : sequence of run ids
        Runs that were promoted at all rungs before.
    curves : mapping of run id to Curve
        Curves of all runs of the bracket.
    higher_is_better : bool

    Notes
    -----
    A rung with a number of promoted runs keeps the best by their best score so far
    (`analysis.rules.policies.keep_best`). A hash of `policy.seed` and the run's id breaks ties.
    Failed runs rank last.

    *Median* (`analysis.rules.policies.median_rule`): a run stops when its best score so far is
    strictly below the median score of all runs of the bracket at this evaluation. A run that was
    stopped before counts with its last score. Without the stopped runs the median would rise with
    every decision, until `policy.least` runs were left.

    *Patience* (`analysis.rules.policies.patience_rule`) looks at each run by itself. The score at
    step 0 is its first reference, as in `evaluation.patience`.
    """
    sign = 1.0 if higher_is_better else -1.0
    if rung.keep is not None:
        return top(rung.keep, {run: curves[run] for run in alive}, policy.seed, sign)
    healthy = [run for run in alive if not curves[run].failed]
    steps = sorted({step for curve in curves.values() for step in curve.scores})
    scores = {
        run: [sign * curve.scores.get(step, math.nan) for step in steps]
        for run, curve in curves.items()
    }
    if not healthy or not steps:
        return set(healthy)
    live = np.array([scores[run] for run in healthy])
    if policy.policy == "patience":
        promoted = patience_rule(live, policy.patience, improvement=policy.improvement)
    else:
        last = [_last(values) for values in scores.values()]
        after_start = live[:, np.array(steps) > 0]
        best = best_so_far(after_start)[:, -1] if after_start.size else np.full(len(live), np.nan)
        promoted = median_rule(best, last, least=policy.least)
    return {run for run, kept in zip(healthy, promoted, strict=True) if kept}


def top(keep: int, curves: Mapping[str, Curve], seed: int, sign: float) -> set[str]:
    """Return the best runs by their best score so far; `sign` is -1 where lower is better.

    Failed runs are never promoted, even if fewer than `keep` runs are left then.
    """
    runs = list(curves)
    kept = keep_best(_bests(curves, sign), keep, failed=_failed(curves), names=runs, seed=seed)
    return {run for run, best in zip(runs, kept, strict=True) if best and not curves[run].failed}


def ranking(curves: Mapping[str, Curve], seed: int, *, higher_is_better: bool) -> list[str]:
    """Return the runs, best first, in the order by which `top` takes them."""
    runs = list(curves)
    order = rank_runs(
        _bests(curves, 1.0 if higher_is_better else -1.0),
        failed=_failed(curves),
        names=runs,
        seed=seed,
    )
    return [runs[at] for at in order]


def may_be_promoted(
    keep: int | None, bests: Mapping[str, float | None], seed: int, *, higher_is_better: bool
) -> Collection[str]:
    """Return the runs that may still be promoted, whatever scores the other runs will have.

    Ranks are a fixed order of all runs. A run with `keep` runs before it can only fall back.

    Parameters
    ----------
    keep : int or None
        Number of promoted runs. With None every run may still be promoted.
    bests : mapping of run id to float or None
        Best scores so far of the runs that have reached the rung.
    seed : int
    higher_is_better : bool
    """
    if keep is None:
        return set(bests)
    curves = {run: Curve({} if best is None else {1: best}) for run, best in bests.items()}
    return top(keep, curves, seed, 1.0 if higher_is_better else -1.0)


def _bests(curves: Mapping[str, Curve], sign: float) -> list[float]:
    found = [best_of(curve, higher_is_better=sign > 0) for curve in curves.values()]
    return [math.nan if best is None else sign * best for best in found]


def _failed(curves: Mapping[str, Curve]) -> list[bool]:
    return [curve.failed for curve in curves.values()]


def _last(values: Sequence[float]) -> float:
    """Return the last score that is not NaN; NaN if all are."""
    return next((value for value in reversed(values) if not math.isnan(value)), math.nan)
