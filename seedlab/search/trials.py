"""`SearchStudy`: a search's Optuna study: its proposals, what trials have shown, who is dropped.

It trains nothing and composes nothing. All that a killed search needs to go on is in
the study's storage, whose writes are ordered so that it can be killed between any two.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from seedlab.compat.optuna_private import live_trial
from seedlab.errors import SeedlabError
from seedlab.search.settings import SearchSettings

SCORES, FAILED, VALUES = "scores", "failed", "values"
"""User attributes of a trial: its replicates' scores, which of them failed (None: nobody
knows), and its objectives so far."""


class SearchStudy:
    """The Optuna study of one search.

    Parameters
    ----------
    study : optuna Study
    settings : SearchSettings
    distributions : mapping of key to optuna distribution
    """

    def __init__(
        self,
        study: optuna.Study,
        settings: SearchSettings,
        distributions: Mapping[str, BaseDistribution],
    ) -> None:
        self._study = study
        self._settings = settings
        self._distributions = dict(distributions)

    @property
    def trials(self) -> list[FrozenTrial]:
        """All trials, in order of their numbers."""
        return self._study.get_trials(deepcopy=False)

    @property
    def best_trials(self) -> list[FrozenTrial]:
        """The best complete trial, or those on the Pareto front; none if none is complete."""
        if len(self._settings.objectives) > 1:
            return self._study.best_trials
        done = any(trial.state == TrialState.COMPLETE for trial in self.trials)
        return [self._study.best_trial] if done else []

    @property
    def minimised(self) -> bool:
        """Whether the first objective is to be small."""
        return self._study.directions[0] == StudyDirection.MINIMIZE

    def racing(self) -> list[Trial]:
        """Return the trials that are not decided yet, those of a killed search included."""
        # Where it was killed between a proposal and its start, the proposal waits.
        while any(trial.state == TrialState.WAITING for trial in self.trials):
            self._study.ask(self._distributions)
        running = [trial for trial in self.trials if trial.state == TrialState.RUNNING]
        return [self._live(trial) for trial in running]

    def propose(self) -> Trial:
        """Return a new trial.

        The sampler is asked in a copy of the study, seeded by the trial's number, and the
        proposal is put in the storage in one write: a search that was killed
        proposes what it would have proposed.
        """
        number = len(self.trials)
        digest = hashlib.sha256(f"search/{self._settings.sampler_seed}/{number}".encode()).digest()
        sampler = optuna.samplers.TPESampler(
            seed=int.from_bytes(digest[:4], "big"),
            n_startup_trials=self._settings.startup_trials,
        )
        mirror = optuna.create_study(directions=self._study.directions, sampler=sampler)
        mirror.add_trials([_as_sampled(trial) for trial in self.trials])
        self._study.enqueue_trial(mirror.ask(self._distributions).params)
        return self._study.ask(self._distributions)

    def seen(self, trial: Trial) -> tuple[list[float], list[bool | None]]:
        """Return the scores of a trial's replicates and which of them failed."""
        attributes = self.trials[trial.number].user_attrs
        scores = list(attributes.get(SCORES, []))
        return scores, list(attributes.get(FAILED, []))[: len(scores)]

    def report(
        self, trial: Trial, scores: Sequence[float], failed: Sequence[bool | None], minimised: bool
    ) -> None:
        """Put on record what a trial's replicates showed so far, after a round.

        A second call with the same values does what a killed first one has left undone.

        Parameters
        ----------
        trial : Trial
        scores : sequence of floats
            Of replicates 0, 1, and so on; those of earlier rounds included.
        failed : sequence of bools or None
        minimised : bool
            Whether a lower score is better.
        """
        objectives = self._settings.objectives
        marks = None if None in failed else [bool(mark) for mark in failed]
        try:
            values = [
                objective.value(scores, marks, lower_is_better=minimised)
                if len(scores) >= objective.least
                else None
                for objective in objectives
            ]
            shown = objectives[0].per_run(scores, marks)
        except ValueError as error:
            raise SeedlabError(f"hydra.sweeper.objective: {error}") from error
        trial.set_user_attr(FAILED, list(failed))
        trial.set_user_attr(VALUES, values)
        # Last of the three: they are there when this says how many replicates there are.
        trial.set_user_attr(SCORES, list(scores))
        if len(objectives) == 1:
            known = self.trials[trial.number].intermediate_values
            for replicate, value in enumerate(shown.tolist()):
                if replicate not in known:
                    trial.report(value, replicate)

    def decide(self, racing: Sequence[Trial]) -> list[Trial]:
        """Tell the trials that are over, and return those that go on.

        All racing trials have reported the same replicates. Those with all their seeds are
        complete; of the others the pruner drops those that have lost.
        """
        left = []
        for trial in racing:
            replicates = len(self.seen(trial)[0])
            if replicates >= self._settings.seeds:
                self._study.tell(trial, self.trials[trial.number].user_attrs[VALUES])
            elif replicates in self._settings.looks and trial.should_prune():
                self._study.tell(trial, state=TrialState.PRUNED)
            else:
                left.append(trial)
        return left

    def fail(self, trial: Trial) -> None:
        """Tell a trial as failed: one of its runs crashed."""
        self._study.tell(trial, state=TrialState.FAIL)

    def _live(self, frozen: FrozenTrial) -> Trial:
        """Return a trial of the storage to go on with, its parameters complete."""
        trial = live_trial(self._study, frozen)
        for key, distribution in self._distributions.items():
            # From the proposal: a search may be killed between the writes of two parameters.
            match distribution:
                case FloatDistribution(low=low, high=high, step=step, log=log):
                    trial.suggest_float(key, low, high, step=step, log=log)
                case IntDistribution(low=low, high=high, step=step, log=log):
                    trial.suggest_int(key, low, high, step=step, log=log)
                case CategoricalDistribution(choices=choices):
                    trial.suggest_categorical(key, choices)
        return trial


def _as_sampled(trial: FrozenTrial) -> FrozenTrial:
    """Return a trial as the sampler is to see it.

    A dropped one counts with its objective over the seeds that it had: Optuna would take its
    last report, which is one seed's.
    """
    if trial.state == TrialState.PRUNED:
        return create_trial(
            values=trial.user_attrs[VALUES],
            params=trial.params,
            distributions=trial.distributions,
        )
    return trial
