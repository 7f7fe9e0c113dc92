"""Files of studies: `experiment=NAME` of the installation, and `experiment=PATH.yaml`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seedlab.errors import SeedlabError, nearest
from seedlab.paths import experiments_folder

SCHEME = "experiment"
"""Scheme of a search path whose folder holds a study's file."""
GROUP = "experiment_file"
"""Hydra's group for such a folder."""


def experiment_overrides(value: str, config_dir: str | None) -> list[str]:
    """Return the overrides that add the configuration of a study's file.

    Names are those of the installation. The working directory is not searched: a study's file can
    come with anybody's folder, and must be named by its path.

    Parameters
    ----------
    value : str
        ``NAME``, ``NAME/PART``, or the path of a file that ends in ``.yaml``.
    config_dir : str, optional
        A further folder of configurations, from ``--config-dir``. Names of seedlab win.

    Raises
    ------
    SeedlabError
        When there is no such file.
    """
    if value.endswith(".yaml"):
        return _of_file(Path(value).expanduser())
    folders = [*([] if config_dir is None else [Path(config_dir)]), experiments_folder()]
    there = {_name(file): file for folder in folders for file in sorted(folder.glob("*/*.yaml"))}
    if value not in there:
        raise SeedlabError(
            f"experiment={value} does not exist; there are: {', '.join(sorted(there)) or 'none'}."
            f"{_in_working_directory(value) or nearest(value, there)}"
        )
    return [f"+{there[value].parent.name}={there[value].stem}"]


def find_option(arguments: Sequence[str], *names: str) -> str | None:
    """Return the value of a flag of Hydra's command line; None without it."""
    for at, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name in names:
            return value if equals else next(iter(arguments[at + 1 :]), None)
    return None


def _of_file(file: Path) -> list[str]:
    if not file.is_file():
        raise SeedlabError(
            f"experiment={file} is not a file; name a study's file (.yaml), or one of seedlab's own "
            "studies (`experiment=demo`)."
        )
    folder = str(file.resolve().parent)
    quoted = folder.replace("\\", "\\\\").replace("'", "\\'").replace("${", "\\${")
    return [f"hydra.searchpath=['{SCHEME}://{quoted}']", f"+{GROUP}='{file.stem}'"]


def _in_working_directory(value: str) -> str:
    """Return a hint where a file of that name lies in the working directory."""
    for file in (Path("experiments") / value / "study.yaml", Path("experiments") / f"{value}.yaml"):
        if file.is_file():
            return f" {file} lies in the working directory: name it by its path, experiment={file}."
    return ""


def _name(file: Path) -> str:
    folder = file.parent.name
    return folder if file.stem == "study" else f"{folder}/{file.stem}"
