"""`ScoredRun`: a record with its chosen score, the best evaluation after step 0.

The evaluation at step 0 scores the untrained model. It is shown in curves and never chosen. Records
hold the best of all evaluations, so the chosen score is derived from the recorded evaluations.

`evaluation.keep` best keeps the weights of this evaluation
(`seedlab.training.kept_weights.is_best`). The final score is then the chosen score, unless the run
diverged.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from seedlab.errors import CorruptRunError
from seedlab.store.record import Record
from seedlab.store.study import StudyFolder


@dataclass(frozen=True)
class ScoredRun:
    """A record and its chosen score.

    Parameters
    ----------
    record : Record
    chosen_score : float
        Best evaluation after step 0, or the final score where that is better: the final score of
        a diverged run is the metric's chance value. NaN if a run was never scored after step 0.
    chosen_step : int or None
        First step after 0 that reached `chosen_score`; None if the run has no such step.
    """

    record: Record
    chosen_score: float
    chosen_step: int | None

    def reported(self, score: str) -> float:
        """Return the score ``best`` (the chosen one) or ``final``.

        A stopped run has only its best one. So has a run without a chosen score: its final one.
        """
        final = score == "final" and self.record.is_over
        return self.record.final_score if final or self.chosen_step is None else self.chosen_score


def scored(study: StudyFolder, record: Record) -> ScoredRun:
    """Return a record with its chosen score.

    Parameters
    ----------
    study : StudyFolder
        The study that holds the run. Its evaluations are read if step 0 is the best one.
    record : Record

    Raises
    ------
    CorruptRunError
        When the evaluations are damaged; the run is moved to ``corrupt/``.
    """
    if record.best_step > 0:
        return ScoredRun(record, record.best_score, record.best_step)
    # The final score is one of the candidates, because the record's best score counts it too.
    best, step = math.nan, None
    if record.steps > 0:
        best, step = record.final_score, record.steps
        for at, value in sorted(_curve(study, record).items(), reverse=True):
            # The earliest of equal scores wins, hence "not worse" in reverse order.
            if at > 0 and math.isfinite(value) and not record.better(best, value):
                best, step = value, at
    elif record.status == "diverged":
        # It failed before its first update, and counts with the chance value.
        best = record.final_score
    return ScoredRun(record, best, step)


def scored_runs(study: StudyFolder) -> Iterator[ScoredRun]:
    """Yield all runs on record, sorted by id; damaged ones are moved to ``corrupt/``."""
    for record in study.records().values():
        with suppress(CorruptRunError):
            yield scored(study, record)


def _curve(study: StudyFolder, record: Record) -> dict[int, float]:
    try:
        return study.curve(record)
    except (OSError, ValueError):
        # Reading the whole run checks every file and sets a damaged one aside.
        study.read(record.run_id)
        raise
