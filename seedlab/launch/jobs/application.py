"""The seam between the launcher and what it launches.

A Hydra application whose task function carries a `TaskAdapter` is trained in packs. Any
other task function is run as it is, one job after another in each worker.
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
    """What one composed configuration asks for."""

    @property
    def spec(self) -> RunSpec:
        """The run, hashes filled in."""
        ...

    @property
    def engine(self) -> EngineSpec:
        """How it is computed."""
        ...

    @property
    def study(self) -> Path:
        """The study's folder."""
        ...

    @property
    def stage(self) -> Stage:
        """What is kept on the way, where the run is trained to its end in one go."""
        ...

    @property
    def early_stopping(self) -> EarlyStoppingSpec:
        """The policy that may stop it."""
        ...


class StagedRuns(Protocol):
    """Runs of one study of which early stopping trains some to their end."""

    @property
    def study(self) -> Path:
        """The study's folder."""
        ...

    @property
    def cells(self) -> Sequence[RunSpec]:
        """All runs that were asked for."""
        ...

    @property
    def started(self) -> Sequence[RunSpec]:
        """Those that are started."""
        ...

    def begin(self) -> None:
        """Put on file what is going to be done."""
        ...

    def packs(self, failed: Collection[str], threads: int | None, workers: int) -> list[Pack]:
        """Take the decisions that are due; return the packs of the next stage, none at the end.

        Parameters
        ----------
        failed : collection of run ids
            Runs that could not be trained; a mapping to their errors where they are known, so that
            nobody loses for what is not his fault.
        threads, workers : int
            CPU threads per worker, and how many workers there are.
        """
        ...

    def deferred(self, failed: Mapping[str, BaseException]) -> Sequence[str]:
        """Return which comparisons are put off, and why: a sentence for each."""
        ...

    def reports(self, score: str) -> Mapping[str, float | None]:
        """Return what the jobs of the runs report, by run id; failed ones are missing."""
        ...

    def plan_text(self, workers: int) -> Sequence[str]:
        """Return the plan in lines of text."""
        ...

    def outcome_text(self) -> str:
        """Return what came of it, and put it on file."""
        ...


class TaskAdapter(Protocol):
    """Turns configurations into runs, and trains packs of them.

    `plan`, `races`, `begin`, `finished` and `describe` are called in the parent process, `execute` in a
    worker. The adapter travels to the workers with its task function, so it holds no state
    that cannot be pickled.
    """

    def plan(self, cfg: DictConfig) -> RunRequest:
        """Return the run that a composed configuration (without `hydra`) asks for.

        It is called once for every job of a batch, finished or not, so what takes longer than
        a millisecond (hashes of data and weights) is to be remembered between the calls.

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
            All runs that the batch asks of it, finished ones included.
        """
        ...

    def finished(self, study: Path, engine: EngineSpec) -> Mapping[str, float | None]:
        """Return the score (see `EngineSpec.score`) of every run that is over, by run id."""
        ...

    def cohorts(self, plans: Sequence[RunRequest]) -> Sequence[StagedRuns]:
        """Return the races of a batch: a run is in one of them, or in none.

        Raises
        ------
        SeedlabError
            When a policy can't be followed; nothing of the batch is run then.
        """
        ...

    def describe(self, specs: Sequence[RunSpec], packs: Sequence[Pack], finished: set[str]) -> str:
        """Return the plan as text: all runs, the packs of those to train, the finished ids."""
        ...

    def execute(
        self, pack: Pack, study: Path, on_event: Callable[[Event], None]
    ) -> Mapping[str, Outcome]:
        """Train a pack in this process and write its results.

        Returns
        -------
        mapping of run id to Outcome
            One for every run of the pack.

        Raises
        ------
        Exception
            When the pack as a whole failed (out of memory, say). The launcher keeps the
            runs that were announced as finished, splits the others and tries again, until
            the run to blame is alone; a `SeedlabError` is a refusal and fails all of them.
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
