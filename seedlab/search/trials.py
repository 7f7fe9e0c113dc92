"""`SearchStudy`: the Optuna study of a search, with its proposals, scores and decisions.

It trains nothing and composes nothing. The study's storage holds the whole state of a search. Its
writes are ordered so that a search can be killed between any two and continue.
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

from analysis.errors import AnalysisError
from seedlab.compat.optuna_private import live_trial
from seedlab.errors import SeedlabError
from seedlab.search.settings import SearchSettings

SCORES, FAILED, VALUES = "scores", "failed", "values"
"""User attributes of a trial: its replicates' scores, their failures (None: the store has
no record), and its objectives so far."""


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
        """Whether a lower value of the first objective is better."""
        return self._study.directions[0] == StudyDirection.MINIMIZE

    def undecided(self) -> list[Trial]:
        """Return the undecided trials, those of a killed search included."""
        # A search that was killed between a proposal and its start leaves a waiting trial.
        while any(trial.state == TrialState.WAITING for trial in self.trials):
            self._study.ask(self._distributions)
        running = [trial for trial in self.trials if trial.state == TrialState.RUNNING]
        return [self._live(trial) for trial in running]

    def propose(self) -> Trial:
        """Return a new trial.

        The sampler is asked in a copy of the study, seeded by the trial's number. The proposal is
        stored in one write, so that a killed search continues with the same proposals.
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

    def seen(self, trial: Trial | FrozenTrial) -> tuple[list[float], list[bool | None]]:
        """Return the scores of a trial's replicates and their failures, as last reported."""
        attributes = self.trials[trial.number].user_attrs
        scores = list(attributes.get(SCORES, []))
        return scores, list(attributes.get(FAILED, []))[: len(scores)]

    def report(
        self, trial: Trial, scores: Sequence[float], failed: Sequence[bool | None], minimised: bool
    ) -> None:
        """Store the scores of a trial's replicates after a round.

        A second call with the same values completes a first one that was killed.

        Parameters
        ----------
        trial : Trial
        scores : sequence of floats
            Scores of replicates 0, 1, and so on, earlier rounds included.
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
        except AnalysisError as error:
            raise SeedlabError(f"hydra.sweeper.objective: {error}") from error
        trial.set_user_attr(FAILED, list(failed))
        trial.set_user_attr(VALUES, values)
        # The scores come last: their number is that of the replicates in the other two.
        trial.set_user_attr(SCORES, list(scores))
        if len(objectives) == 1:
            known = self.trials[trial.number].intermediate_values
            for replicate, value in enumerate(shown.tolist()):
                if replicate not in known:
                    trial.report(value, replicate)

    def decide(self, trials: Sequence[Trial]) -> list[Trial]:
        """Decide trials that have reported the same replicates; return the undecided ones.

        Trials with all their seeds are complete. The pruner drops some of the others.
        """
        left = []
        for trial in trials:
            replicates = len(self.seen(trial)[0])
            if replicates >= self._settings.seeds:
                self._study.tell(trial, self.trials[trial.number].user_attrs[VALUES])
            elif replicates in self._settings.looks and trial.should_prune():
                self._study.tell(trial, state=TrialState.PRUNED)
            else:
                left.append(trial)
        return left

    def fail(self, trial: Trial) -> None:
        """Mark a trial as failed: one of its runs crashed."""
        self._study.tell(trial, state=TrialState.FAIL)

    def _live(self, frozen: FrozenTrial) -> Trial:
        """Return a stored trial that can report, with all its parameters."""
        trial = live_trial(self._study, frozen)
        for key, distribution in self._distributions.items():
            # The values come from the proposal. A search may have been killed between the writes
            # of two parameters.
            match distribution:
                case FloatDistribution(low=low, high=high, step=step, log=log):
                    trial.suggest_float(key, low, high, step=step, log=log)
                case IntDistribution(low=low, high=high, step=step, log=log):
                    trial.suggest_int(key, low, high, step=step, log=log)
                case CategoricalDistribution(choices=choices):
                    trial.suggest_categorical(key, choices)
        return trial


def _as_sampled(trial: FrozenTrial) -> FrozenTrial:
    """Return a trial as the sampler gets it.

    A dropped trial counts with its objective over its seeds. Optuna would take the last report,
    which is the score of one seed.
    """
    if trial.state == TrialState.PRUNED:
        return create_trial(
            values=trial.user_attrs[VALUES],
            params=trial.params,
            distributions=trial.distributions,
        )
    return trial
