"""Messages from a worker to the launcher, over their connection."""

from __future__ import annotations

from dataclasses import dataclass

from seedlab.execution.events import Event
from seedlab.launch.executors.run_work import Done, PackFailed


@dataclass(frozen=True)
class Hello:
    """The worker's interpreter runs and waits for its session."""


@dataclass(frozen=True)
class Ready:
    """The worker has its session and waits for work."""


@dataclass(frozen=True)
class Broken:
    """The worker can't be used: its session could not be set up."""

    error: str


Message = Hello | Ready | Broken | Event | Done | PackFailed
