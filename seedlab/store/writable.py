"""Places on disk that are written to: tried before work starts, refused in words."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from seedlab.errors import SeedlabError
from seedlab.store.atomic_files import FULL, disk_full

_IN_THE_WAY = frozenset({errno.ENOTDIR, errno.EEXIST})
_ALLOWED = "a folder that you can write to"
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


def check_studies(studies: Path, study: str | None) -> None:
    """Refuse a folder of studies, or a study in it, that can't be written to.

    Parameters
    ----------
    studies : Path
        Made where it does not exist.
    study : str, optional
        The study's name, where it is known.

    Raises
    ------
    SeedlabError
    """
    place = studies / (study or "")
    while place != studies and not os.path.lexists(place):
        place = place.parent
    _check(
        studies,
        "opening the study",
        f"studies_dir={studies} can't hold studies",
        "name one with studies_dir=FOLDER",
        f"{_ALLOWED}, or a place where one can be made",
    )
    _check(
        place,
        "opening the study",
        f"study={study} can't be written to {place}",
        "choose another name with study=NAME, or another folder for studies with studies_dir=FOLDER",
    )


def check_folder(folder: Path, what: str, remedy: str) -> None:
    """Refuse a folder for results that can't be written to.

    Parameters
    ----------
    folder : Path
        Made where it does not exist.
    what : str
        What is to be written, in the plural.
    remedy : str
        What the user can do.

    Raises
    ------
    SeedlabError
    """
    _check(folder, f"writing {what}", f"{what} can't be written to {folder}", remedy)


def explain(error: OSError) -> str | None:
    """Return what an error of the system means and what to do; None if it names no place."""
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
    """Make a folder and a file in it: what a system permits is known only by trying."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass


def _reason(error: OSError) -> str:
    if error.errno in _IN_THE_WAY:
        return "a file is in the way"
    return str(error.strerror)
