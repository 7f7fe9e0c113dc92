"""Hydra's search path, extended by the ready studies in experiments/."""

from __future__ import annotations

from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

from seedlab.paths import experiments_folder


class SeedlabSearchPath(SearchPathPlugin):
    """Lets `+NAME=study` find experiments/NAME/study.yaml, here or with the package."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append the folders that exist."""
        for folder in dict.fromkeys((Path("experiments").resolve(), experiments_folder())):
            if folder.is_dir():
                search_path.append(provider="seedlab", path=f"file://{folder}")
