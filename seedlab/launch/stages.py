"""`Stages`: the work of a launch, one list per stage.

Without early stopping there is one stage. With it, a stage ends at a decision, and the next one
trains the promoted runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from seedlab.launch.batch_plan import BatchPlan, make_work_item, make_work_items
from seedlab.launch.jobs.application import StagedRuns
from seedlab.launch.jobs.work import Job, WorkItem
from seedlab.spec.pack import Pack


class Stages:
    """Work items of a launch, stage by stage.

    Parameters
    ----------
    plan : BatchPlan
    cohorts : sequence of StagedRuns
        Runs under early stopping; no two cohorts share a run.
    threads, workers : int
        CPU threads per worker, and the number of workers.
    """

    def __init__(
        self, plan: BatchPlan, cohorts: Sequence[StagedRuns], threads: int, workers: int
    ) -> None:
        self._plan, self._cohorts = plan, cohorts
        self._threads, self._workers = threads, workers
        self._jobs: dict[tuple[Path, str], Job] = {
            (item.request.study, item.job.run_id): item.job for item in plan.planned
        }
        self._in_cohorts = {
            self._jobs[cohort.study, run.run_id].position
            for cohort in cohorts
            for run in cohort.cells
        }
        self._first = True

    @property
    def several(self) -> bool:
        """Whether there may be more than one stage."""
        return bool(self._cohorts)

    def next(self, errors: Mapping[int, BaseException]) -> list[WorkItem]:
        """Return the work items of the next stage; none when all is done.

        Parameters
        ----------
        errors : mapping of int to BaseException
            Errors of the jobs that have failed so far, by position.
        """
        first, self._first = self._first, False
        work_items = (
            make_work_items(self._plan, self._threads, self._workers, self._in_cohorts)
            if first
            else []
        )
        for cohort in self._cohorts:
            packs = cohort.packs(self._failed(cohort, errors), self._threads, self._workers)
            work_items += [self._work(pack, cohort.study) for pack in packs]
        return work_items

    def deferred(self, cohort: StagedRuns, errors: Mapping[int, BaseException]) -> Sequence[str]:
        """Return a sentence for each deferred decision of a cohort, with its reason; see `next`."""
        return cohort.deferred(self._failed(cohort, errors))

    def _failed(
        self, cohort: StagedRuns, errors: Mapping[int, BaseException]
    ) -> dict[str, BaseException]:
        return {
            job.run_id: errors[job.position]
            for (study, _), job in self._jobs.items()
            if study == cohort.study and job.position in errors
        }

    def _work(self, pack: Pack, study: Path) -> WorkItem:
        jobs = {run.run_id: self._jobs[study, run.run_id] for run in pack.runs}
        return make_work_item(pack, study, jobs, self._plan.templates)
