"""The plan of a study: the list of its runs, in ``study.json``.

It does not contain the status of runs. Extending a study adds runs to the plan; no run is ever
removed.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from seedlab.errors import LostError, SeedlabError
from seedlab.fields import split_known
from seedlab.spec.run import RunSpec
from seedlab.store.atomic_files import (
    FULL,
    UNPARSABLE,
    disk_full,
    dump_json,
    replace_file,
    unreadable,
)
from seedlab.store.study_lock import study_lock

SCHEMA_VERSION = 1
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PlannedRun:
    """A run in the plan."""

    run_id: str
    task: str
    model: str
    recipe: str
    seeds: dict[str, int]
    """one per stream, defaults filled in"""
    extra: dict[str, Any] = field(default_factory=dict)
    """unknown entries, written by another release; `to_dict` returns them too"""

    def to_dict(self) -> dict[str, Any]:
        """Return values for JSON, without the run id, which is their key in the plan."""
        values = dataclasses.asdict(self)
        del values["run_id"]
        extra = values.pop("extra")
        return {**values, **extra}

    @classmethod
    def from_dict(cls, run_id: str, values: dict[str, Any]) -> PlannedRun:
        """Return the planned run from the values that `to_dict` returned, in any release.

        Raises
        ------
        TypeError
            When a field other than `extra` is missing.
        """
        names = {item.name for item in dataclasses.fields(cls)} - {"run_id", "extra"}
        known, extra = split_known(values, names)
        return cls(run_id=run_id, **known, extra=extra)

    @classmethod
    def of(cls, spec: RunSpec) -> PlannedRun:
        """Return the planned run of a specification."""
        seeds = dataclasses.asdict(spec.seeds.resolved())
        return cls(spec.run_id, spec.task.name, spec.model.name, spec.recipe.name, seeds)


def read_plan(study: Path) -> dict[str, PlannedRun]:
    """Return the planned runs by id, in the order in which they were planned.

    A damaged plan is reported and counts as empty. The next command that runs the study writes it
    again; results do not depend on it.
    """
    return _runs(_read(study))


def check_begun(study: Path) -> None:
    """Refuse to go on without a study that was opened for writing.

    Raises
    ------
    LostError
        When its plan is gone. A write would make another study under its name.
    """
    if not (study / "study.json").is_file():
        raise LostError(
            f"study {study} is gone: it was removed, renamed or replaced while this command ran, "
            "and nothing more is written. Put it back under this name, or issue the same command "
            "again to train the missing runs."
        )


def extend_plan(study: Path, specs: Iterable[RunSpec]) -> None:
    """Add runs to the plan; runs that are already in it do not change.

    Raises
    ------
    SeedlabError
        When the disk is full, or the plan was written by a newer seedlab.
    """
    wanted = {run.run_id: run for run in map(PlannedRun.of, specs)}
    with study_lock(study):
        values = _read(study)
        if values is None and (study / "study.json").exists():
            _set_aside(study)
        plan = _runs(values)
        if values is not None and wanted.keys() <= plan.keys():
            return
        created = values["created"] if values else datetime.now(UTC).isoformat(timespec="seconds")
        merged = {**plan, **{run_id: wanted[run_id] for run_id in wanted if run_id not in plan}}
        lines = {run_id: run.to_dict() for run_id, run in merged.items()}
        # Unknown entries, written by another release, are kept.
        extra = {k: v for k, v in (values or {}).items() if k not in ("created", "plan")}
        data = {**extra, "schema_version": SCHEMA_VERSION, "created": created, "plan": lines}
        try:
            replace_file(study / "study.json", dump_json(data))
        except OSError as error:
            if error.errno in FULL:
                raise disk_full(study, "writing the plan", error) from error
            raise


def _read(study: Path) -> dict[str, Any] | None:
    path = study / "study.json"
    try:
        values = json.loads(path.read_bytes())
        version = int(values["schema_version"])
        if version <= SCHEMA_VERSION:
            _runs(values)
            str(values["created"])
    except FileNotFoundError:
        return None
    except (*UNPARSABLE, IsADirectoryError) as error:
        log.warning("the plan %s is damaged (%s); the next run writes it again", path, error)
        return None
    except OSError as error:
        raise unreadable(path, error) from error
    if version > SCHEMA_VERSION:
        raise SeedlabError(
            f"{path} has schema version {version}; this seedlab reads up to {SCHEMA_VERSION}. "
            "Use the seedlab that wrote it, or a newer one."
        )
    return dict(values)


def _runs(values: dict[str, Any] | None) -> dict[str, PlannedRun]:
    if values is None:
        return {}
    return {run_id: PlannedRun.from_dict(run_id, line) for run_id, line in values["plan"].items()}


def _set_aside(study: Path) -> None:
    corrupt = study / "corrupt"
    corrupt.mkdir(exist_ok=True)
    number = sum(1 for _ in corrupt.glob("study.json*"))
    os.replace(study / "study.json", corrupt / f"study.json.{number + 1}")
