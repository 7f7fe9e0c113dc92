"""`study_lock`: the lock of a study, held for the milliseconds in which its folders change.

It protects publishing a run, setting a damaged one aside, taking and listing claims, and
changing the plan. It is never held during training or while a large file is written. The
system releases it when its holder dies.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seedlab.errors import SeedlabError
from seedlab.lock_files import LockFile
from seedlab.store.atomic_files import FULL, disk_full

# Far longer than any holder needs: only a process that was suspended while holding the
# lock makes another one wait this long.
PATIENCE_SECONDS = 120.0


@contextmanager
def study_lock(
    folder: Path, patience_seconds: float = PATIENCE_SECONDS, *, create: bool = True
) -> Iterator[None]:
    """Hold the study's lock; calls must not be nested.

    Parameters
    ----------
    folder : Path
        The study's folder.
    patience_seconds : float
        Longest time to wait for another holder, in seconds.
    create : bool
        Whether the folder is created if it does not exist. A command that trains must not make
        a study again that was removed.

    Raises
    ------
    SeedlabError
        When another process keeps the lock, the file system has no locks, or the disk is full.
    FileNotFoundError
        When the folder does not exist and is not created.
    """
    path = folder / "study.lock"
    try:
        if create:
            folder.mkdir(parents=True, exist_ok=True)
        lock = LockFile(path)
        taken = lock.take(patience_seconds)
    except OSError as error:
        if error.errno in FULL:
            raise disk_full(folder, "taking the study's lock", error) from error
        raise
    if not taken:
        raise SeedlabError(
            f"another process has held {path} for {patience_seconds:g} s, which takes "
            "milliseconds otherwise; end or resume that process (it may be suspended) and try "
            "again."
        )
    try:
        yield
    finally:
        lock.release()
