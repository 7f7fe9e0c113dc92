"""Checks that output folders are writable, made before work starts, and texts of disk errors."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from seedlab.errors import SeedlabError
from seedlab.lock_files import LockFile
from seedlab.store.atomic_files import FULL, disk_full

_IN_THE_WAY = frozenset({errno.ENOTDIR, errno.EEXIST})
_ALLOWED = "a folder that you can write to"
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


def check_studies(studies: Path, study: str | None) -> None:
    """Check that the folder of studies, and a study in it, are writable.

    Parameters
    ----------
    studies : Path
        Created if it does not exist.
    study : str, optional
        The study's name; None: unknown.

    Raises
    ------
    SeedlabError
        When a folder can't be created or written to, its file system has no locks, or the disk
        is full.
    """
    existing = studies / (study or "")
    while existing != studies and not os.path.lexists(existing):
        existing = existing.parent
    _check(
        studies,
        "opening the study",
        f"studies_dir={studies} can't hold studies",
        "name one with studies_dir=FOLDER",
        f"{_ALLOWED}, or a place where one can be made",
    )
    _check(
        existing,
        "opening the study",
        f"study={study} can't be written to {existing}",
        "choose another name with study=NAME, or another folder for studies with studies_dir=FOLDER",
    )
    with tempfile.NamedTemporaryFile(dir=existing) as file:
        LockFile(Path(file.name)).take()


def check_folder(folder: Path, results: str, remedy: str) -> None:
    """Check that a folder for results is writable.

    Parameters
    ----------
    folder : Path
        Created if it does not exist.
    results : str
        The kind of results, in the plural, for example ``"tables"``.
    remedy : str
        The last part of the message.

    Raises
    ------
    SeedlabError
        When the folder can't be created or written to, or the disk is full.
    """
    _check(folder, f"writing {results}", f"{results} can't be written to {folder}", remedy)


def check_file(path: Path, results: str, remedy: str, *, parents: bool = False) -> None:
    """Check that a file for results can be written; nothing is changed.

    Parameters
    ----------
    path : Path
    results, remedy : str
        As for `check_folder`.
    parents : bool
        Folders that do not exist will be made.

    Raises
    ------
    SeedlabError
        When it is a folder, its folder does not exist, or the system forbids it.
    """
    folder = path.absolute().parent
    while parents and not os.path.lexists(folder):
        folder = folder.parent
    try:
        if path.exists():
            with path.open("ab"):
                pass
        else:
            with tempfile.TemporaryFile(dir=folder):
                pass
    except OSError as error:
        if error.errno in FULL:
            raise disk_full(path.parent, f"writing {results}", error) from error
        raise SeedlabError(
            f"{path} can't be written ({_reason(error)}); it must be a file in a folder that exists "
            f"and that you can write to: {remedy}."
        ) from error


def can_write(folder: Path) -> bool:
    """Return whether a folder is writable; it is created if it does not exist."""
    try:
        _try(folder)
    except OSError:
        return False
    return True


def explain(error: OSError) -> str | None:
    """Return the meaning and the remedy of an `OSError`; None if it names no file."""
    if error.errno in FULL:
        where = f" for {error.filename}" if error.filename else ""
        return (
            f"no space left{where} ({error.strerror}). What was written before is intact; free some "
            "space (or raise the quota) and issue the same command again."
        )
    if error.filename is None:
        return None
    if error.errno in _IN_THE_WAY:
        remedy = "a file stands where a folder is needed; name another place, or move it away"
    elif error.errno in _FORBIDDEN:
        remedy = "name a place that you may read and write, or change its permissions"
    elif error.errno == errno.EISDIR:
        remedy = "a file is needed here, and this is a folder; name a file"
    else:
        remedy = "name a file or folder that is there and can be used"
    return f"{error.filename}: {error.strerror}; {remedy}."


def _check(folder: Path, doing: str, refusal: str, remedy: str, allowed: str = _ALLOWED) -> None:
    try:
        _try(folder)
    except OSError as error:
        if error.errno in FULL:
            raise disk_full(folder, doing, error) from error
        raise SeedlabError(
            f"{refusal}: {_reason(error)}. It must be {allowed}; {remedy}."
        ) from error


def _try(folder: Path) -> None:
    """Create a folder and a file in it: only an attempt shows whether the system permits it."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass


def _reason(error: OSError) -> str:
    if error.errno in _IN_THE_WAY:
        return "a file is in the way"
    return str(error.strerror)
