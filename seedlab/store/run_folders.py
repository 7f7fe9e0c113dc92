"""Run folders: published by one rename, never changed afterwards, and checked when read.

``record.json`` is written last. It lists the size and SHA-256 of every other file, and has a
checksum of its own. A folder that does not agree with its record is reported and moved to
``corrupt/``. It is never read as a result, and its run is trained again.

A finished or diverged run lies in ``runs/<run_id>``, a stopped run in
``stopped/<run_id>-<steps>``. The valid folder with the most steps counts. A stopped run that is
resumed gets a second folder. The next command that opens the study removes the first one.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from seedlab.errors import CorruptRunError, SeedlabError
from seedlab.store.atomic_files import FULL, digest, disk_full, dump_json, sync_folder, write_synced
from seedlab.store.record import SCHEMA_VERSION, Record
from seedlab.store.study_lock import study_lock

RUN_ID = re.compile(r"[0-9a-f]{20}")
_STOPPED = re.compile(r"([0-9a-f]{20})-([0-9]+)")
log = logging.getLogger(__name__)


def publish(study: Path, record: Record, files: Mapping[str, bytes]) -> Record:
    """Publish a run's folder, unless the study already has a valid one.

    Parameters
    ----------
    study : Path
    record : Record
    files : mapping of file name to bytes
        The files beside the record.

    Returns
    -------
    Record
        The record in the study. If two processes write one run, the first wins and the other
        result is discarded.

    Raises
    ------
    SeedlabError
        When the disk is full; then the study is unchanged.
    """
    try:
        with temporary_folder(study) as temporary:
            folder = temporary / folder_of(study, record).name
            folder.mkdir()
            for name, data in files.items():
                write_synced(folder / name, data)
            write_synced(folder / "record.json", _sealed(record, files))
            sync_folder(folder)
            return _publish(study, folder, record)
    except OSError as error:
        if error.errno in FULL:
            raise disk_full(study, f"writing run {record.run_id}", error) from error
        raise


def load(folder: Path, *, full: bool = False) -> Record:
    """Return the record in one run folder, after checking the folder's files.

    Parameters
    ----------
    folder : Path
    full : bool
        True: compare the hash of every file; False: compare sizes.

    Raises
    ------
    CorruptRunError
        When a file is missing or differs from its description in the record.
    SeedlabError
        When a newer seedlab wrote it.
    """
    try:
        sealed = json.loads((folder / "record.json").read_bytes())
        version, files = int(sealed["schema_version"]), dict(sealed["files"])
        values, checksum = dict(sealed["record"]), sealed["sha256"]
    except (FileNotFoundError, NotADirectoryError) as error:
        raise CorruptRunError("record.json is missing") from error
    except (ValueError, TypeError, KeyError) as error:
        raise CorruptRunError(f"record.json can't be parsed ({error})") from error
    if checksum != _checksum(version, files, values):
        raise CorruptRunError("record.json is not as it was written (checksum differs)")
    if version > SCHEMA_VERSION:
        raise SeedlabError(
            f"{folder} has record schema version {version}; this seedlab reads up to "
            f"{SCHEMA_VERSION}. Use the seedlab that wrote it, or a newer one."
        )
    name = f"{values.get('run_id')}"
    if values.get("status") == "stopped":
        name += f"-{values.get('steps')}"
    if name != folder.name:
        raise CorruptRunError(f"it holds the record of run {name}")
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
    """Return the record of a run; None without a valid folder. Damaged ones are set aside."""
    return load_first(study, folders(study).get(run_id, ()), full=full)


def load_first(study: Path, candidates: Iterable[Path], *, full: bool = False) -> Record | None:
    """Return the record in the first valid folder; damaged ones before it are set aside."""
    for folder in candidates:
        with suppress(CorruptRunError):
            return load(folder, full=full)
        try:
            with study_lock(study):
                # Another process may have set it aside, or published a valid one.
                found = _load_or_set_aside(study, folder, full=full)
        except OSError as error:  # another user's study, or a read-only disk
            log.warning("run %s is damaged and can't be set aside: %s", folder, error)
            continue
        if found is not None:
            return found
    return None


def folder_of(study: Path, record: Record) -> Path:
    """Return the folder that holds the files of a run with this record."""
    if record.is_over:
        return study / "runs" / record.run_id
    return study / "stopped" / f"{record.run_id}-{record.steps}"


def folders(study: Path) -> dict[str, list[Path]]:
    """Return the folders of every run by id, valid or not; those with the most steps first."""
    found: dict[str, list[tuple[float, Path]]] = {}
    # In this order: a run moves from stopped/ to runs/, never the other way.
    for path in _folders_in(study / "stopped"):
        if match := _STOPPED.fullmatch(path.name):
            found.setdefault(match[1], []).append((int(match[2]), path))
    for path in _folders_in(study / "runs"):
        if RUN_ID.fullmatch(path.name):
            found.setdefault(path.name, []).append((math.inf, path))
    return {run_id: [p for _, p in sorted(found[run_id], reverse=True)] for run_id in sorted(found)}


def _folders_in(parent: Path) -> list[Path]:
    try:
        with os.scandir(parent) as entries:
            return [Path(entry.path) for entry in entries if entry.is_dir()]
    except FileNotFoundError:
        return []


def sweep(study: Path) -> None:
    """Remove leftovers of dead processes in ``tmp/``, and outdated folders of resumed runs.

    The folder of a living writer is locked, and is kept.
    """
    with study_lock(study):
        for candidates in folders(study).values():
            if len(candidates) > 1 and _is_valid(candidates[0]):
                for old in candidates[1:]:
                    shutil.rmtree(old, ignore_errors=True)
        for temporary in (study / "tmp").glob("*/"):
            lock = FileLock(temporary / "writer.lock")
            # A folder without a lock file has no living writer: both are made under the
            # study's lock, and removed together at the end.
            if (temporary / "writer.lock").exists():
                try:
                    lock.acquire(blocking=False)
                except Timeout:
                    continue
            shutil.rmtree(temporary, ignore_errors=True)
            lock.release()


@contextmanager
def temporary_folder(study: Path) -> Iterator[Path]:
    """Yield a locked folder in ``tmp/``; it is removed at the end of the ``with`` block."""
    temporary = study / "tmp" / f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
    lock = FileLock(temporary / "writer.lock")
    try:
        # No sweep may run between making the folder and locking it.
        with study_lock(study):
            temporary.mkdir(parents=True)
            lock.acquire(blocking=False)
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        lock.release()


def _publish(study: Path, folder: Path, record: Record) -> Record:
    target = folder_of(study, record)
    with study_lock(study):
        # A finished or diverged run is never replaced by a stopped one.
        for published in dict.fromkeys((study / "runs" / record.run_id, target)):
            existing = _load_or_set_aside(study, published, full=True)
            if existing is not None:
                log.info("another process published run %s; discarded this result", record.run_id)
                return existing
        target.parent.mkdir(exist_ok=True)
        # Not os.replace: a folder never replaces another one.
        os.rename(folder, target)
        sync_folder(target.parent)
    return record


def _is_valid(folder: Path) -> bool:
    try:
        load(folder)
    except SeedlabError:
        return False
    return True


def _load_or_set_aside(study: Path, folder: Path, *, full: bool) -> Record | None:
    """Return the record in a folder; set a damaged one aside. The caller holds the lock."""
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


def _sealed(record: Record, files: Mapping[str, bytes]) -> bytes:
    listing = {n: {"size": len(data), "sha256": digest(data)} for n, data in files.items()}
    values = record.to_dict()
    checksum = _checksum(SCHEMA_VERSION, listing, values)
    return dump_json(
        {"schema_version": SCHEMA_VERSION, "sha256": checksum, "files": listing, "record": values}
    )


def _checksum(version: int, files: dict[str, Any], values: dict[str, Any]) -> str:
    return digest(json.dumps([version, files, values], sort_keys=True).encode())
