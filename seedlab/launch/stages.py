"""`Stages`: the work of a launch, one list per stage.

Without early stopping there is one stage. With it, a stage ends at a decision, and the next one
holds the runs that go on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from seedlab.grid import Pack
from seedlab.launch.adapter import Race
from seedlab.launch.planning import BatchPlan, make_work, make_works
from seedlab.launch.work import Job, Work


class Stages:
    """What is to be done, stage by stage.

    Parameters
    ----------
    plan : BatchPlan
    races : sequence of Race
        Under early stopping; no two of them share a run.
    threads, workers : int
        CPU threads per worker, and how many workers there are.
    """

    def __init__(self, plan: BatchPlan, races: Sequence[Race], threads: int, workers: int) -> None:
        self._plan, self._races = plan, races
        self._threads, self._workers = threads, workers
        self._jobs: dict[tuple[Path, str], Job] = {
            (item.plan.study, item.job.run_id): item.job for item in plan.planned
        }
        self._raced = {
            self._jobs[race.study, run.run_id].position for race in races for run in race.cells
        }
        self._first = True

    @property
    def several(self) -> bool:
        """Whether there may be more than one stage."""
        return bool(self._races)

    def next(self, errors: Mapping[int, BaseException]) -> list[Work]:
        """Return the work of the next stage; none when all is done.

        Parameters
        ----------
        errors : mapping of int to BaseException
            Of the jobs that have failed so far, by position.
        """
        first, self._first = self._first, False
        works = make_works(self._plan, self._threads, self._workers, self._raced) if first else []
        for race in self._races:
            packs = race.packs(self._failed(race, errors), self._threads, self._workers)
            works += [self._work(pack, race.study) for pack in packs]
        return works

    def held(self, race: Race, errors: Mapping[int, BaseException]) -> Sequence[str]:
        """Return which comparisons of a race are put off, and why; see `next`."""
        return race.held(self._failed(race, errors))

    def _failed(self, race: Race, errors: Mapping[int, BaseException]) -> dict[str, BaseException]:
        return {
            job.run_id: errors[job.position]
            for (study, _), job in self._jobs.items()
            if study == race.study and job.position in errors
        }

    def _work(self, pack: Pack, study: Path) -> Work:
        jobs = {run.run_id: self._jobs[study, run.run_id] for run in pack.runs}
        return make_work(pack, study, jobs, self._plan.templates)
