"""Names that become folders: of a study, and of Hydra's job."""

from __future__ import annotations

import re

from seedlab.errors import SeedlabError

UNNAMED = "the study has no name; give it one with study=NAME."
_LONGEST = 255
"""Bytes of a folder's name that file systems allow."""


def check_study_name(name: str) -> None:
    """Refuse a study's name that leads out of the folder of studies, or that is no folder's name.

    Parameters
    ----------
    name : str
        One folder's name, or several with ``/`` between: ``rte``, ``rte/bert-large``.

    Raises
    ------
    SeedlabError
        The name is empty, absolute, too long, or has a part that is empty, ``.`` or ``..``, or
        a control character.
    """
    if not name.strip():
        raise SeedlabError(UNNAMED)
    _check_text("study", name)
    # Windows separates folders by backslashes as well.
    parts = re.split(r"[/\\]", name)
    if {"", ".", ".."} & {*parts}:
        raise SeedlabError(
            f"study={name} leads out of the folder of studies, or names no folder in it; it must be "
            "a name such as rte or rte/bert. Another folder for studies is studies_dir=FOLDER."
        )


def check_job_name(name: str) -> None:
    """Refuse a ``hydra.job.name`` that is not the name of one folder: it is part of a run's place.

    Raises
    ------
    SeedlabError
    """
    _check_text("hydra.job.name", name)
    if name in ("", ".", "..") or re.search(r"[/\\]", name):
        raise SeedlabError(
            f"hydra.job.name={name} is not the name of a folder; leave it out, or use a name "
            "without slashes."
        )


def _check_text(key: str, name: str) -> None:
    if not name.isprintable():
        raise SeedlabError(
            f"{key}={name!r} has a character that can't be printed; use letters, digits, '-' and '_'."
        )
    longest = max(len(part.encode(errors="replace")) for part in name.split("/"))
    if longest > _LONGEST:
        raise SeedlabError(
            f"{key}={name[:40]}... is {longest} bytes long; a folder's name has at most {_LONGEST}."
        )
