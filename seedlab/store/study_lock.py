"""The study's lock: held for the milliseconds in which folders are put in place.

Everything that must not interleave (publishing a run, setting a corrupt one aside,
taking a claim, looking who holds one, changing the plan) happens under it. It is never
held while something is trained or a large file is written, and the system releases it
when its holder dies.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from seedlab.errors import SeedlabError
from seedlab.store.atomic_files import FULL, disk_full

# Far longer than any holder needs; a process that was suspended with the lock in its
# hands is the only way to get here.
PATIENCE_SECONDS = 120.0


@contextmanager
def study_lock(folder: Path, patience_seconds: float = PATIENCE_SECONDS) -> Iterator[None]:
    """Hold the study's lock; not to be nested.

    Parameters
    ----------
    folder : Path
        The study; made where it does not exist.
    patience_seconds : float
        How long to wait for another holder.

    Raises
    ------
    SeedlabError
        When the lock stays taken, or the disk is full.
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
