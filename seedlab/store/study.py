"""`Study`: one multirun's folder, and all that is done with it.

It holds no open file and no lock between calls, so it can be copied to any process.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from seedlab.errors import CorruptRunError, SeedlabError, nearest
from seedlab.spec import RunSpec
from seedlab.store import claims, runs
from seedlab.store.claims import Claim
from seedlab.store.files import dump_json
from seedlab.store.judging import make_record
from seedlab.store.plan import PlannedRun, extend_plan, read_plan
from seedlab.store.record import Record

if TYPE_CHECKING:
    from seedlab.store.arrays import Arrays
    from seedlab.tasks.encoded import EncodedTask
    from seedlab.train.result import RunResult


@dataclass(frozen=True)
class StoredRun:
    """A run read back whole: its record and its arrays."""

    record: Record
    arrays: Arrays


class Study:
    """A study's folder.

    ``runs/<run_id>/`` holds one run each, ``claims/`` says what is being trained,
    ``tmp/`` what is being written, ``corrupt/`` what was found damaged, and
    ``study.json`` which runs are planned.

    Parameters
    ----------
    folder : path
        Made when something is first written.
    """

    def __init__(self, folder: str | os.PathLike[str]):
        self.folder = Path(folder)

    def __repr__(self) -> str:
        return f"Study({str(self.folder)!r})"

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.resolve().name

    def plan(self, specs: Iterable[RunSpec]) -> None:
        """Open the study for writing: add runs to its plan, clear what dead writers left."""
        extend_plan(self.folder, specs)
        runs.sweep(self.folder)

    def planned(self) -> dict[str, PlannedRun]:
        """Return the planned runs by id, in the order of planning."""
        return read_plan(self.folder)

    def claim(self, run_id: str) -> Claim | None:
        """Claim a run to train it; released by ``with``, `Claim.release`, or death.

        Returns
        -------
        Claim or None
            None when a living process holds it, or when it is finished: there is nothing
            to train in either case.
        """
        taken = claims.take(self.folder, run_id)
        if taken is None:
            return None
        # Looked up after claiming: it may have been finished since the caller looked.
        if runs.load_or_set_aside(self.folder, run_id) is not None:
            taken.release()
            return None
        return taken

    def claimed(self) -> set[str]:
        """Return the ids of the runs that living processes are training now."""
        return set(claims.owners(self.folder))

    def owners(self) -> dict[str, str]:
        """Return the claimed runs with their holder's ``"host pid"``."""
        return claims.owners(self.folder)

    def write(self, result: RunResult, task: EncodedTask) -> Record:
        """Put a run on record, once and for all.

        Parameters
        ----------
        result : RunResult
        task : EncodedTask
            The task that it was trained on.

        Returns
        -------
        Record
            The one in the study: an earlier one, if the run had already been finished.

        Raises
        ------
        SeedlabError
            When the disk is full, or the result does not fit the task.
        """
        from seedlab.store.arrays import encode

        record = make_record(result, task)
        files = {"config.json": dump_json(record.spec), **encode(result, task)}
        return runs.publish(self.folder, record, files)

    def run_folder(self, run_id: str) -> Path:
        """Return where a run's files lie once it is on record."""
        return self.folder / "runs" / run_id

    def finished(self, *, full: bool = False) -> dict[str, Record]:
        """Return every run on record by id (diverged and stopped ones too), sorted by id.

        Damaged folders are reported, set aside in ``corrupt/`` and left out.

        Parameters
        ----------
        full : bool
            Check every file by its hash. Otherwise records are checked against their own
            checksum and the other files by their sizes.
        """
        found = {
            run_id: runs.load_or_set_aside(self.folder, run_id, full=full)
            for run_id in runs.run_ids(self.folder)
        }
        return {run_id: record for run_id, record in found.items() if record is not None}

    def read(self, run_id: str) -> StoredRun:
        """Read a run with its arrays, every file checked by its hash.

        Raises
        ------
        SeedlabError
            When there is no such run; `CorruptRunError` when it was damaged (it is in
            ``corrupt/`` then).
        """
        from seedlab.store.arrays import DIAGNOSTICS, NAMES, decode

        folder = self.run_folder(run_id)
        if not folder.is_dir():
            raise SeedlabError(
                f"study '{self.name}' has no finished run '{run_id}'.{self._hint(run_id)}"
            )
        record = runs.load_or_set_aside(self.folder, run_id, full=True)
        if record is None:
            raise CorruptRunError(
                f"run '{run_id}' of study '{self.name}' was damaged and is now in "
                f"{self.folder / 'corrupt'}; issue the study's command again to train it anew."
            )
        names = (*NAMES, *(name for name in DIAGNOSTICS if (folder / name).is_file()))
        return StoredRun(record, decode({n: (folder / n).read_bytes() for n in names}))

    def find_run(self, text: str) -> str:
        """Return the id of the run that `text` names: its id, or an unambiguous start of it.

        Raises
        ------
        SeedlabError
            When no run or several start so.
        """
        matches = [run_id for run_id in runs.run_ids(self.folder) if run_id.startswith(text)]
        if len(matches) == 1 and text:
            return matches[0]
        if not matches:
            raise SeedlabError(
                f"study '{self.name}' has no finished run '{text}'.{self._hint(text)}"
            )
        raise SeedlabError(
            f"'{text}' is the start of {len(matches)} runs of study '{self.name}' "
            f"({', '.join(matches[:3])}{', ...' if len(matches) > 3 else ''}); give more digits."
        )

    def corrupt(self) -> list[str]:
        """Return the names in ``corrupt/``, sorted."""
        folder = self.folder / "corrupt"
        return sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []

    def _hint(self, text: str) -> str:
        there = runs.run_ids(self.folder)
        return nearest(text, there) or f" It has {len(there)}; 'seedlab export' lists them."


def find_study(
    name_or_folder: str | os.PathLike[str], studies_dir: str | os.PathLike[str] = "studies"
) -> Study:
    """Return the study of that name, or in that folder.

    Parameters
    ----------
    name_or_folder : str or path
        A name in `studies_dir`, or a study's folder.
    studies_dir : path

    Raises
    ------
    SeedlabError
        When there is none, with the nearest names that there are.
    """
    folder, root = Path(name_or_folder), Path(studies_dir)
    for candidate in (root / folder, folder):
        if _is_study(candidate):
            return Study(candidate)
    names = sorted(p.name for p in root.iterdir() if _is_study(p)) if root.is_dir() else []
    if folder.is_dir():
        problem = f"folder '{folder}' is no study (it has neither study.json nor runs/)"
    else:
        problem = f"study '{name_or_folder}' does not exist in {root}"
    known = f"studies there: {', '.join(names[:10])}" if names else f"{root} holds no studies"
    raise SeedlabError(
        f"{problem}; {known}. Give a study's name or its folder."
        f"{nearest(str(name_or_folder), names)}"
    )


def _is_study(folder: Path) -> bool:
    return (folder / "study.json").is_file() or (folder / "runs").is_dir()
