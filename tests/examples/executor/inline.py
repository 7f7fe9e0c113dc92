"""`InlineExecutor`: a complete executor in one module, the example of docs/extending.md.

It does all work in the launcher's own process, one work item after another.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Self

from hydra.core.utils import JobReturn

from seedlab.execution.events import Event
from seedlab.launch.display.base import Display
from seedlab.launch.executors.executor import Resources
from seedlab.launch.executors.run_work import run_work
from seedlab.launch.executors.session import Session
from seedlab.launch.executors.settings import LauncherSettings
from seedlab.launch.executors.work_queue import Attempt, WorkQueue
from seedlab.launch.jobs.slots import Slot
from seedlab.launch.jobs.work import WorkItem


class InlineExecutor:
    """A `seedlab.launch.executors.executor.Executor` without workers.

    Parameters
    ----------
    settings : LauncherSettings
    resources : Resources
    session : Session
    """

    def __init__(self, settings: LauncherSettings, resources: Resources, session: Session) -> None:
        self.slots: Sequence[Slot] = (Slot(0, resources.threads or 1),)
        self._settings, self._session = settings, session

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """There is no worker to end."""

    def run(self, work_items: Sequence[WorkItem], display: Display) -> Mapping[int, JobReturn]:
        """Run all work items; see `Executor.run`."""
        settings = self._settings
        queue = WorkQueue(
            work_items, display, settings.retries, self._session.task_name, settings.give_up_after
        )
        while queue.open:
            display.tick()
            attempt = queue.take(self.slots[0])
            if attempt is None:
                time.sleep(0.05)  # another process trains the runs that are left
                continue
            queue.handed_out(attempt)

            def on_event(event: Event, attempt: Attempt = attempt) -> None:
                queue.event(attempt, event)
                display.tick()

            queue.completed(attempt, run_work(attempt.work, self._session, on_event))
        return queue.returns
