"""``record.json`` of a run folder: it describes the files beside it, and is checked when read.

It lists the size and SHA-256 of every other file, and has a checksum of its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seedlab.errors import CorruptRunError, SeedlabError
from seedlab.store.atomic_files import UNPARSABLE, digest, dump_json, unreadable
from seedlab.store.record import SCHEMA_VERSION, Record


def load(folder: Path) -> Record:
    """Return the record in one run folder, after checking every file by its hash.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    CorruptRunError
        When a file is missing or differs from its description in the record.
    SeedlabError
        When a newer seedlab wrote it, or a file can't be read.
    """
    try:
        sealed = json.loads(_read(folder, "record.json"))
        version, files = int(sealed["schema_version"]), dict(sealed["files"])
        values, checksum = dict(sealed["record"]), sealed["sha256"]
    except UNPARSABLE as error:
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
        data = _read(folder, name)
        if len(data) != expected["size"]:
            raise CorruptRunError(f"{name} has {len(data)} bytes, expected {expected['size']}")
        if digest(data) != expected["sha256"]:
            raise CorruptRunError(f"{name} is not as it was written (checksum differs)")
    return Record.from_dict(values)


def sealed(record: Record, files: Mapping[str, bytes]) -> bytes:
    """Return the content of ``record.json``: the record, and a description of the other files."""
    listing = {n: {"size": len(data), "sha256": digest(data)} for n, data in files.items()}
    values = record.to_dict()
    checksum = _checksum(SCHEMA_VERSION, listing, values)
    return dump_json(
        {"schema_version": SCHEMA_VERSION, "sha256": checksum, "files": listing, "record": values}
    )


def _checksum(version: int, files: dict[str, Any], values: dict[str, Any]) -> str:
    return digest(json.dumps([version, files, values], sort_keys=True).encode())


def _read(folder: Path, name: str) -> bytes:
    """Return the content of a file of a run folder.

    Raises
    ------
    CorruptRunError
        When there is no such file.
    SeedlabError
        When it can't be read for another reason: that is no damage.
    """
    try:
        return (folder / name).read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise CorruptRunError(f"{name} is missing") from error
    except IsADirectoryError as error:
        raise CorruptRunError(f"{name} is a folder") from error
    except OSError as error:
        raise unreadable(folder / name, error) from error
