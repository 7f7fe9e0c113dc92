"""`Decisions`: what early stopping decided in a study, on file before anything follows from it.

A decision is made once. Whoever finds one on file obeys it, so a study that was killed goes on
where it was, and two commands on one study never disagree.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

from seedlab.store.atomic_files import FULL, digest, disk_full, dump_json, replace_file
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
        Of the race: the runs that are compared, and the policy.
    """

    def __init__(self, study: Path, name: str) -> None:
        self._study = study
        self.folder = study / "decisions" / name

    def read(self, key: str) -> dict[str, Any] | None:
        """Return what is on file under a key; None where nothing sound is.

        A damaged file is reported and set aside: the decision follows from the runs on
        record and is made again.
        """
        path = self.folder / f"{key}.json"
        try:
            return self._parse(path.read_bytes())
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError) as error:
            log.warning("%s is damaged (%s); it is set aside and made again", path, error)
            with study_lock(self._study):
                if path.exists():
                    os.replace(path, path.with_suffix(".corrupt"))
            return None

    def write(self, key: str, content: dict[str, Any]) -> dict[str, Any]:
        """Put something on file, unless there is something already; return what is there.

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
                    return self._parse(path.read_bytes())
                self._put(path, content)
        except OSError as error:
            if error.errno in FULL:
                raise disk_full(self._study, "writing a decision", error) from error
            raise
        return content

    def replace(self, key: str, content: dict[str, Any]) -> None:
        """Put something on file in the place of what was there."""
        try:
            with study_lock(self._study):
                self._put(self.folder / f"{key}.json", content)
        except OSError as error:
            if error.errno in FULL:
                raise disk_full(self._study, "writing what came of a decision", error) from error
            raise

    def _put(self, path: Path, content: dict[str, Any]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        values = {"schema_version": SCHEMA_VERSION, "content": content}
        replace_file(path, dump_json({"sha256": digest(dump_json(values)), **values}))

    @staticmethod
    def _parse(data: bytes) -> dict[str, Any]:
        values = json.loads(data)
        seal = values.pop("sha256")
        if seal != digest(dump_json(values)):
            raise ValueError("its checksum differs")
        return dict(values["content"])
