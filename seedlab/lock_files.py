"""`LockFile`: a lock on a file, which the system releases when its holder dies, for any reason.

Some file systems have no such locks. A file whose mere existence is the lock would outlive a
killed holder, so it never takes their place: the lock is refused.
"""

from __future__ import annotations

import errno
import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from filelock import FileLock, Timeout

from seedlab.errors import SeedlabError

STUDIES_REMEDY = "put studies on a local file system with studies_dir=FOLDER"
_NO_LOCKS = frozenset(
    {errno.ENOLCK, errno.ENOSYS, errno.EIO, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}
)
_MOUNTS = Path("/proc/mounts")


class NoLocksError(SeedlabError):
    """The file system refuses to lock files."""


class LockFile:
    """An exclusive lock, among processes and within this one; a ``with`` block waits for it.

    Parameters
    ----------
    path : Path
        The locked file; it is created, and its folder has to exist.
    remedy : str
        The user's remedy on a file system without locks: the last part of the message.
    """

    def __init__(self, path: Path, remedy: str = STUDIES_REMEDY) -> None:
        self.path = path
        self._remedy = remedy
        # It may be released by another thread than the one that took it.
        self._lock = FileLock(path, thread_local=False, fallback_to_soft=False)

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._lock.is_locked

    def take(self, patience_seconds: float = 0.0) -> bool:
        """Take the lock and return True; False when another holder keeps it for too long.

        Parameters
        ----------
        patience_seconds : float
            Longest time to wait, in seconds; ``math.inf`` waits without a limit.

        Raises
        ------
        NoLocksError
            When the file system refuses to lock files.
        OSError
            When the file can't be opened.
        """
        if not self.path.parent.is_dir():
            # filelock would make the folder, and with it a study that was removed.
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.path.parent))
        with self._refused():
            try:
                self._lock.acquire(timeout=patience_seconds, poll_interval=0.005)
            except Timeout:
                return False
        return True

    def release(self) -> None:
        """Release the lock; without effect where it is not held."""
        with self._refused():
            self._lock.release()

    def __enter__(self) -> Self:
        self.take(math.inf)
        return self

    def __exit__(self, *error: object) -> None:
        self.release()

    @contextmanager
    def _refused(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            raise NoLocksError(
                f"files in {self.path.parent} can't be locked ({error.strerror}) on "
                f"{file_system_of(self.path)}. Without locks two processes could train and write "
                f"one run, so this file system can't be used: {self._remedy}."
            ) from error


def file_system_of(path: Path, mounts: Path = _MOUNTS) -> str:
    """Return the file system of a path as text: its type and its mount point.

    Parameters
    ----------
    path : Path
    mounts : Path
        The system's list of mounts, in the format of ``/proc/mounts``.

    Returns
    -------
    str
        For example ``"file system nfs4 at /home"``; without the list of mounts,
        ``"its file system"``.
    """
    try:
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:
        return "its file system"
    place, found, kind = path.absolute().resolve(), Path(), ""
    for fields in (line.split() for line in lines):
        # Blanks in names are octal escapes.
        point = Path(re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[1]))
        # A later mount hides an earlier one at the same place.
        if place.is_relative_to(point) and len(point.parts) >= len(found.parts):
            found, kind = point, fields[2]
    return f"file system {kind} at {found}" if kind else "its file system"
