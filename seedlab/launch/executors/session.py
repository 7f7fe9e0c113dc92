"""`Session`: the state that every worker of a launch starts from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hydra.types import HydraContext
from omegaconf import DictConfig


@dataclass(frozen=True)
class Session:
    """Hydra's state and the application, sent to a worker once, before its first work item.

    Parameters
    ----------
    hydra_context : HydraContext
    task_function : callable
        The application; cloudpickle carries it to other processes.
    singletons : mapping of str to object
        Hydra's state in the launcher, from `seedlab.compat.hydra_private.singleton_state`.
    task_name : str
        ``hydra.job.name``.
    """

    hydra_context: HydraContext
    task_function: Callable[[DictConfig], Any]
    singletons: Mapping[str, Any]
    task_name: str
