"""The seam between the launcher and what it launches.

A Hydra application whose task function carries a `TaskAdapter` is trained in packs. Any
other task function is run as it is, one job after another in each worker.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

from omegaconf import DictConfig

from seedlab.grid import EngineSpec, Pack
from seedlab.launch.events import Event, Outcome
from seedlab.spec import RunSpec

_ATTRIBUTE = "seedlab_adapter"
Task = TypeVar("Task", bound=Callable[..., Any])


class Plan(Protocol):
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


class TaskAdapter(Protocol):
    """Turns configurations into runs, and trains packs of them.

    `plan`, `begin`, `finished` and `describe` are called in the parent process, `execute` in a
    worker. The adapter travels to the workers with its task function, so it holds no state
    that cannot be pickled.
    """

    def plan(self, cfg: DictConfig) -> Plan:
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
        """Return the score (see `EngineSpec.score`) of every run in the study, by run id."""
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
