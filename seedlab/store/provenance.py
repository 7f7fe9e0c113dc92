"""Versions of the software that computes a run; recorded, never part of the run's identity."""

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
            # seedlab may be a folder on the path without being installed.
            continue
    commit = _commit(Path(__file__).resolve().parents[2])
    return (*found, ("commit", commit)) if commit else tuple(found)


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that compute, by name.

    ``commit`` is the commit of seedlab's own checkout, with ``-dirty`` after uncommitted
    changes; an installed package has none.
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
