"""Atomic file writes: after a crash a file has its old content or its new content, never a mix.

This module does not depend on studies or runs.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from seedlab.errors import SeedlabError

# For the user a quota and a file-size limit mean the same: nothing more can be written.
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
UNPARSABLE = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)
"""errors of reading JSON whose text, types or depth are not those that were written"""


def write_synced(path: Path, data: bytes) -> None:
    """Write a file and wait until the disk has it.

    Raises
    ------
    OSError
        The system's error, unchanged; the file may be incomplete.
    """
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the folder's entries; a rename changes one.

    Systems and file systems that can't sync folders are skipped.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:  # Windows opens no folders
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems do not sync folders; they order renames themselves.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def replace_file(path: Path, data: bytes) -> None:
    """Replace a file; a reader sees the old content or the new content, even after a crash.

    The caller must ensure that no other process replaces the same file at the same time.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        write_synced(temporary, data)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def dump_json(value: Any, *, indent: int | None = 1) -> bytes:
    """Return strict JSON (no NaN) in ASCII; floats keep all digits, keys keep their order."""
    return json.dumps(value, indent=indent, allow_nan=False).encode()


def digest(data: bytes) -> str:
    """Return the SHA-256 of some bytes in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def disk_full(folder: Path, doing: str, error: OSError) -> SeedlabError:
    """Return the error that reports a full disk.

    Parameters
    ----------
    folder : Path
    doing : str
        The interrupted activity, as a participle: ``"writing the plan"``.
    error : OSError
        The system's error; the caller raises the returned one from it.
    """
    return SeedlabError(
        f"no space left in {folder} while {doing} ({error.strerror}). What was written before "
        "is intact; free some space (or raise the quota) and issue the same command again: it "
        "continues where it stopped."
    )


def unreadable(path: Path, error: OSError) -> SeedlabError:
    """Return the refusal of a file that is there and can't be read: no permission, a broken disk."""
    return SeedlabError(
        f"{path} can't be read ({error.strerror}). Make it readable, or restore it from a copy; "
        "then issue the same command again."
    )
