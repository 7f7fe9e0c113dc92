"""The trust that a configuration file deserves: files of others may run no code.

Trusted are the words of the command line and the files of the installation: those of seedlab, of
Hydra and of Hydra's installed plugins. All other files are foreign. Hydra can call any function
that a configuration names, so a foreign file may set only what a study needs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import Container, OmegaConf

from seedlab.errors import SeedlabError
from seedlab.launch.executors import EXECUTORS
from seedlab.paths import conf_folder, experiments_folder

TRUST = "--trust"
"""The flag that trusts all files."""

TARGETS = frozenset(
    {
        "hydra._internal.core_plugins.basic_launcher.BasicLauncher",
        "hydra._internal.core_plugins.basic_sweeper.BasicSweeper",
        "hydra.experimental.callbacks.LogJobReturnCallback",
        "hydra.experimental.callbacks.PickleJobInfoCallback",
        "hydra_plugins.hydra_seedlab.launcher.SeedlabLauncher",
        "hydra_plugins.hydra_seedlab.search.SeedlabSearch",
        "hydra_plugins.hydra_seedlab.sweeper.SeedlabSweeper",
    }
)
"""Classes that a foreign file may name. A whole package would hold functions that write files."""

_CODE_KEYS = ("model.trust_remote_code", "model.allow_pickle")
_PARAMETER = re.compile(r"[A-Za-z_]\w*([./][A-Za-z_]\w*)*")
_MODEL_CODE = "lets a model's folder run code"
_PLACES = "decides where files are written"

Key = tuple[str, ...]


def is_installed(root: str, name: str) -> bool:
    """Return whether a configuration file belongs to the installation.

    Parameters
    ----------
    root : str
        An entry of Hydra's search path.
    name : str
        The file below it.
    """
    if root.startswith(("structured://", "pkg://hydra.conf", "pkg://hydra_plugins.")):
        return True
    # Hydra joins the two, so a name can lead out of its root.
    if name.startswith("/") or ".." in PurePosixPath(name).parts:
        return False
    return root in {f"file://{folder}" for folder in (conf_folder(), experiments_folder())}


def check_foreign(file: str, config: Container) -> None:
    """Refuse a foreign file that sets what can run code, or write outside the studies.

    Parameters
    ----------
    file : str
        Its place, for the message.
    config : omegaconf.Container
        Its content, at its place in the whole configuration.

    Raises
    ------
    SeedlabError
        Naming the file, the key and the reason.
    """
    for key, value in _leaves(OmegaConf.to_container(config, resolve=False), ()):
        reason = _reason(key, value)
        if reason is not None:
            raise SeedlabError(
                f"{file} sets {_shown('.'.join(key), value)}, which {reason}. The file does not belong to "
                f"seedlab, so it is not trusted with that. Read it; if you trust it, add {TRUST}, or "
                "give this setting on the command line."
            )


def _shown(key: str, value: object) -> str:
    """Return a setting as one short line."""
    text = f"{key}={value}"
    text = text if text.isprintable() else repr(text)
    return text if len(text) <= 120 else f"{text[:117]}..."


def _leaves(value: Any, key: Key) -> Iterator[tuple[Key, Any]]:
    """Yield the keys and values of a configuration; an empty section is a value."""
    if isinstance(value, Mapping) and value:
        for name, part in value.items():
            yield from _leaves(part, (*key, str(name)))
    elif isinstance(value, list) and value:
        for number, part in enumerate(value):
            yield from _leaves(part, (*key, str(number)))
    else:
        yield key, value


def _reason(key: Key, value: Any) -> str | None:
    """Return the reason against a setting; None for one that is allowed."""
    if "_target_" in key:
        allowed = key[-1] == "_target_" and value in TARGETS
        return None if allowed else "makes Hydra call a function"
    if ".".join(key) in _CODE_KEYS:
        return None if value in (False, None) else _MODEL_CODE
    if key[0] == "studies_dir":
        return None if _is_below(value) else _PLACES
    if key[0] == "hydra":
        return _reason_in_hydra(key[1:], value)
    return None


def _reason_in_hydra(key: Key, value: Any) -> str | None:
    """Return the reason against a setting below ``hydra``: only listed settings are allowed."""
    if "${" in str(value):
        return "takes a setting of Hydra from somewhere else"
    if key in {("mode",), ("verbose",)}:
        return None
    section, name = (*key, "", "")[:2]
    if section == "callbacks":
        return None if value in (None, {}) else "makes Hydra call a function"
    if section == "sweeper" and name == "params":
        return _reason_in_params(".".join(key[2:]), value)
    if section in ("launcher", "sweeper") and name in _own_keys(section):
        limit = _LIMITED.get((section, name))
        return None if limit is None or limit(value) else "can run code, or reach other machines"
    if section in ("run", "sweep"):
        return _PLACES
    return "can run code, or changes the process"


def _reason_in_params(key: str, value: Any) -> str | None:
    """Return the reason against a sweep, which Hydra turns into an override."""
    if not key:
        return None if value in (None, {}) else "can override any setting"
    if _PARAMETER.fullmatch(key) is None or re.split("[./]", key)[0] in ("hydra", "studies_dir"):
        return "can override any setting"
    if any(word.partition(".")[2] in f"{key} {value}" for word in _CODE_KEYS):
        return _MODEL_CODE
    return None


def _is_below(folder: object) -> bool:
    """Return whether a folder is plain text for a place below the working directory."""
    text = str(folder)
    return "${" not in text and not Path(text).is_absolute() and ".." not in Path(text).parts


_LIMITED: Mapping[tuple[str, str], Callable[[Any], bool]] = {
    ("launcher", "executor"): lambda value: value in EXECUTORS,
    ("sweeper", "storage"): lambda value: value in ("sqlite", "journal"),
}


def _own_keys(section: str) -> set[str]:
    """Return the keys of seedlab's own launcher or sweepers; they are plain values."""
    store = ConfigStore.instance()
    names = {"launcher": ["seedlab"], "sweeper": ["seedlab", "seedlab_optuna"]}[section]
    nodes = [store.load(f"hydra/{section}/{name}.yaml").node for name in names]
    return {str(key) for node in nodes for key in node}
