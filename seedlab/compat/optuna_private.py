"""Private interfaces of optuna. This module imports optuna alone."""

from __future__ import annotations

from optuna import Study
from optuna.trial import FrozenTrial, Trial


def live_trial(study: Study, frozen: FrozenTrial) -> Trial:
    """Return a running trial of a study's storage as an object that accepts reports and a result.

    optuna makes such objects for new trials alone; a search that is continued needs them for
    trials that an earlier process began.
    """
    return Trial(study, frozen._trial_id)
