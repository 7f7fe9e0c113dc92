"""Run folders: written once, beside and put in place by one rename; checked when read.

``record.json`` is written last and lists the size and SHA-256 of every file beside it
and of itself. A folder that does not agree with its record is reported by name and
moved to ``corrupt/``: it is never read as a result, and its run is trained again.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from seedlab.errors import CorruptRunError, SeedlabError
from seedlab.store.files import (
    FULL,
    digest,
    disk_full,
    dump_json,
    sync_folder,
    write_synced,
)
from seedlab.store.locks import study_lock
from seedlab.store.record import SCHEMA_VERSION, Record

RUN_ID = re.compile(r"[0-9a-f]{20}")
log = logging.getLogger(__name__)


def publish(study: Path, record: Record, files: Mapping[str, bytes]) -> Record:
    """Put a run's folder in place, unless there already is a sound one.

    Parameters
    ----------
    study : Path
    record : Record
    files : mapping of file name to bytes
        What stands beside the record.

    Returns
    -------
    Record
        The one that is in place now: of two writers, the first wins and the later one's
        result is discarded.

    Raises
    ------
    SeedlabError
        When the disk is full; nothing is left behind and nothing else is touched.
    """
    try:
        with _workplace(study) as place:
            folder = place / record.run_id
            folder.mkdir()
            for name, data in files.items():
                write_synced(folder / name, data)
            write_synced(folder / "record.json", _seal(record, files))
            sync_folder(folder)
            return _put_in_place(study, folder, record)
    except OSError as error:
        if error.errno in FULL:
            raise disk_full(study, f"writing run {record.run_id}", error) from error
        raise


def load(folder: Path, *, full: bool = False) -> Record:
    """Read one run folder.

    Parameters
    ----------
    folder : Path
    full : bool
        Whether to hash every file; otherwise their sizes are compared.

    Raises
    ------
    CorruptRunError
        When anything is missing or differs from what was written.
    SeedlabError
        When a newer seedlab wrote it.
    """
    try:
        sealed = json.loads((folder / "record.json").read_bytes())
        version, files = int(sealed["schema_version"]), dict(sealed["files"])
        values, seal = dict(sealed["record"]), sealed["sha256"]
    except (FileNotFoundError, NotADirectoryError) as error:
        raise CorruptRunError("record.json is missing") from error
    except (ValueError, TypeError, KeyError) as error:
        raise CorruptRunError(f"record.json can't be parsed ({error})") from error
    if seal != _seal_of(version, files, values):
        raise CorruptRunError("record.json is not as it was written (checksum differs)")
    if version > SCHEMA_VERSION:
        raise SeedlabError(
            f"{folder} has record schema version {version}; this seedlab reads up to "
            f"{SCHEMA_VERSION}. Use the seedlab that wrote it, or a newer one."
        )
    if values.get("run_id") != folder.name:
        raise CorruptRunError(f"it holds the record of run {values.get('run_id')}")
    for name, expected in files.items():
        try:
            size = (folder / name).stat().st_size
        except FileNotFoundError as error:
            raise CorruptRunError(f"{name} is missing") from error
        if size != expected["size"]:
            raise CorruptRunError(f"{name} has {size} bytes, expected {expected['size']}")
        if full and digest((folder / name).read_bytes()) != expected["sha256"]:
            raise CorruptRunError(f"{name} is not as it was written (checksum differs)")
    return Record.from_dict(values)


def load_or_set_aside(study: Path, run_id: str, *, full: bool = False) -> Record | None:
    """Read a run; None when there is none, or when it was damaged and has been set aside."""
    folder = study / "runs" / run_id
    if not folder.is_dir():
        return None
    try:
        return load(folder, full=full)
    except CorruptRunError:
        pass
    try:
        with study_lock(study):
            # Another process may have set it aside, or put a sound one in its place.
            return _load_or_set_aside(study, folder, full=full)
    except OSError as error:  # somebody else's study, or a read-only disk
        log.warning("run %s is damaged and can't be set aside: %s", folder, error)
        return None


def run_ids(study: Path) -> list[str]:
    """Return the names of the run folders that there are, sound or not, sorted."""
    try:
        with os.scandir(study / "runs") as entries:
            return sorted(e.name for e in entries if RUN_ID.fullmatch(e.name) and e.is_dir())
    except FileNotFoundError:
        return []


def sweep(study: Path) -> None:
    """Remove what dead writers left in ``tmp/``; a living writer's folder is locked."""
    with study_lock(study):
        for place in (study / "tmp").glob("*/"):
            lock = FileLock(place / "writer.lock")
            # Without its lock file a folder belongs to nobody who still writes in it:
            # both are made under the study's lock, and removed together at the end.
            if (place / "writer.lock").exists():
                try:
                    lock.acquire(blocking=False)
                except Timeout:
                    continue
            shutil.rmtree(place, ignore_errors=True)
            lock.release()


@contextmanager
def _workplace(study: Path) -> Iterator[Path]:
    """Yield a folder in ``tmp/`` that is this writer's own as long as it lives."""
    place = study / "tmp" / f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
    lock = FileLock(place / "writer.lock")
    try:
        # A sweep must not come between making the folder and locking it.
        with study_lock(study):
            place.mkdir(parents=True)
            lock.acquire(blocking=False)
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
        lock.release()


def _put_in_place(study: Path, folder: Path, record: Record) -> Record:
    target = study / "runs" / record.run_id
    with study_lock(study):
        if target.exists():
            existing = _load_or_set_aside(study, target, full=True)
            if existing is not None:
                log.info("run %s was finished by another process; discarded ours", record.run_id)
                return existing
        target.parent.mkdir(exist_ok=True)
        # Not os.replace on purpose: a folder is never put over another one.
        os.rename(folder, target)
        sync_folder(target.parent)
    return record


def _load_or_set_aside(study: Path, folder: Path, *, full: bool) -> Record | None:
    """Do it; the caller holds the study's lock."""
    if not folder.exists():
        return None
    try:
        return load(folder, full=full)
    except CorruptRunError as error:
        reason = str(error)
    corrupt = study / "corrupt"
    corrupt.mkdir(exist_ok=True)
    target, number = corrupt / folder.name, 1
    while target.exists():
        number += 1
        target = corrupt / f"{folder.name}.{number}"
    os.rename(folder, target)
    log.warning(
        "run folder %s is damaged: %s; moved to %s, to be trained again", folder, reason, target
    )
    return None


def _seal(record: Record, files: Mapping[str, bytes]) -> bytes:
    listing = {n: {"size": len(data), "sha256": digest(data)} for n, data in files.items()}
    values = record.to_dict()
    seal = _seal_of(SCHEMA_VERSION, listing, values)
    return dump_json(
        {"schema_version": SCHEMA_VERSION, "sha256": seal, "files": listing, "record": values}
    )


def _seal_of(version: int, files: dict[str, Any], values: dict[str, Any]) -> str:
    return digest(json.dumps([version, files, values], sort_keys=True).encode())
