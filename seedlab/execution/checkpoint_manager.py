"""`StudyCheckpointManager`: the checkpoints of a pack, in the study's folder."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from seedlab.early_stopping.promotion import Curve, best_of, may_be_promoted
from seedlab.errors import SeedlabError
from seedlab.spec.pack import Stage
from seedlab.store.atomic_files import FULL
from seedlab.store.checkpoints import Checkpoints
from seedlab.store.provenance import versions
from seedlab.store.study import StudyFolder
from seedlab.store.study_plan import check_begun

if TYPE_CHECKING:
    from seedlab.training.checkpoint import Checkpoint

log = logging.getLogger(__name__)


class StudyCheckpointManager:
    """Keeps checkpoints in a study; a `seedlab.training.checkpoint.CheckpointManager`.

    The checkpoint of a run at a rung is kept while the run may be promoted. A
    checkpoint that can't be written (a full disk) is a warning: its run starts over if it is
    promoted, and ends with the same bits.

    Parameters
    ----------
    study : StudyFolder
    stage : Stage
    metric : str
        Metric that promotions compare.
    higher_is_better : bool
    circumstances : mapping of str to plain values
        Engine, device and settings that decide a run's bits. Only checkpoints of the same
        circumstances are resumed, and only those of the installed torch and seedlab.

    Attributes
    ----------
    resumed : dict of run id to int
        Step at which each resumed run started.
    """

    def __init__(
        self,
        study: StudyFolder,
        stage: Stage,
        *,
        metric: str,
        higher_is_better: bool,
        circumstances: Mapping[str, Any],
    ) -> None:
        self._study, self._stage = study, stage
        self._metric, self._higher = metric, higher_is_better
        self._checkpoints = Checkpoints(study.folder)
        found = versions()
        self._circumstances: Mapping[str, Any] = {
            **circumstances,
            **{name: found.get(name) for name in ("torch", "seedlab")},
        }
        self._bests: dict[str, float | None] = {}
        self._read: set[str] = set()
        self.resumed: dict[str, int] = {}

    @property
    def every(self) -> int | None:
        """Updates between two checkpoints."""
        return self._stage.every

    @property
    def until(self) -> int | None:
        """Number of updates after which runs stop."""
        return self._stage.until

    def load(self, run_id: str) -> Checkpoint | None:
        """Return the newest usable checkpoint of a run that is not after `until`."""
        found = self._checkpoints.load(run_id, self._circumstances, self._stage.until)
        if found is not None:
            self.resumed[run_id] = found.step
        return found

    def save(self, run_id: str, checkpoint: Checkpoint) -> None:
        """Replace the run's checkpoint, if the run may be promoted."""
        from seedlab.store.checkpoint_file import best_so_far

        best = best_so_far(checkpoint.history, self._metric, higher_is_better=self._higher)
        if checkpoint.step == self._stage.until and not self._may_be_promoted(run_id, best):
            return
        check_begun(self._study.folder)
        try:
            header = {**self._circumstances, "run": run_id, "best": best}
            self._checkpoints.save(run_id, checkpoint, header)
        except (OSError, SeedlabError) as error:
            if isinstance(error, OSError) and error.errno not in FULL:
                raise
            log.warning(
                "run %s has no checkpoint after step %d (%s); if it is promoted, it starts from an "
                "older one or over, and ends with the same bits",
                run_id,
                checkpoint.step,
                error,
            )

    def _may_be_promoted(self, run_id: str, best: float | None) -> bool:
        """Return whether a run at the rung may be promoted; drop checkpoints of runs that can't."""
        if self._stage.keep is None:
            return True
        self._read_scores()
        self._bests[run_id] = best
        chances = may_be_promoted(
            self._stage.keep, self._bests, self._stage.seed, higher_is_better=self._higher
        )
        self._checkpoints.drop(self._bests.keys() - chances)
        return run_id in chances

    def _read_scores(self) -> None:
        """Read the scores of runs that other workers have trained up to the rung."""
        until = self._stage.until or 0
        cohort = set(self._stage.cohort)
        for run_id, header in self._checkpoints.headers(until).items():
            if run_id in cohort:
                self._bests[run_id] = header.get("best")
        for run_id in set(self._study.recorded()) & cohort - self._read:
            record = self._study.record(run_id)
            if record is None or not record.has_reached(until):
                continue
            self._read.add(run_id)
            curve = self._study.curve(record, until)
            # A run that diverged before the rung does not count against the others.
            if record.status != "diverged" or until in curve:
                self._bests[run_id] = best_of(Curve(curve), higher_is_better=self._higher)
