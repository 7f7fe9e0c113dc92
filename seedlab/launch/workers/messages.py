"""What the launcher and its workers say to each other over their connection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hydra.core.utils import JobReturn
from hydra.types import HydraContext
from omegaconf import DictConfig

from seedlab.execution.events import Event


@dataclass(frozen=True)
class Session:
    """What every worker of a launch is told once, before its first work."""

    hydra_context: HydraContext
    task_function: Callable[[DictConfig], Any]
    singletons: Mapping[str, Any]
    """Hydra's state in the parent, from `Singleton.get_state`"""


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


@dataclass(frozen=True)
class Done:
    """The work is done: the jobs that ended, and those another process is training."""

    returns: Mapping[int, JobReturn]
    """by position in the batch"""
    skipped: tuple[str, ...] = ()
    """run ids"""


@dataclass(frozen=True)
class PackFailed:
    """A pack of more than one run raised as a whole; nobody knows which run is to blame."""

    error: str


Message = Hello | Ready | Broken | Event | Done | PackFailed
