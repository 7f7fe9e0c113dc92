"""`Decisions`: the decisions of early stopping in a study, written before they take effect.

A decision is made once, and every process follows a decision that it finds on file. So a
killed study resumes where it was, and two commands on one study never disagree.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

from seedlab.errors import SeedlabError
from seedlab.store.atomic_files import (
    FULL,
    UNPARSABLE,
    digest,
    disk_full,
    dump_json,
    replace_file,
    unreadable,
)
from seedlab.store.study_lock import study_lock

SCHEMA_VERSION = 1
log = logging.getLogger(__name__)


class Decisions:
    """The files in ``decisions/<name>/`` of a study: JSON, each with a checksum of its own.

    Parameters
    ----------
    study : Path
        The study's folder.
    name : str
        Name of the cohort: it stands for the runs that are compared, and the policy.
    """

    def __init__(self, study: Path, name: str) -> None:
        self._study = study
        self.folder = study / "decisions" / name

    def read(self, key: str) -> dict[str, Any] | None:
        """Return the decision under a key; None without one.

        A damaged file is reported and set aside. The decision is then made again: it follows
        from the runs on record.

        Raises
        ------
        SeedlabError
            When the decision was written under a newer schema version.
        """
        path = self.folder / f"{key}.json"
        try:
            return self._parse(path)
        except FileNotFoundError:
            return None
        except (*UNPARSABLE, IsADirectoryError) as error:
            log.warning("%s is damaged (%s); it is set aside and made again", path, error)
            with study_lock(self._study):
                if path.exists():
                    os.replace(path, _free(path.with_suffix(".corrupt")))
            return None
        except OSError as error:
            raise unreadable(path, error) from error

    def write(self, key: str, content: dict[str, Any]) -> dict[str, Any]:
        """Write a decision unless one is on file; return the one on file.

        Raises
        ------
        SeedlabError
            When the disk is full.
        """
        found = self.read(key)
        if found is not None:
            return found
        try:
            with study_lock(self._study):
                path = self.folder / f"{key}.json"
                if path.exists():
                    return self._parse(path)
                self._put(path, content)
        except OSError as error:
            if error.errno in FULL:
                raise disk_full(self._study, "writing a decision", error) from error
            raise
        return content

    def replace(self, key: str, content: dict[str, Any]) -> None:
        """Write a decision, whether or not one is on file."""
        try:
            with study_lock(self._study):
                self._put(self.folder / f"{key}.json", content)
        except OSError as error:
            if error.errno in FULL:
                raise disk_full(self._study, "writing the outcome of a decision", error) from error
            raise

    def _put(self, path: Path, content: dict[str, Any]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        values = {"schema_version": SCHEMA_VERSION, "content": content}
        replace_file(path, dump_json({"sha256": digest(dump_json(values)), **values}))

    @staticmethod
    def _parse(path: Path) -> dict[str, Any]:
        values = json.loads(path.read_bytes())
        seal = values.pop("sha256")
        # The checksum is of all entries, so those of another release count as well.
        if seal != digest(dump_json(values)):
            raise ValueError("its checksum differs")
        if (version := int(values["schema_version"])) > SCHEMA_VERSION:
            raise SeedlabError(
                f"{path} has schema version {version}; this seedlab reads up to {SCHEMA_VERSION}. "
                "Use the seedlab that wrote it, or a newer one."
            )
        return dict(values["content"])


def _free(path: Path) -> Path:
    """Return the path, with a number at its end if something is there."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}.{number}")
    return free
