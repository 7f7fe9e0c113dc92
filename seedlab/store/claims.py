"""Claims: locks on runs, so that two processes never train the same run.

A claim is a lock on a file in ``claims/``. The system releases it when its holder
dies, for any reason; its age plays no part. A claim does not say whether a run is on record.
"""

from __future__ import annotations

import logging
import os
import socket
from pathlib import Path
from types import TracebackType

from seedlab.errors import SeedlabError
from seedlab.lock_files import LockFile
from seedlab.store.atomic_files import FULL, disk_full
from seedlab.store.study_lock import study_lock

# Longest time in seconds for which a reader waits for the study's lock.
_READER_SECONDS = 2.0
log = logging.getLogger(__name__)


class Claim:
    """A run that this process trains.

    It ends with `release`, at the end of a ``with`` block, or when the process dies.

    Attributes
    ----------
    run_id : str
    """

    def __init__(self, study: Path, run_id: str, lock: LockFile):
        self.run_id = run_id
        self._study = study
        self._lock = lock

    def release(self) -> None:
        """Release the run; a second call does nothing."""
        if not self._lock.held:
            return
        try:
            # Lock files are opened under the study's lock only. Otherwise a process could
            # lock a file that has just been unlinked.
            with study_lock(self._study, create=False):
                _owner_file(self._study, self.run_id).unlink(missing_ok=True)
                self._lock.path.unlink(missing_ok=True)
                self._lock.release()
        except FileNotFoundError:
            log.debug("the study %s was removed while run %s trained", self._study, self.run_id)
        finally:
            self._lock.release()

    def __enter__(self) -> Claim:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


def take(study: Path, run_id: str) -> Claim | None:
    """Claim a run without waiting.

    Parameters
    ----------
    study : Path
        The study's folder.
    run_id : str

    Returns
    -------
    Claim or None
        None when a living process (this one included) holds the run.
    """
    with study_lock(study):
        lock = _try_lock(study, run_id)
        if lock is None:
            return None
        try:
            _owner_file(study, run_id).write_text(f"{socket.gethostname()} {os.getpid()}")
        except OSError as error:
            lock.release()
            if error.errno in FULL:
                raise disk_full(study, f"claiming run {run_id}", error) from error
            raise
    return Claim(study, run_id, lock)


def owners(study: Path) -> dict[str, str]:
    """Return the claimed runs, each with its holder's ``"host pid"``.

    Claims of processes that have died are removed. A study without write permission shows none.
    Where the study can't be locked, its claims are read as they stand: those of dead processes
    of this machine are left out.
    """
    folder = study / "claims"
    if not os.access(folder, os.W_OK) or not any(folder.iterdir()):
        return {}
    try:
        return _checked_owners(study, folder)
    except SeedlabError:
        log.warning(
            "study %s can't be locked now, so its claims are read as they stand: a run may count "
            "as running although its process was killed",
            study,
        )
        return {
            path.stem: owner
            for path in sorted(folder.glob("*.owner"))
            if _may_live(owner := _text(path))
        }


def _checked_owners(study: Path, folder: Path) -> dict[str, str]:
    found = {}
    with study_lock(study, _READER_SECONDS):
        for path in sorted(folder.glob("*.lock")):
            lock = _try_lock(study, path.stem)
            owner = _owner_file(study, path.stem)
            if lock is None:
                found[path.stem] = _text(owner)
                continue
            owner.unlink(missing_ok=True)
            path.unlink(missing_ok=True)
            lock.release()
    return found


def _try_lock(study: Path, run_id: str) -> LockFile | None:
    path = study / "claims" / f"{run_id}.lock"
    try:
        path.parent.mkdir(exist_ok=True)
        lock = LockFile(path)
        return lock if lock.take() else None
    except OSError as error:
        if error.errno in FULL:
            raise disk_full(study, f"claiming run {run_id}", error) from error
        raise SeedlabError(
            f"run {run_id} can't be claimed in {path.parent}: {error}; the folder must be writable."
        ) from error


def _text(owner: Path) -> str:
    return owner.read_text() if owner.exists() else ""


def _may_live(owner: str) -> bool:
    """Return whether a holder, ``"host pid"``, may live: one of another machine always may."""
    host, _, pid = owner.partition(" ")
    if host != socket.gethostname() or not pid.isdigit():
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _owner_file(study: Path, run_id: str) -> Path:
    return study / "claims" / f"{run_id}.owner"
