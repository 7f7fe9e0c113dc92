"""Protocols between the launcher and the application that it launches.

A Hydra application whose task function carries a `TaskAdapter` is trained in packs. Any other
(foreign) task function is called as it is, one job after another in each worker.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

from omegaconf import DictConfig

from seedlab.execution.events import Event, Outcome
from seedlab.spec.early_stopping import EarlyStoppingSpec
from seedlab.spec.pack import EngineSpec, Pack, Stage
from seedlab.spec.run import RunSpec

_ATTRIBUTE = "seedlab_adapter"
Task = TypeVar("Task", bound=Callable[..., Any])


class RunRequest(Protocol):
    """The run that one composed configuration asks for."""

    @property
    def spec(self) -> RunSpec:
        """The run, with its content hashes."""
        ...

    @property
    def engine(self) -> EngineSpec:
        """Settings of the engine that trains it."""
        ...

    @property
    def study(self) -> Path:
        """The study's folder."""
        ...

    @property
    def stage(self) -> Stage:
        """Checkpoints of a training from start to end, which early stopping does not cut."""
        ...

    @property
    def early_stopping(self) -> EarlyStoppingSpec:
        """The policy that may stop it early."""
        ...


class StagedRuns(Protocol):
    """Runs of one study that are trained in stages, with a decision after each stage.

    Early stopping implements it: `seedlab.early_stopping.cohort.Cohort`.
    """

    @property
    def study(self) -> Path:
        """The study's folder."""
        ...

    @property
    def cells(self) -> Sequence[RunSpec]:
        """All runs of the batch that belong to it."""
        ...

    @property
    def started(self) -> Sequence[RunSpec]:
        """Runs that are trained at least up to the first decision."""
        ...

    def begin(self) -> None:
        """Write the plan into the study, before anything is trained."""
        ...

    def packs(self, failed: Collection[str], threads: int | None, workers: int) -> list[Pack]:
        """Take the decisions that are due; return the packs of the next stage, none at the end.

        Parameters
        ----------
        failed : collection of run ids
            Runs that could not be trained; a mapping to their errors where they are known.
            Infrastructure failures do not eliminate a run.
        threads, workers : int
            CPU threads per worker, and the number of workers.
        """
        ...

    def deferred(self, failed: Mapping[str, BaseException]) -> Sequence[str]:
        """Return a sentence for each deferred decision, with its reason."""
        ...

    def reports(self, score: str) -> Mapping[str, float | None]:
        """Return the values that the runs' jobs return, by run id; failed runs are missing."""
        ...

    def plan_text(self, workers: int) -> Sequence[str]:
        """Return the plan in lines of text."""
        ...

    def outcome_text(self) -> str:
        """Return the outcome as text, and write it into the study."""
        ...


class TaskAdapter(Protocol):
    """Turns configurations into runs, and trains packs of them.

    The launcher calls `execute` in a worker and all other methods in its own process. The adapter
    is pickled with its task function, so it holds no state that can't be pickled.
    """

    def request(self, cfg: DictConfig) -> RunRequest:
        """Return the run that a composed configuration (without `hydra`) asks for.

        The launcher calls it for every job of a batch, on record or not. Results that take longer
        than a millisecond (hashes of data and weights) should be cached between the calls.

        Raises
        ------
        SeedlabError
            A refusal; nothing of the batch is run then.
        """
        ...

    def begin(self, study: Path, specs: Sequence[RunSpec]) -> None:
        """Open a study for writing, before the first of its packs is handed out.

        Parameters
        ----------
        study : Path
        specs : sequence of RunSpec
            All runs that the batch asks of it, those on record included.
        """
        ...

    def scores_on_record(self, study: Path, engine: EngineSpec) -> Mapping[str, float | None]:
        """Return the score (see `EngineSpec.score`) of every finished or diverged run, by run id.

        Stopped runs are left out, because they may be resumed.
        """
        ...

    def missing(self, study: Path, run_ids: Collection[str]) -> Collection[str]:
        """Return those of some runs that are not on record, in any state.

        It is called about once a second without runs, so it should take no longer than a
        millisecond then.

        Raises
        ------
        SeedlabError
            When the study that `begin` opened is gone.
        """
        ...

    def cohorts(self, requests: Sequence[RunRequest]) -> Sequence[StagedRuns]:
        """Return the cohorts of a batch: a run is in one of them, or in none.

        Raises
        ------
        SeedlabError
            When a policy can't be followed; nothing of the batch is run then.
        """
        ...

    def describe(
        self, specs: Sequence[RunSpec], packs: Sequence[Pack], on_record: set[str], workers: int
    ) -> str:
        """Return the plan of a batch as text.

        Parameters
        ----------
        specs : sequence of RunSpec
            All runs of the batch.
        packs : sequence of Pack
            Packs of the runs that are still to train.
        on_record : set of str
            Ids of the runs in `scores_on_record`.
        workers : int
            Packs that are trained at the same time, at least 1.
        """
        ...

    def execute(
        self, pack: Pack, study: Path, on_event: Callable[[Event], None]
    ) -> Mapping[str, Outcome]:
        """Train a pack in this process and write its results.

        Returns
        -------
        mapping of run id to Outcome
            One outcome for every run of the pack.

        Raises
        ------
        Exception
            When the pack as a whole failed (out of memory, say). The launcher keeps the runs
            that were announced as finished. It halves the others and tries again, until the
            guilty run is alone. A `SeedlabError` is a refusal and fails all of them.
        """
        ...


def trained_in_packs(adapter: TaskAdapter) -> Callable[[Task], Task]:
    """Return a decorator that gives a Hydra task function its adapter."""

    def decorate(task_function: Task) -> Task:
        setattr(task_function, _ATTRIBUTE, adapter)
        return task_function

    return decorate


def adapter_of(task_function: Callable[..., Any]) -> TaskAdapter | None:
    """Return the adapter of a task function; None for a foreign one."""
    return cast("TaskAdapter | None", getattr(task_function, _ATTRIBUTE, None))
