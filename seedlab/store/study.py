"""`StudyFolder`: reads and writes the folder of one study.

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
from seedlab.store import claims, run_folders
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
    """A stored run: its record and its arrays."""

    record: Record
    arrays: Arrays


class StudyFolder:
    """A study's folder on disk.

    It contains:

    - ``study.json``: the plan, a list of the study's runs;
    - ``runs/<run_id>/``: one finished or diverged run each;
    - ``stopped/<run_id>-<steps>/``: one run each that early stopping stopped;
    - ``checkpoints/``: the files from which runs resume;
    - ``decisions/``: the decisions of early stopping;
    - ``claims/``: a lock for every run that a process trains now;
    - ``tmp/``: files that are being written;
    - ``corrupt/``: damaged folders.

    Parameters
    ----------
    folder : path
        Created by the first write.
    """

    def __init__(self, folder: str | os.PathLike[str]):
        self.folder = Path(folder)

    def __repr__(self) -> str:
        return f"StudyFolder({str(self.folder)!r})"

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.resolve().name

    def begin(self, specs: Iterable[RunSpec]) -> None:
        """Open the study for writing: add runs to its plan, remove leftovers of dead processes."""
        extend_plan(self.folder, specs)
        run_folders.sweep(self.folder)
        # A process that dies between a record and the claim's end leaves the claim's files.
        claims.owners(self.folder)

    def planned(self) -> dict[str, PlannedRun]:
        """Return the planned runs by id, in the order of planning."""
        return read_plan(self.folder)

    def claim(self, run_id: str, until: int | None = None) -> Claim | None:
        """Claim a run to train it.

        Parameters
        ----------
        run_id : str
        until : int, optional
            Number of updates to train up to; by default the run's end.

        Returns
        -------
        Claim or None
            None when a living process holds the run, or when the run on record has already
            reached `until`: then there is nothing to train.
        """
        taken = claims.take(self.folder, run_id)
        if taken is None:
            return None
        # Read after claiming: another process may have published the run in the meantime.
        record = run_folders.load_or_set_aside(self.folder, run_id)
        if record is not None and record.has_reached(until):
            taken.release()
            return None
        return taken

    def owners(self) -> dict[str, str]:
        """Return the claimed runs with their holder's ``"host pid"``."""
        return claims.owners(self.folder)

    def write(self, result: RunResult, task: EncodedTask) -> Record:
        """Put a run on record; a stopped run can be resumed and recorded again.

        Parameters
        ----------
        result : RunResult
        task : EncodedTask
            The run's training task.

        Returns
        -------
        Record
            The record in the study. It is an earlier one if the study already had the run with
            as many steps.

        Raises
        ------
        SeedlabError
            When the disk is full, or the result does not fit the task.
        """
        from seedlab.store.run_arrays import encode

        record = make_record(result, task)
        files = {"config.json": dump_json(record.spec), **encode(result, task)}
        return run_folders.publish(self.folder, record, files)

    def run_folder(self, run_id: str) -> Path:
        """Return the folder of a finished or diverged run, whether or not it exists."""
        return self.folder / "runs" / run_id

    def folder_of(self, record: Record) -> Path:
        """Return the folder of the run with this record."""
        return run_folders.folder_of(self.folder, record)

    def records(self) -> dict[str, Record]:
        """Return the records of all runs by id, sorted: finished, diverged and stopped.

        Every file is checked by its hash. A damaged run is reported, moved to ``corrupt/`` and left
        out: it is missing until it is trained again. All readers of a study decide it here.
        """
        return run_folders.load_all(self.folder)

    def recorded(self) -> list[str]:
        """Return the ids of the runs with a folder, valid or not; cheaper than `records`."""
        return list(run_folders.folders(self.folder))

    def record(self, run_id: str) -> Record | None:
        """Return the record of one run; None without a valid folder."""
        return run_folders.load_or_set_aside(self.folder, run_id)

    def curve(self, record: Record, latest: int | None = None) -> dict[int, float]:
        """Return a run's scores by step (`record.metric` on `record.split`).

        Parameters
        ----------
        record : Record
            The scores of a stopped run end at `record.steps`, even if it was resumed since.
        latest : int, optional
            Last step.

        Raises
        ------
        FileNotFoundError
            When the run is no longer on record.
        """
        from seedlab.store.run_arrays import from_parquet

        own = None if record.is_over else record.steps
        last = min((step for step in (latest, own) if step is not None), default=math.inf)
        try:
            evaluations = from_parquet(self._evaluations(record)).to_pylist()
        except CorruptRunError:
            self.read(record.run_id)  # compares hashes, sets the run aside and names the remedy
            raise
        return {
            row["step"]: row["value"]
            for row in evaluations
            if (row["split"], row["metric"]) == (record.split, record.metric)
            and row["step"] <= last
        }

    def _evaluations(self, record: Record) -> bytes:
        folder = self.folder_of(record)
        try:
            return (folder / "evaluations.parquet").read_bytes()
        except FileNotFoundError:
            # Another process resumed this stopped run and published a second folder, which
            # begins with the same evaluations. A third process then removed the first folder.
            newer = self.record(record.run_id)
            if newer is None or not (newer.is_over or newer.steps > record.steps):
                raise
        return self._evaluations(newer)

    def read(self, run_id: str) -> StoredRun:
        """Read a run with its arrays; every file is checked by its hash.

        Raises
        ------
        SeedlabError
            When no such run is on record.
        CorruptRunError
            When the run is damaged; it is moved to ``corrupt/``.
        """
        from seedlab.store.run_arrays import DIAGNOSTICS, NAMES, decode

        record = run_folders.load_or_set_aside(self.folder, run_id)
        if record is None:
            raise self._no_run(run_id)
        folder = self.folder_of(record)
        names = (*NAMES, *(name for name in DIAGNOSTICS if (folder / name).is_file()))
        return StoredRun(record, decode({n: (folder / n).read_bytes() for n in names}))

    def find_run(self, text: str) -> str:
        """Return the id of the run whose id starts with `text`.

        Raises
        ------
        SeedlabError
            When no id starts with `text`, or several do.
        """
        matches = [run_id for run_id in run_folders.folders(self.folder) if run_id.startswith(text)]
        if len(matches) == 1 and text:
            return matches[0]
        if not matches:
            raise self._no_run(text)
        raise SeedlabError(
            f"'{text}' is the start of {len(matches)} runs of study '{self.name}' "
            f"({', '.join(matches[:3])}{', ...' if len(matches) > 3 else ''}); give more digits."
        )

    def corrupt(self) -> list[str]:
        """Return the names in ``corrupt/``, sorted."""
        folder = self.folder / "corrupt"
        return sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []

    def _no_run(self, text: str) -> SeedlabError:
        """Return the refusal of a run that is not on record, or that was damaged."""
        corrupt = self.folder / "corrupt"
        damaged = {name[:20] for name in self.corrupt() if text and name.startswith(text)}
        damaged |= {run for run in run_folders.folders(self.folder) if run == text}
        if damaged:
            return CorruptRunError(
                f"run '{min(damaged)}' of study '{self.name}' was damaged and is now in "
                f"{corrupt}; issue the study's command again to train it again."
            )
        problem = f"study '{self.name}' has no run '{text}'"
        there = list(run_folders.folders(self.folder))
        if not there:
            return SeedlabError(f"{problem}; no run of it is on record yet: train one first.")
        listed = f"; `seedlab export` lists the ids of its {len(there)} runs."
        return SeedlabError(f"{problem}{listed}{nearest(text, there)}")


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
        When the study does not exist; the message suggests similar names.
    """
    folder, root = Path(name_or_folder), Path(studies_dir)
    for candidate in (root / folder, folder):
        if is_study(candidate):
            return StudyFolder(candidate)
    names = sorted(p.name for p in root.iterdir() if is_study(p)) if root.is_dir() else []
    if folder.is_dir():
        problem = f"folder '{folder}' is no study (it has neither study.json nor runs/)"
    else:
        problem = f"study '{name_or_folder}' does not exist in {root}"
    known = (
        f"studies there: {', '.join(names[:10])}" if names else f"folder '{root}' holds no studies"
    )
    raise SeedlabError(
        f"{problem}; {known}. Give a study's name or its folder."
        f"{nearest(str(name_or_folder), names)}"
    )


def is_study(folder: Path) -> bool:
    """Return whether a folder holds a study: a plan, or runs."""
    return any((folder / name).exists() for name in ("study.json", "runs", "stopped"))
