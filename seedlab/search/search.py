"""`search`: the sweeper ``hydra/sweeper=seedlab_optuna``, which races settings over seeds."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf
from optuna.trial import FrozenTrial, Trial

from seedlab.errors import SeedlabError
from seedlab.lock_files import LockFile
from seedlab.search.rounds import Rounds
from seedlab.search.settings import SearchSettings
from seedlab.search.space import SearchSpace, read_search_space
from seedlab.search.storage import open_study
from seedlab.search.summary import summary
from seedlab.search.trials import SearchStudy
from seedlab.store.study import StudyFolder

log = logging.getLogger(__name__)


def search(
    settings: SearchSettings,
    arguments: Sequence[str],
    launcher: Launcher,
    hydra_context: HydraContext,
    task_function: TaskFunction,
    config: DictConfig,
) -> dict[str, Any] | None:
    """Search for the best setting.

    Settings are proposed in batches. A batch is trained in rounds. A round is one launch that
    trains all its settings with the same seeds. Then the results are stored, and the pruner drops
    settings. Nothing is stored while a round runs.

    Parameters
    ----------
    settings : SearchSettings
    arguments : sequence of str
        The task's overrides, sweeps included.
    launcher, hydra_context, task_function, config
        As Hydra's `Sweeper.setup` gets or makes them.

    Returns
    -------
    dict or None
        Parameters of the best trial (of the first one on a Pareto front); None when no
        trial was finished, and for a dry run.

    Raises
    ------
    SeedlabError
        A refusal, before anything is trained.
    """
    space = read_search_space(settings.params, arguments)
    folder = Path(str(config.hydra.sweep.dir))
    rounds = Rounds(launcher, hydra_context, task_function, config)
    dry = bool(OmegaConf.select(config, "dry", default=False))
    folder.mkdir(parents=True, exist_ok=True)
    lock = LockFile(folder / "search.lock")
    if not lock.take():
        raise SeedlabError(
            f"another process is searching in {folder}; wait for it, or end it and repeat the command."
        )
    try:
        minimised = _metric_minimised(settings, space, rounds)
        identity = settings.identity() | space.identity()
        kept = None if dry else folder
        with open_study(settings, space.distributions, identity, kept, minimised) as study:
            race = _Race(settings, space, rounds, study, minimised)
            if dry:
                race.show_first_round()
                return None
            race.restore(StudyFolder(folder))
            race.run()
            _say(summary(study, settings, space, folder))
            best = study.best_trials
            return dict(best[0].params) if best else None
    finally:
        lock.release()


class _Race:
    """The rounds of a search, in which settings are eliminated by a statistical test."""

    def __init__(
        self,
        settings: SearchSettings,
        space: SearchSpace,
        rounds: Rounds,
        study: SearchStudy,
        minimised: bool,
    ) -> None:
        self._settings = settings
        self._space = space
        self._rounds = rounds
        self._study = study
        self._minimised = minimised

    def show_first_round(self) -> None:
        """Print the first settings, and have the launcher describe their runs."""
        trials = self._batch()
        for trial in trials:
            _say(f"trial {trial.number}: {' '.join(self._space.overrides(trial.params))}")
        first = range(self._settings.stops[0])
        self._rounds.show({trial.number: (self._setting(trial), first) for trial in trials})

    def restore(self, study: StudyFolder) -> None:
        """Train runs of decided trials again that are no longer on record; the decisions stay."""
        if study.planned().keys() <= study.records().keys():
            return
        undecided = {trial.number for trial in self._study.undecided()}
        decided = [trial for trial in self._study.trials if trial.number not in undecided]
        wanted = {
            trial.number: (self._setting(trial), range(len(scores)))
            for trial in decided
            if (scores := self._study.seen(trial)[0])
        }
        if wanted:
            self._rounds.train(wanted)

    def run(self) -> None:
        """Train until all trials are decided."""
        if self._settings.pruner != "none" and not self._settings.looks:
            log.info("every setting gets all its seeds: %s", self._settings.why_no_looks)
        while undecided := self._batch():
            undecided = self._catch_up(undecided)
            while undecided:
                undecided = self._round(undecided)

    def _batch(self) -> list[Trial]:
        """Return the undecided trials of the current batch, or those of the next one.

        Trials belong to batches by their numbers. A whole batch is proposed before any of it is
        trained, so that a killed search continues with the same proposals.
        """
        undecided, begun = self._study.undecided(), len(self._study.trials)
        size = self._settings.trials_at_once
        missing = -begun % size if undecided or begun % size else size
        if any(self._study.seen(trial)[0] for trial in undecided):
            missing = 0
        for _ in range(min(missing, self._settings.trials - begun)):
            undecided.append(self._study.propose())
        return undecided

    def _catch_up(self, undecided: Sequence[Trial]) -> list[Trial]:
        """Repeat the reports and decisions of the last round, which a killed search may lack."""
        counts = set()
        for trial in undecided:
            scores, failed = self._study.seen(trial)
            counts.add(len(scores))
            if scores:
                self._study.report(trial, scores, failed, self._minimised)
        # Where some trials have not reported yet, their round is repeated first.
        complete = len(counts) == 1 and 0 not in counts
        return self._study.decide(undecided) if complete else list(undecided)

    def _round(self, undecided: Sequence[Trial]) -> list[Trial]:
        """Train and report one round, and return the trials that are still undecided."""
        seen = {trial.number: self._study.seen(trial) for trial in undecided}
        fewest = min(len(scores) for scores, _ in seen.values())
        until = next(stop for stop in self._settings.stops if stop > fewest)
        log.info("%d settings, %d of at most %d seeds", len(undecided), until, self._settings.seeds)
        found = self._rounds.train(
            {t.number: (self._setting(t), range(len(seen[t.number][0]), until)) for t in undecided}
        )
        trained = []
        for trial in undecided:
            new = found[trial.number]
            if new is None:
                self._study.fail(trial)
                continue
            scores, failed = seen[trial.number]
            scores, failed = [*scores, *(r.score for r in new)], [*failed, *(r.failed for r in new)]
            self._study.report(trial, scores, failed, self._minimised)
            trained.append(trial)
        return self._study.decide(trained)

    def _setting(self, trial: Trial | FrozenTrial) -> list[str]:
        return [*self._space.fixed, *self._space.overrides(trial.params)]


def _metric_minimised(settings: SearchSettings, space: SearchSpace, rounds: Rounds) -> bool:
    """Return whether lower scores are better, after checking a setting in the middle of the space."""
    given = settings.direction
    own = rounds.direction([*space.fixed, *space.overrides(space.middle)])
    if own is None and any(objective.kind == "failure_rate" for objective in settings.objectives):
        raise SeedlabError(
            "hydra.sweeper.objective=failure_rate needs the failures of runs, and only "
            "seedlab's own tasks record them; use mean, or have the task function return 1 for a failed "
            "run and 0 for another, with hydra.sweeper.direction=minimize."
        )
    if own is not None and given not in (None, own):
        raise SeedlabError(
            f"hydra.sweeper.direction is {given}, but the task's metric is one to {own}; leave it out."
        )
    return (own or given) == "minimize"


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
