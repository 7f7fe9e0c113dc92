"""Run folders: written once, beside and put in place by one rename; checked when read.

``record.json`` is written last and lists the size and SHA-256 of every file beside it
and of itself. A folder that does not agree with its record is reported by name and
moved to ``corrupt/``: it is never read as a result, and its run is trained again.

A run that is over lies in ``runs/<run_id>``, one that was stopped in
``stopped/<run_id>-<steps>``. The most advanced sound folder of a run counts. So a stopped run
that is trained on replaces nothing: its new folder is put beside the old one, which the next
command that opens the study removes.
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
        with workplace(study) as place:
            folder = place / folder_of(study, record).name
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
    """Read a run; None when there is none, or when it was damaged and has been set aside."""
    return load_first(study, folders(study).get(run_id, ()), full=full)


def load_first(study: Path, candidates: Iterable[Path], *, full: bool = False) -> Record | None:
    """Read the first sound one of a run's folders; damaged ones before it are set aside."""
    for folder in candidates:
        with suppress(CorruptRunError):
            return load(folder, full=full)
        try:
            with study_lock(study):
                # Another process may have set it aside, or put a sound one in its place.
                found = _load_or_set_aside(study, folder, full=full)
        except OSError as error:  # somebody else's study, or a read-only disk
            log.warning("run %s is damaged and can't be set aside: %s", folder, error)
            continue
        if found is not None:
            return found
    return None


def folder_of(study: Path, record: Record) -> Path:
    """Return where the files of a run with this record lie."""
    if record.is_over:
        return study / "runs" / record.run_id
    return study / "stopped" / f"{record.run_id}-{record.steps}"


def folders(study: Path) -> dict[str, list[Path]]:
    """Return the folders of every run, the most advanced first, sound or not; sorted by id."""
    found: dict[str, list[tuple[float, Path]]] = {}
    # In this order, because runs go from the one place to the other, and never back.
    for path in _folders_in(study / "stopped"):
        if match := _STOPPED.fullmatch(path.name):
            found.setdefault(match[1], []).append((int(match[2]), path))
    for path in _folders_in(study / "runs"):
        if RUN_ID.fullmatch(path.name):
            found.setdefault(path.name, []).append((math.inf, path))
    return {run_id: [p for _, p in sorted(found[run_id], reverse=True)] for run_id in sorted(found)}


def _folders_in(place: Path) -> list[Path]:
    try:
        with os.scandir(place) as entries:
            return [Path(entry.path) for entry in entries if entry.is_dir()]
    except FileNotFoundError:
        return []


def sweep(study: Path) -> None:
    """Remove what dead writers left in ``tmp/``, and stopped runs that were trained on since.

    A living writer's folder is locked.
    """
    with study_lock(study):
        for candidates in folders(study).values():
            if len(candidates) > 1 and _is_sound(candidates[0]):
                for old in candidates[1:]:
                    shutil.rmtree(old, ignore_errors=True)
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
def workplace(study: Path) -> Iterator[Path]:
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
    target = folder_of(study, record)
    with study_lock(study):
        # A run that is over is never put on record as stopped again.
        for there in dict.fromkeys((study / "runs" / record.run_id, target)):
            existing = _load_or_set_aside(study, there, full=True)
            if existing is not None:
                log.info("run %s was finished by another process; discarded ours", record.run_id)
                return existing
        target.parent.mkdir(exist_ok=True)
        # Not os.replace on purpose: a folder is never put over another one.
        os.rename(folder, target)
        sync_folder(target.parent)
    return record


def _is_sound(folder: Path) -> bool:
    try:
        load(folder)
    except SeedlabError:
        return False
    return True


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
