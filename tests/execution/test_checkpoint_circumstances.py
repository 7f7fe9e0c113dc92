"""A run resumes from a checkpoint of the same circumstances, and otherwise starts over."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from seedlab.execution.run_pack import execute
from seedlab.reproduce.compare import compare, explain
from seedlab.reproduce.retrain import repeat
from seedlab.spec.pack import EngineSpec, Pack, Stage
from seedlab.store.study import StudyFolder
from tests.suites.stopping_cohort import cells

CPU = EngineSpec("packed", width=3, threads=1, device="cpu")
STACKED = dataclasses.replace(CPU, stack=3)
SERIAL = dataclasses.replace(CPU, name="serial")


@pytest.mark.parametrize(
    ("before", "after", "taken"),
    [
        (CPU, CPU, True),
        (CPU, dataclasses.replace(CPU, stack=1, threads=2), True),
        (CPU, STACKED, False),
        (STACKED, CPU, False),
        (STACKED, dataclasses.replace(STACKED, stack=2), False),
        (STACKED, STACKED, True),
        (CPU, SERIAL, False),
        (SERIAL, SERIAL, True),
        (SERIAL, dataclasses.replace(SERIAL, threads=2), False),
    ],
)
def test_a_run_goes_on_where_its_bits_would_be_the_same(
    before: EngineSpec, after: EngineSpec, taken: bool, tmp_path: Path
) -> None:
    """Paused by one engine, ended by another; the result is the one that verify trains."""
    runs, study, threads = (
        tuple(cells(3, 1)),
        StudyFolder(tmp_path / "study"),
        torch.get_num_threads(),
    )
    study.begin(runs)
    try:
        execute(Pack(runs, before, Stage(until=2)), study.folder, lambda event: None)
        execute(Pack(runs, after), study.folder, lambda event: None)
        for run in runs:
            record = study.records()[run.run_id]
            assert ("resumed_from" in record.provenance) is taken
            found = compare(study.read(run.run_id), repeat(study.read(run.run_id)))
            assert found.equal, explain(record, found)
    finally:
        torch.set_num_threads(threads)


def test_a_stack_that_paused_may_have_been_another(tmp_path: Path) -> None:
    """Three runs pause, one is promoted: a stack of three computed its first half."""
    runs, study = tuple(cells(3, 1)), StudyFolder(tmp_path / "study")
    study.begin(runs)
    execute(Pack(runs, STACKED, Stage(until=2)), study.folder, lambda event: None)
    execute(Pack(runs[:1], STACKED), study.folder, lambda event: None)
    record = study.records()[runs[0].run_id]
    assert record.provenance["narrowed"] is True
    filled = dataclasses.replace(STACKED, constant_width=True)
    other = StudyFolder(tmp_path / "other")
    other.begin(runs)
    execute(Pack(runs, filled, Stage(until=2)), other.folder, lambda event: None)
    execute(Pack(runs[:1], filled), other.folder, lambda event: None)
    record = other.records()[runs[0].run_id]
    assert (record.provenance["narrowed"], record.provenance["width"]) == (False, 3)
    assert compare(other.read(record.run_id), repeat(other.read(record.run_id))).equal
