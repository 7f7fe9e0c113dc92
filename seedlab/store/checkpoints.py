"""`Checkpoints`: the checkpoint files of a study, from which its runs resume.

A file's name ends in the first digits of its content's SHA-256. So one rename publishes the
whole file, and damage is detected. A checkpoint only saves time. Without a usable one its run
starts over and ends with the same bits.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seedlab.store.atomic_files import UNPARSABLE, digest, sync_folder, write_synced
from seedlab.store.run_folders import temporary_folder

if TYPE_CHECKING:
    from seedlab.training.checkpoint import Checkpoint

_NAME = re.compile(r"([0-9a-f]{20})-([0-9]+)\.([0-9a-f]{16})\.safetensors")
_HEADER_BYTES = 1 << 20
log = logging.getLogger(__name__)


@dataclass(frozen=True, order=True)
class CheckpointFile:
    """A checkpoint's file; sorted by run and step.

    Parameters
    ----------
    run_id : str
    step : int
        Number of updates before it.
    digest : str
        First 16 hexadecimal digits of the content's SHA-256.
    path : Path
    """

    run_id: str
    step: int
    digest: str
    path: Path


class Checkpoints:
    """The checkpoints of a study, ``checkpoints/<run_id>-<step>.<digest>.safetensors``.

    Parameters
    ----------
    study : Path
        The study's folder.
    """

    def __init__(self, study: Path) -> None:
        self._study = study
        self._folder = study / "checkpoints"

    def files(self) -> list[CheckpointFile]:
        """Return all files, sorted by run and step."""
        try:
            paths = list(self._folder.iterdir())
        except FileNotFoundError:
            return []
        named = [(match, path) for path in paths if (match := _NAME.fullmatch(path.name))]
        return sorted(CheckpointFile(m[1], int(m[2]), m[3], path) for m, path in named)

    def save(self, run_id: str, checkpoint: Checkpoint, header: Mapping[str, Any]) -> None:
        """Write a checkpoint; it replaces the run's older ones.

        Parameters
        ----------
        run_id : str
        checkpoint : Checkpoint
        header : mapping
            Entries of the file's header; `load` compares them, `headers` returns them.

        Raises
        ------
        OSError
            The system's error, unchanged; the older checkpoints are kept then.
        """
        from seedlab.store.checkpoint_file import to_bytes

        data = to_bytes(checkpoint, header)
        name = f"{run_id}-{checkpoint.step}.{digest(data)[:16]}.safetensors"
        with temporary_folder(self._study) as temporary:
            write_synced(temporary / name, data)
            self._folder.mkdir(exist_ok=True)
            os.replace(temporary / name, self._folder / name)
            sync_folder(self._folder)
        self.drop([run_id], keep=name)

    def load(
        self, run_id: str, circumstances: Mapping[str, Any], latest: int | None = None
    ) -> Checkpoint | None:
        """Return the newest usable checkpoint of a run; None without one.

        Parameters
        ----------
        run_id : str
        circumstances : mapping
            Values that the header must have. Other values mean another engine or version.
        latest : int, optional
            Largest step; later checkpoints are ignored.
        """
        from seedlab.store.checkpoint_file import from_bytes, header_of

        for file in reversed([f for f in self.files() if f.run_id == run_id]):
            if latest is not None and file.step > latest:
                continue
            try:
                data = file.path.read_bytes()
            except OSError as error:
                log.warning("checkpoint %s can't be read (%s)", file.path, error)
                continue
            if digest(data)[:16] != file.digest:
                log.warning("checkpoint %s is damaged and is ignored", file.path)
                continue
            try:
                header = header_of(data)
                other = {k: header.get(k) for k, v in circumstances.items() if header.get(k) != v}
                if other:
                    log.warning("checkpoint %s was made with %s and is ignored", file.path, other)
                    continue
                return from_bytes(data)
            except UNPARSABLE as error:
                log.warning(
                    "checkpoint %s is of another release (%r) and is ignored", file.path, error
                )
        return None

    def headers(self, step: int) -> dict[str, dict[str, Any]]:
        """Return the headers of the checkpoints at a step, by run id."""
        from seedlab.store.checkpoint_file import header_of

        found = {}
        for file in self.files():
            if file.step != step:
                continue
            try:
                with file.path.open("rb") as opened:
                    found[file.run_id] = header_of(opened.read(_HEADER_BYTES))
            except (OSError, *UNPARSABLE):
                # Another process has just removed it, or it is damaged.
                continue
        return found

    def drop(self, run_ids: Iterable[str], keep: str = "") -> None:
        """Remove the checkpoints of some runs, except for the file named `keep`."""
        dropped = set(run_ids)
        for file in self.files():
            # A folder in the place of a checkpoint is not seedlab's; `load` reported it.
            if file.run_id in dropped and file.path.name != keep and not file.path.is_dir():
                file.path.unlink(missing_ok=True)
