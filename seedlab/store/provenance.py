"""Where a run was computed: host, versions, commit. Recorded, never part of its identity."""

from __future__ import annotations

import functools
import platform
import subprocess
from importlib import metadata
from pathlib import Path

PACKAGES = ("torch", "transformers", "tokenizers", "numpy", "seedlab")


@functools.cache
def _versions() -> tuple[tuple[str, str], ...]:
    found = [("python", platform.python_version())]
    for package in PACKAGES:
        try:
            found.append((package, metadata.version(package)))
        except metadata.PackageNotFoundError:
            # Engines also run on machines where seedlab is a folder on the path.
            continue
    commit = _commit(Path(__file__).resolve().parents[2])
    return (*found, ("commit", commit)) if commit else tuple(found)


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that compute, by name.

    ``commit`` is that of seedlab's own checkout, with ``-dirty`` where files were
    changed; it is missing in an installed package.
    """
    return dict(_versions())


def _commit(root: Path) -> str:
    if not (root / ".git").exists():
        return ""
    command = [
        "git",
        "-C",
        str(root),
        "describe",
        "--always",
        "--dirty",
        "--abbrev=40",
        "--exclude=*",
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
