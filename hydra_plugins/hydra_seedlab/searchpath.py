"""Hydra's search path: the ready studies of seedlab, and the folder of a study's file."""

from __future__ import annotations

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin

from seedlab.compat.hydra_private import file_source
from seedlab.config.experiments import GROUP, SCHEME
from seedlab.paths import experiments_folder


class SeedlabSearchPath(SearchPathPlugin):
    """Lets `+NAME=study` find experiments/NAME/study.yaml of the installation.

    A folder `experiments` in the working directory is not searched: its files may be anybody's.
    """

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append the folder."""
        if experiments_folder().is_dir():
            search_path.append(provider="seedlab", path=f"file://{experiments_folder()}")


class ExperimentSource(ConfigSource):
    """The folder of a study's file, as the one group `GROUP`: ``experiment=PATH.yaml``.

    So the file is found by its path, whatever its folder is called. The defaults list of the file
    can name files beside it.
    """

    def __init__(self, provider: str, path: str) -> None:
        super().__init__(provider, path)
        self._files = file_source(provider, self.path)

    @staticmethod
    def scheme() -> str:
        """Return the scheme of its paths."""
        return SCHEME

    def load_config(self, config_path: str) -> ConfigResult:
        """Return one file of the folder."""
        loaded = self._files.load_config(_inside(config_path))
        loaded.path = self.full_path()
        return loaded

    def available(self) -> bool:
        """Return whether the folder exists."""
        return self._files.available()

    def is_group(self, config_path: str) -> bool:
        """Return whether a path is the group, or a folder in it."""
        return _in_group(config_path) and self._files.is_group(_inside(config_path))

    def is_config(self, config_path: str) -> bool:
        """Return whether a path is a file of the folder."""
        return _in_group(config_path) and self._files.is_config(_inside(config_path))

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """Return the files of the folder."""
        return self._files.list(_inside(config_path), results_filter)


def _in_group(config_path: str) -> bool:
    return config_path == GROUP or config_path.startswith(f"{GROUP}/")


def _inside(config_path: str) -> str:
    return config_path.removeprefix(GROUP).removeprefix("/")
