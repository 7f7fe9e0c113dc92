"""`Executor`: runs the work items of a launch, in the order and at the place that it chooses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self, cast

from hydra.core.utils import JobReturn

from seedlab.launch.display.base import Display
from seedlab.launch.executors.session import Session
from seedlab.launch.executors.settings import LauncherSettings, executor_class
from seedlab.launch.jobs.slots import Slot
from seedlab.launch.jobs.work import WorkItem


@dataclass(frozen=True)
class Resources:
    """Requirements of every worker of a launch.

    Parameters
    ----------
    threads : int or None
        CPU threads; None: the executor decides.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    graphs : bool
        Whether CUDA graphs are recorded, which needs a GPU.
    workers_per_gpu : int
        Workers that share a GPU, at least 1; each plans with its share of the memory.
    """

    threads: int | None = None
    device: str = "auto"
    graphs: bool = False
    workers_per_gpu: int = 1


class Executor(Protocol):
    """Runs work items; a context manager that is entered once.

    The launcher enters it, calls `run` once per stage and leaves it. The contract, which
    `tests/suites/executor.py` checks:

    - Every job of the work items has exactly one JobReturn, whatever happens to its worker.
    - A run that was announced as ``finished`` or ``stopped`` is never lost and never run again.
      Its score is kept from the event when its worker dies a moment later.
    - A worker that dies costs the runs in flight. Its unfinished runs are halved and run again,
      until the run that kills its worker is alone. That run is tried `settings.retries` times
      more; then its job fails with a `WorkerDiedError`. All other runs are trained.
    - A pack that raises as a whole is halved in the same way. A lone run fails with its own
      error.
    - A `SeedlabError` that a pack raises is a refusal: all its unfinished jobs fail with it at
      once, without halving.
    - After `settings.give_up_after` failures in a row that are alike, without a result in between,
      `run` raises: see `WorkQueue`.
    - A run that another process trains (``skipped``) is asked for again later.
    - An exception inside the ``with`` block (Ctrl-C and SIGTERM raise one) ends all workers
      before the block is left. Finished runs stay in the store.

    `WorkQueue` implements all points but the last for an executor that reports to it.
    """

    @property
    def slots(self) -> Sequence[Slot]:
        """Places where work items run side by side, at least one; known before it is entered."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...

    def run(self, work_items: Sequence[WorkItem], display: Display) -> Mapping[int, JobReturn]:
        """Run all work items and return the JobReturn of every job, by position in the batch.

        Parameters
        ----------
        work_items : sequence of WorkItem
        display : Display
            Gets events, notes and the workers' output while the work runs, and a `tick`
            several times a second.

        Raises
        ------
        SeedlabError
            When no worker can be started, the launch is given up, or a study is gone.
        """
        ...


def make_executor(settings: LauncherSettings, resources: Resources, session: Session) -> Executor:
    """Return the executor that ``hydra.launcher.executor`` names; it has started nothing yet.

    Its class is called with these three arguments.

    Raises
    ------
    SeedlabError
        When there is no such executor, or it can't offer the resources.
    """
    made = executor_class(settings.executor)(settings, resources, session)
    return cast("Executor", made)
