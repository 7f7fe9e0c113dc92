"""Folders of the configuration, the ready studies and the cache.

In a checkout the first two lie beside the package; a wheel contains them in the package.
"""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).parent


def _folder(name: str) -> Path:
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


def conf_folder() -> Path:
    """Return the folder of Hydra's configuration groups."""
    return _folder("conf")


def experiments_folder() -> Path:
    """Return the folder of the ready studies, one folder with a study.yaml each."""
    return _folder("experiments")


def cache_folder() -> Path:
    """Return the folder for tokenised tasks and hashes: $SEEDLAB_CACHE or ~/.cache/seedlab."""
    return Path(os.environ.get("SEEDLAB_CACHE") or Path.home() / ".cache" / "seedlab")
