"""`Rounds`: trains replicates of several settings in one launch and reads their scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from seedlab.errors import SeedlabError
from seedlab.launch.batch_plan import plan_batch
from seedlab.launch.jobs.application import adapter_of
from seedlab.store.record import Record
from seedlab.store.study import StudyFolder

Wanted = Mapping[int, tuple[Sequence[str], range]]
"""The work of a round by trial number: a setting as overrides, and a range of its replicates."""


@dataclass(frozen=True)
class Replicate:
    """One run of a setting: its score, and whether it failed (None: the store has no record)."""

    score: float
    failed: bool | None


class Rounds:
    """Launches the jobs of a search.

    Replicate r of every setting has the seeds init=r and order=r. Both seeds change, so that
    replicates are independent; runs of a grid are not. All settings have the same seeds, so that
    comparisons are paired and runs of one order seed share packs.

    Parameters
    ----------
    launcher : Launcher
    hydra_context, task_function, config
        As Hydra's `Sweeper.setup` gets them.
    """

    def __init__(
        self,
        launcher: Launcher,
        hydra_context: HydraContext,
        task_function: TaskFunction,
        config: DictConfig,
    ) -> None:
        self._launcher = launcher
        self._loader = hydra_context.config_loader
        self._adapter = adapter_of(task_function)
        self._config = config
        self._launched = 0

    def direction(self, overrides: Sequence[str]) -> str | None:
        """Return the direction of the metric, after checking one setting.

        Parameters
        ----------
        overrides : sequence of str
            Overrides of the setting.

        Returns
        -------
        str or None
            ``maximize`` or ``minimize``; None for another application than seedlab's own.

        Raises
        ------
        SeedlabError
            When the setting is refused, or its early stopping compares seeds with each other.
        """
        if self._adapter is None:
            return None
        job = [[*overrides, *_seeds(0)]]
        [planned] = plan_batch(self._loader, self._config, job, 0, self._adapter).planned
        # Imported here, because it registers seedlab's configuration with Hydra.
        from seedlab.application.app import SeedlabAdapter

        if not isinstance(self._adapter, SeedlabAdapter):
            return None
        policy = planned.request.early_stopping.policy
        if policy not in ("none", "patience"):
            raise SeedlabError(
                f"early_stopping={policy} stops seeds because others are better, and a search compares "
                "settings by all their seeds: a setting would be judged by its lucky ones. Allowed in a "
                "search: early_stopping=none or patience. To give weak settings fewer seeds, use "
                "hydra.sweeper.pruner."
            )
        from seedlab.inputs.loaded import load_task_of
        from seedlab.tasks.metrics import METRICS

        metric = METRICS[load_task_of(planned.request.spec).metrics[0]]
        return "maximize" if metric.higher_is_better else "minimize"

    def show(self, wanted: Wanted) -> None:
        """Have the launcher describe a round; for ``dry=true``."""
        self._launcher.launch([list(job) for job in _jobs(wanted)], initial_job_idx=0)

    def train(self, wanted: Wanted) -> dict[int, list[Replicate] | None]:
        """Train replicates of several settings in one launch.

        Parameters
        ----------
        wanted : mapping of trial number to (overrides, replicates)

        Returns
        -------
        mapping of trial number to list of Replicate
            None where a run crashed or its score is not finite.
        """
        jobs = _jobs(wanted)
        batch = [list(job) for job in jobs]
        runs = self._run_ids(batch)
        returns = self._launcher.launch(batch, initial_job_idx=self._launched)
        self._launched += len(batch)
        records = self._records(runs)
        found: dict[int, list[Replicate] | None] = {}
        for number, (overrides, replicates) in wanted.items():
            places = [jobs[(*overrides, *_seeds(r))] for r in replicates]
            read = [_read(returns[at], records.get(at)) for at in places]
            found[number] = None if None in read else [r for r in read if r is not None]
        return found

    def _run_ids(self, batch: Sequence[Sequence[str]]) -> dict[int, tuple[Path, str]]:
        """Return the study and the run that each job asks for."""
        if self._adapter is None:
            return {}
        planned = plan_batch(
            self._loader, self._config, batch, self._launched, self._adapter
        ).planned
        return {item.job.position: (item.request.study, item.job.run_id) for item in planned}

    def _records(self, runs: Mapping[int, tuple[Path, str]]) -> dict[int, Record]:
        """Return the records of the jobs' runs; none for another application."""
        known = {
            study: StudyFolder(study).records() for study in {study for study, _ in runs.values()}
        }
        return {
            at: known[study][run_id]
            for at, (study, run_id) in runs.items()
            if run_id in known[study]
        }


def _jobs(wanted: Wanted) -> dict[tuple[str, ...], int]:
    """Return the jobs with their places in the batch.

    Two trials may have the same setting (choices, whole numbers). Its runs are trained once.
    """
    jobs: dict[tuple[str, ...], int] = {}
    for replicate in sorted({r for _, replicates in wanted.values() for r in replicates}):
        for overrides, replicates in wanted.values():
            if replicate in replicates:
                jobs.setdefault((*overrides, *_seeds(replicate)), len(jobs))
    return jobs


def _seeds(replicate: int) -> tuple[str, str]:
    return f"seed.init={replicate}", f"seed.order={replicate}"


def _read(returned: JobReturn, record: Record | None) -> Replicate | None:
    if returned.status is not JobStatus.COMPLETED:
        return None
    score = returned.return_value
    if not isinstance(score, int | float):
        raise SeedlabError(
            f"a job of the search returned {score!r} instead of a number, so there is nothing to "
            "compare settings by; the task function must return the validation score."
        )
    if not math.isfinite(score):
        return None
    return Replicate(float(score), None if record is None else record.failed)
