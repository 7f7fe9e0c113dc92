"""The decision rules of seedlab as Optuna pruners, for any Optuna study.

A pruner can only answer "stop this trial?" when a trial reports. It can't make a trial
wait, so it is exact only where trials reach a rung together (in one pack, or in the loop
of `analysis.rules.ask_and_tell`, which pauses them).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from optuna.pruners import BasePruner
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from analysis.checks import check_at_least
from analysis.errors import OptionError
from analysis.rules.brackets import halving_bracket
from analysis.rules.policies import best_so_far, keep_best
from analysis.rules.sequential import SequentialTest, Statistic

_ALIVE = (TrialState.RUNNING, TrialState.COMPLETE)


class CohortPruner(BasePruner):
    """Start many, continue some: ranks a whole cohort, and only when it is complete.

    Trials 0 to `started` - 1 are the first cohort, the next `started` the second, and so on.
    Once all remaining trials of a cohort have reported up to a rung, those with the
    best values so far are promoted and the others are pruned. Exactly the rung's number is
    promoted; a hash of the trial's number breaks ties
    (:func:`analysis.rules.policies.keep_best`).

    Parameters
    ----------
    started : int, at least 1
        Size of a cohort.
    rungs : mapping of step to number kept
        ``{3: 5}``: after step 3 the best five continue (Dodge et al. 2020). Several rungs
        are successive halving: :func:`halving_rungs`.
    seed : int
        Of the tie-breaking.

    Notes
    -----
    *Limitation.* A trial that reaches a rung before the cohort is complete is not
    stopped; it trains on, and is pruned at its next report after the decision could be
    made. Trials that run one after the other therefore prune almost nothing but the last
    ones. Optuna's own `SuccessiveHalvingPruner` decides at once instead, among the trials
    that have reported, and so keeps other trials, and another number of them. For the exact
    rule, use :func:`analysis.rules.ask_and_tell.run_cohort`.
    """

    def __init__(self, started: int, rungs: Mapping[int, int], *, seed: int = 0) -> None:
        self._started, self._rungs, self._seed = started, checked_rungs(started, rungs), seed

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether the trial lost at a rung that its whole cohort has reached."""
        first = trial.number - trial.number % self._started
        members = range(first, first + self._started)
        trials = study.get_trials(deepcopy=False)
        if len(trials) <= members[-1]:
            return False
        # The caller's copy is the newest of this trial.
        cohort = [trial if n == trial.number else trials[n] for n in members]
        higher = study.direction == StudyDirection.MAXIMIZE
        for step, keep in self._rungs.items():
            if (trial.last_step or 0) < step or not all(_arrived(t, step) for t in cohort):
                return False
            cohort = survivors(cohort, step, keep, higher=higher, seed=self._seed)
            if all(t.number != trial.number for t in cohort):
                return True
        return False


class SequentialPruner(BasePruner):
    """A paired-test pruner that accounts for repeated looks.

    A trial is a setting, its steps are seeds (the same ones in every trial), and
    ``trial.report(score, step=seed)`` is called in rounds. At each look the trial is
    compared with the incumbent: the trial with the best mean over the same seeds,
    finished or running. It is pruned when the paired test finds the incumbent better.

    Parameters
    ----------
    looks : sequence of ints
        Numbers of seeds after which it decides (`analysis.rules.sequential.planned_looks`).
    rivals : int, at least 1
        Number of other trials in the study, as planned.
    alpha : float in (0, 1)
        Chance that a given setting is pruned although no other is better, *over the whole
        search*: all looks and all rivals. It is divided by `rivals`, because the incumbent
        is selected as the best of them on the same seeds that are compared.
    statistic : {"t", "signed_rank"}
        See `analysis.rules.sequential.SequentialTest`, assumptions included.

    Notes
    -----
    `optuna.pruners.WilcoxonPruner` compares at every report at one and the same level
    and with completed trials only. Ten reports at its level of 0.1 prune a trial that is
    exactly as good in a fifth of cases (tests/analysis/rules/test_sequential.py).
    """

    def __init__(
        self,
        looks: Sequence[int],
        rivals: int,
        *,
        alpha: float = 0.1,
        statistic: Statistic = "t",
    ) -> None:
        check_at_least("rivals", rivals, 1)
        self._test = SequentialTest(tuple(looks), alpha / rivals, statistic)

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether the incumbent is better at this look's share of alpha."""
        own = trial.intermediate_values
        if len(own) not in self._test.looks or not _finite(own, own):
            return False
        sign = 1.0 if study.direction == StudyDirection.MAXIMIZE else -1.0
        incumbent: dict[int, float] | None = None
        for other in study.get_trials(deepcopy=False, states=_ALIVE):
            values = other.intermediate_values
            if other.number == trial.number or not _finite(values, own):
                continue
            if incumbent is None or sign * _total(values, own) > sign * _total(incumbent, own):
                incumbent = values
        if incumbent is None:
            return False
        return self._test.decides([sign * (incumbent[step] - own[step]) for step in own])


def halving_rungs(started: int, first: int, steps: int, reduction: int = 3) -> dict[int, int]:
    """The rungs of successive halving, in steps.

    Parameters
    ----------
    started : int
    first : int
        Step of the first rung; the next are `reduction` times later each.
    steps : int
        Steps of a whole training.
    reduction : int, at least 2

    Returns
    -------
    dict of step to number kept
        By :func:`analysis.rules.brackets.halving_bracket`.

    Examples
    --------
    >>> halving_rungs(27, 1, 27)
    {1: 9, 3: 3, 9: 1}
    """
    bracket = halving_bracket(started, first / steps, reduction)
    return {round(rung.fraction * steps): rung.keep for rung in bracket.rungs}


def checked_rungs(started: int, rungs: Mapping[int, int]) -> dict[int, int]:
    """The rungs in order of time, or a refusal."""
    ordered = dict(sorted(rungs.items()))
    kept = [started, *ordered.values()]
    if (
        started < 1
        or any(step < 1 for step in ordered)
        or min(kept) < 1
        or sorted(kept)[::-1] != kept
    ):
        raise OptionError(
            f"started is {started} and rungs is {dict(rungs)}; allowed: at least one trial, steps "
            "from 1 on, and at each rung at least one trial and no more than at the rung before."
        )
    return ordered


def survivors(
    cohort: Sequence[FrozenTrial], step: int, keep: int, *, higher: bool, seed: int
) -> list[FrozenTrial]:
    """The trials of a cohort that pass a rung.

    Parameters
    ----------
    cohort : sequence of FrozenTrial
        The remaining trials. A failed trial loses to every other.
    step : int
        Step of the rung; later reports are ignored.
    keep : int
    higher : bool
        Whether higher is better.
    seed : int
        Of the tie-breaking.
    """
    sign = 1.0 if higher else -1.0
    scores = [
        best_so_far([np.nan, *(sign * v for s, v in t.intermediate_values.items() if s <= step)])[
            -1
        ]
        for t in cohort
    ]
    kept = keep_best(
        scores,
        keep,
        failed=[t.state == TrialState.FAIL for t in cohort],
        names=[t.number for t in cohort],
        seed=seed,
    )
    return [t for t, stays in zip(cohort, kept, strict=True) if stays]


def _arrived(trial: FrozenTrial, step: int) -> bool:
    return trial.state.is_finished() or (trial.last_step or 0) >= step


def _finite(values: Mapping[int, float], steps: Mapping[int, float]) -> bool:
    return all(np.isfinite(values.get(step, np.nan)) for step in steps)


def _total(values: Mapping[int, float], steps: Mapping[int, float]) -> float:
    return sum(values[step] for step in steps)
