"""Run folders: published by one rename, never changed afterwards, and checked when read.

``record.json`` is written last. It lists the size and SHA-256 of every other file, and has a
checksum of its own. A folder that does not agree with its record is reported and moved to
``corrupt/``. It is never read as a result, and its run is trained again.

A finished or diverged run lies in ``runs/<run_id>``, a stopped run in
``stopped/<run_id>-<steps>``. The folder with the most steps counts, and no other one. A stopped run
that is resumed gets a second folder. The next command that opens the study removes the first one.
If the folder that counts is damaged, the run is missing until it is trained again. Its older folders
are then set aside as well, so that no reader takes a finished run for a stopped one.
"""

from __future__ import annotations

import logging
import math
import os
import re
import shutil
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from seedlab.errors import CorruptRunError, SeedlabError
from seedlab.lock_files import LockFile, NoLocksError
from seedlab.store.atomic_files import FULL, disk_full, sync_folder, write_synced
from seedlab.store.record import Record
from seedlab.store.sealed_record import load, sealed
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
            write_synced(folder / "record.json", sealed(record, files))
            sync_folder(folder)
            return _publish(study, folder, record)
    except OSError as error:
        if error.errno in FULL:
            raise disk_full(study, f"writing run {record.run_id}", error) from error
        raise


def load_or_set_aside(study: Path, run_id: str) -> Record | None:
    """Return the record of a run; None without a folder.

    None is returned for a damaged run as well: all its folders are set aside, and reported.
    """
    return _load_latest(study, run_id, _folders_of(study, run_id))


def load_all(study: Path) -> dict[str, Record]:
    """Return the records of all runs by id, sorted; damaged runs are set aside and left out."""
    found = {
        run_id: _load_latest(study, run_id, candidates)
        for run_id, candidates in folders(study).items()
    }
    return {run_id: record for run_id, record in found.items() if record is not None}


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


def missing(study: Path, run_ids: Collection[str]) -> list[str]:
    """Return those of some runs that have no folder with a record, valid or not."""
    there = folders(study) if run_ids else {}
    return [
        run_id
        for run_id in run_ids
        if not any((path / "record.json").is_file() for path in there.get(run_id, ()))
    ]


def _folders_in(parent: Path) -> list[Path]:
    """Return the entries of a folder. A file in the place of a run's folder is damage, too."""
    try:
        return list(parent.iterdir())
    except FileNotFoundError:
        return []
    except NotADirectoryError as error:
        raise SeedlabError(
            f"{parent} is a file, and a folder with runs must be there; move the file away and "
            "issue the same command again."
        ) from error


def _folders_of(study: Path, run_id: str) -> list[Path]:
    """Return the folders of one run; those with the most steps first."""
    stopped = (study / "stopped").glob(f"{run_id}-*")
    steps = {path: match for path in stopped if (match := _STOPPED.fullmatch(path.name))}
    found = sorted(steps, key=lambda path: -int(steps[path][2]))
    over = study / "runs" / run_id
    return [over, *found] if os.path.lexists(over) else found


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
            lock = LockFile(temporary / "writer.lock")
            # A folder without a lock file has no living writer: both are made under the
            # study's lock, and removed together at the end.
            if lock.path.exists() and not lock.take():
                continue
            shutil.rmtree(temporary, ignore_errors=True)
            lock.release()


@contextmanager
def temporary_folder(study: Path) -> Iterator[Path]:
    """Yield a locked folder in ``tmp/``; it is removed at the end of the ``with`` block."""
    temporary = study / "tmp" / f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
    lock = LockFile(temporary / "writer.lock")
    try:
        # No sweep may run between making the folder and locking it.
        with study_lock(study):
            temporary.mkdir(parents=True)
            lock.take()
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        lock.release()


def _publish(study: Path, folder: Path, record: Record) -> Record:
    target = folder_of(study, record)
    with study_lock(study, create=False):
        # A finished or diverged run is never replaced by a stopped one.
        for published in dict.fromkeys((study / "runs" / record.run_id, target)):
            existing = _load_or_set_aside(study, record.run_id, published)
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


def _load_latest(study: Path, run_id: str, candidates: Sequence[Path]) -> Record | None:
    """Return the record in the first folder; if it is damaged, None, and all are set aside."""
    if not candidates:
        return None
    with suppress(CorruptRunError):
        return load(candidates[0])
    try:
        with study_lock(study):
            # Another process may have set it aside, removed it, or published a further one.
            latest = _folders_of(study, run_id)[:1]
            return _load_or_set_aside(study, run_id, latest[0]) if latest else None
    except (OSError, NoLocksError) as error:  # another user's study, or a read-only disk
        log.warning("run %s is damaged and can't be set aside: %s", candidates[0], error)
        return None


def _load_or_set_aside(study: Path, run_id: str, folder: Path) -> Record | None:
    """Return the record in a folder of a run. If it is damaged, set it and the older ones aside.

    The caller holds the lock.
    """
    if not os.path.lexists(folder):
        return None
    try:
        return load(folder)
    except CorruptRunError as error:
        reason = str(error)
    # The damaged folder comes last: a process that dies here leaves it as the one that counts.
    present = _folders_of(study, run_id)
    for older in reversed(present[present.index(folder) + 1 :]):
        log.info("run folder %s is an older state; moved to %s", older, _move(study, older))
    target = _move(study, folder)
    log.warning(
        "run folder %s is damaged: %s; moved to %s, to be trained again", folder, reason, target
    )
    return None


def _move(study: Path, folder: Path) -> Path:
    """Move a run folder to ``corrupt/`` and return its new place."""
    corrupt = study / "corrupt"
    corrupt.mkdir(exist_ok=True)
    target, number = corrupt / folder.name, 1
    while target.exists():
        number += 1
        target = corrupt / f"{folder.name}.{number}"
    os.rename(folder, target)
    return target
