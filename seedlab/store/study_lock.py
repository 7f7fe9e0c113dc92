"""`study_lock`: the lock of a study, held for the milliseconds in which its folders change.

It protects publishing a run, setting a damaged one aside, taking and listing claims, and
changing the plan. It is never held during training or while a large file is written. The
system releases it when its holder dies.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from seedlab.errors import SeedlabError
from seedlab.store.atomic_files import FULL, disk_full

# Far longer than any holder needs: only a process that was suspended while holding the
# lock makes another one wait this long.
PATIENCE_SECONDS = 120.0


@contextmanager
def study_lock(folder: Path, patience_seconds: float = PATIENCE_SECONDS) -> Iterator[None]:
    """Hold the study's lock; calls must not be nested.

    Parameters
    ----------
    folder : Path
        The study's folder; created if it does not exist.
    patience_seconds : float
        Longest time to wait for another holder, in seconds.

    Raises
    ------
    SeedlabError
        When another process keeps the lock, or the disk is full.
    """
    path = folder / "study.lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        lock.acquire(timeout=patience_seconds, poll_interval=0.005)
    except Timeout as error:
        raise SeedlabError(
            f"another process has held {path} for {patience_seconds:g} s, which takes "
            "milliseconds otherwise; end or resume that process (it may be suspended) and try "
            "again."
        ) from error
    except OSError as error:
        if error.errno in FULL:
            raise disk_full(folder, "taking the study's lock", error) from error
        raise
    try:
        yield
    finally:
        lock.release()
