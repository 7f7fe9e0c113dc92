"""Private interfaces of Hydra. This module imports hydra alone."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from hydra._internal import hydra as _hydra_command
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, setup_globals
from hydra.plugins.config_source import ConfigResult, ConfigSource
from omegaconf import Container, DictConfig

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


def file_source(provider: str, folder: str) -> ConfigSource:
    """Return Hydra's source of configurations for a folder of files."""
    return FileConfigSource(provider, folder)


@contextmanager
def without_error_line(*kinds: type[Exception]) -> Iterator[None]:
    """Have Hydra raise errors of these classes without the line that it prints before.

    ``JobReturn.return_value`` writes "Error executing job with overrides" to the standard error
    before it raises the error of a failed job.
    """
    before: Any = vars(JobReturn)[_VALUE]

    def value(returned: JobReturn) -> Any:
        if returned.status == JobStatus.FAILED and isinstance(returned._return_value, kinds):
            raise returned._return_value
        return before.__get__(returned)

    setattr(JobReturn, _VALUE, property(value, before.fset))
    try:
        yield
    finally:
        setattr(JobReturn, _VALUE, before)


_VALUE = "return_value"


class CompositionChecks(Protocol):
    """Checks of configurations; see `checked_composition`."""

    def check_file(self, root: str, name: str, config: Container) -> None:
        """Check one file before it becomes part of a configuration.

        Parameters
        ----------
        root : str
            The entry of Hydra's search path that has the file, ``file:///...`` for instance.
        name : str
            The file below it, without ``.yaml``.
        config : Container
            Its content, at its place in the whole configuration, interpolations unresolved.
        """
        ...

    def check_whole(self, config: DictConfig) -> None:
        """Check, and change, a composed configuration before Hydra uses it."""
        ...


class _CheckedLoader(ConfigLoaderImpl):
    """Hydra's loader of configurations, with checks.

    No public interface sees a configuration before Hydra instantiates its callbacks.
    """

    def __init__(self, checks: CompositionChecks, config_search_path: ConfigSearchPath) -> None:
        super().__init__(config_search_path)
        self._checks = checks

    def _load_single_config(self, default: Any, repo: Any) -> ConfigResult:
        loaded = super()._load_single_config(default, repo)
        self._checks.check_file(loaded.path, str(default.config_path), loaded.config)
        return loaded

    def load_configuration(self, *arguments: Any, **options: Any) -> DictConfig:
        config = super().load_configuration(*arguments, **options)
        self._checks.check_whole(config)
        return config


_LOADER = "ConfigLoaderImpl"


@contextmanager
def checked_composition(checks: CompositionChecks) -> Iterator[None]:
    """Have all configurations checked that a command of Hydra composes inside the block.

    Hydra ignores errors of `checks` while it looks for ``hydra.mode``. It composes again after
    that, and then it raises them.
    """
    # Hydra makes its loader under this name and offers no other place for one.
    before = getattr(_hydra_command, _LOADER)
    setattr(_hydra_command, _LOADER, functools.partial(_CheckedLoader, checks))
    try:
        yield
    finally:
        setattr(_hydra_command, _LOADER, before)
