"""`StudyFolder`: one multirun's folder, and all that is done with it.

It holds no open file and no lock between calls, so it can be copied to any process.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from seedlab.errors import CorruptRunError, SeedlabError, nearest
from seedlab.spec.run import RunSpec
from seedlab.store import claims
from seedlab.store import run_folders as runs
from seedlab.store.atomic_files import dump_json
from seedlab.store.claims import Claim
from seedlab.store.make_record import make_record
from seedlab.store.record import Record
from seedlab.store.study_plan import PlannedRun, extend_plan, read_plan

if TYPE_CHECKING:
    from seedlab.store.run_arrays import Arrays
    from seedlab.tasks.encoded import EncodedTask
    from seedlab.training.result import RunResult


@dataclass(frozen=True)
class StoredRun:
    """A run read back whole: its record and its arrays."""

    record: Record
    arrays: Arrays


class StudyFolder:
    """A study's folder.

    ``runs/<run_id>/`` holds one run each, ``stopped/<run_id>-<steps>/`` one that was stopped
    early, ``checkpoints/`` what runs go on from, ``decisions/`` what early stopping decided,
    ``claims/`` says what is being trained, ``tmp/`` what is being written, ``corrupt/`` what
    was found damaged, and ``study.json`` which runs are planned.

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

    def claim(self, run_id: str, until: int | None = None) -> Claim | None:
        """Claim a run to train it; released by ``with``, `Claim.release`, or death.

        Parameters
        ----------
        run_id : str
        until : int, optional
            How many updates it is to be trained for; by default to its end.

        Returns
        -------
        Claim or None
            None when a living process holds it, or when it has come so far: there is nothing
            to train in either case.
        """
        taken = claims.take(self.folder, run_id)
        if taken is None:
            return None
        # Looked up after claiming: it may have been finished since the caller looked.
        record = runs.load_or_set_aside(self.folder, run_id)
        if record is not None and record.has_reached(until):
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
        """Put a run on record: once and for all, or as stopped until it is trained on.

        Parameters
        ----------
        result : RunResult
            One that is ``paused`` is recorded as ``stopped``.
        task : EncodedTask
            The task that it was trained on.

        Returns
        -------
        Record
            The one in the study: an earlier one, if the run had already come so far.

        Raises
        ------
        SeedlabError
            When the disk is full, or the result does not fit the task.
        """
        from seedlab.store.run_arrays import encode

        record = make_record(result, task)
        files = {"config.json": dump_json(record.spec), **encode(result, task)}
        return runs.publish(self.folder, record, files)

    def run_folder(self, run_id: str) -> Path:
        """Return where a run's files lie once it is over."""
        return self.folder / "runs" / run_id

    def folder_of(self, record: Record) -> Path:
        """Return where the files lie that belong to a record."""
        return runs.folder_of(self.folder, record)

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
            run_id: runs.load_first(self.folder, candidates, full=full)
            for run_id, candidates in runs.folders(self.folder).items()
        }
        return {run_id: record for run_id, record in found.items() if record is not None}

    def recorded(self) -> list[str]:
        """Return the ids of the runs that have a folder, sound or not: cheaper than `finished`."""
        return list(runs.folders(self.folder))

    def record(self, run_id: str) -> Record | None:
        """Return what is on record of one run; None if nothing sound is."""
        return runs.load_or_set_aside(self.folder, run_id)

    def curve(self, record: Record, latest: int | None = None) -> dict[int, float]:
        """Return a run's scores by step (of `record.metric` on `record.split`), up to a step.

        A stopped run's end where its record does, even if it was trained on meanwhile.

        Raises
        ------
        FileNotFoundError
            When nothing is on record of the run any more.
        """
        from seedlab.store.run_arrays import from_parquet

        own = None if record.is_over else record.steps
        last = min((step for step in (latest, own) if step is not None), default=math.inf)
        return {
            row["step"]: row["value"]
            for row in from_parquet(self._evaluations(record)).to_pylist()
            if (row["split"], row["metric"]) == (record.split, record.metric)
            and row["step"] <= last
        }

    def _evaluations(self, record: Record) -> bytes:
        folder = self.folder_of(record)
        try:
            return (folder / "evaluations.parquet").read_bytes()
        except FileNotFoundError:
            # A stopped run that another process trained on: its new folder, which begins with the
            # same evaluations, was put beside this one, and who opened the study next removed this.
            newer = self.record(record.run_id)
            if newer is None or not (newer.is_over or newer.steps > record.steps):
                raise
        return self._evaluations(newer)

    def read(self, run_id: str) -> StoredRun:
        """Read a run with its arrays, every file checked by its hash.

        Raises
        ------
        SeedlabError
            When there is no such run; `CorruptRunError` when it was damaged (it is in
            ``corrupt/`` then).
        """
        from seedlab.store.run_arrays import DIAGNOSTICS, NAMES, decode

        candidates = runs.folders(self.folder).get(run_id)
        if candidates is None:
            raise SeedlabError(
                f"study '{self.name}' has no finished run '{run_id}'.{self._hint(run_id)}"
            )
        record = runs.load_first(self.folder, candidates, full=True)
        if record is None:
            raise CorruptRunError(
                f"run '{run_id}' of study '{self.name}' was damaged and is now in "
                f"{self.folder / 'corrupt'}; issue the study's command again to train it anew."
            )
        folder = self.folder_of(record)
        names = (*NAMES, *(name for name in DIAGNOSTICS if (folder / name).is_file()))
        return StoredRun(record, decode({n: (folder / n).read_bytes() for n in names}))

    def find_run(self, text: str) -> str:
        """Return the id of the run that `text` names: its id, or an unambiguous start of it.

        Raises
        ------
        SeedlabError
            When no run or several start so.
        """
        matches = [run_id for run_id in runs.folders(self.folder) if run_id.startswith(text)]
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
        there = list(runs.folders(self.folder))
        return nearest(text, there) or f" It has {len(there)}; 'seedlab export' lists them."


def find_study(
    name_or_folder: str | os.PathLike[str], studies_dir: str | os.PathLike[str] = "studies"
) -> StudyFolder:
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
            return StudyFolder(candidate)
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
    return any((folder / name).exists() for name in ("study.json", "runs", "stopped"))
