"""Private interfaces of Hydra. This module imports hydra alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, setup_globals

if TYPE_CHECKING:
    # Hydra has no public sweeper that splits a grid into jobs.
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper as BasicSweeper
else:

    def __getattr__(name):
        """Return Hydra's class of the moment.

        Hydra executes the modules of plugins again when it looks for plugins, its own included.
        A class that was imported before is then another one, and can't be instantiated.
        """
        if name != "BasicSweeper":
            raise AttributeError(name)
        from hydra._internal.core_plugins import basic_sweeper

        return basic_sweeper.BasicSweeper


def make_return(
    overrides: Sequence[str], status: JobStatus, value: Any, task_name: str | None = None
) -> JobReturn:
    """Return a job's `JobReturn`; `value` is its result, or the exception of a failed job."""
    return JobReturn(
        overrides=list(overrides), status=status, _return_value=value, task_name=task_name
    )


def returned_value(returned: JobReturn) -> Any:
    """Return a job's result, or the exception of a failed job, which Hydra's property raises."""
    return returned._return_value


def singleton_state() -> Any:
    """Return Hydra's global state, which can be pickled, for another process."""
    return Singleton.get_state()


def restore_singletons(state: Any) -> None:
    """Set up Hydra in this process with the global state of another one."""
    setup_globals()
    Singleton.set_state(state)
