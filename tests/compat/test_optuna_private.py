"""Canaries of optuna's private interfaces."""

from __future__ import annotations

import optuna

from seedlab.compat import optuna_private
from tests.suites.canary import canary


def test_a_trial_of_the_storage_goes_on() -> None:
    """It reports under the number of the trial that an earlier process began."""
    storage = optuna.storages.InMemoryStorage()
    study = optuna.create_study(storage=storage)
    study.ask()
    begun = study.ask()
    again = optuna.load_study(study_name=study.study_name, storage=storage)
    with canary("optuna", "optuna_private.live_trial"):
        trial = optuna_private.live_trial(again, again.trials[begun.number])
        assert trial.number == begun.number == 1
        trial.report(0.5, 0)
        again.tell(trial, 0.25)
        assert study.trials[1].intermediate_values == {0: 0.5}
        assert study.trials[1].value == 0.25
