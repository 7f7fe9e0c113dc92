"""Who goes on after a rung: scores of live runs, put before the rules of `analysis.rules.policies`.

Pure functions: the same scores give the same decision, whoever asks and when.
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
    """What is known of a run at a rung.

    Parameters
    ----------
    scores : mapping of step to float
        On the validation set up to the rung; NaN where a score did not exist.
    failed : bool
        It diverged before the rung or could not be trained at all; it loses to every other.
    """

    scores: Mapping[int, float]
    failed: bool = False


def best_of(curve: Curve, *, higher_is_better: bool) -> float | None:
    """Return the best score of a curve; None where there is none."""
    values = [value for value in curve.scores.values() if not math.isnan(value)]
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
    """Return the runs that go on after a rung.

    Parameters
    ----------
    policy : EarlyStoppingSpec
    rung : StepRung
    alive : sequence of run ids
        Those that passed all rungs before.
    curves : mapping of run id to Curve
        Of all runs of the heat.
    higher_is_better : bool

    Notes
    -----
    A rung that says how many go on keeps the best by their best score so far, of which ties are
    broken by a hash of `policy.seed` and the run's id, and failed runs come last
    (`analysis.rules.policies.keep_best`).

    *Median*: a run stops when its best score so far is strictly below the median of the scores
    of all runs of the heat at this evaluation, where a run that was stopped before stands at its
    last score (`analysis.rules.policies.median_rule`, whose finished runs are these). Without the
    stopped ones the median would rise with every decision, until `policy.least` were left.

    *Patience*: `analysis.rules.policies.patience_rule`, every run by itself.
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
    mine = np.array([scores[run] for run in healthy])
    if policy.policy == "patience":
        goes_on = patience_rule(mine, policy.patience, improvement=policy.improvement)
    else:
        last = [_last(values) for values in scores.values()]
        goes_on = median_rule(best_so_far(mine)[:, -1], last, least=policy.least)
    return {run for run, stays in zip(healthy, goes_on, strict=True) if stays}


def top(keep: int, curves: Mapping[str, Curve], seed: int, sign: float) -> set[str]:
    """Return the best runs by their best score so far; `sign` is -1 where lower is better.

    Failed runs never go on: there is nothing to train.
    """
    runs = list(curves)
    kept = keep_best(_bests(curves, sign), keep, failed=_failed(curves), names=runs, seed=seed)
    return {run for run, stays in zip(runs, kept, strict=True) if stays and not curves[run].failed}


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
    """Return the runs that may still go on, whatever the scores of runs that come later.

    Ranks are a fixed order of all runs: who has `keep` runs before him now can't come back.

    Parameters
    ----------
    keep : int or None
        How many go on; None: it can't be told before all are there.
    bests : mapping of run id to float or None
        Best scores so far of the runs that have reached the rung.
    seed : int
    higher_is_better : bool
    """
    if keep is None:
        return set(bests)
    curves = {run: Curve({} if best is None else {0: best}) for run, best in bests.items()}
    return top(keep, curves, seed, 1.0 if higher_is_better else -1.0)


def _bests(curves: Mapping[str, Curve], sign: float) -> list[float]:
    found = [best_of(curve, higher_is_better=sign > 0) for curve in curves.values()]
    return [math.nan if best is None else sign * best for best in found]


def _failed(curves: Mapping[str, Curve]) -> list[bool]:
    return [curve.failed for curve in curves.values()]


def _last(values: Sequence[float]) -> float:
    """Return the last score that there is."""
    return next((value for value in reversed(values) if not math.isnan(value)), math.nan)
