"""Checkpoints of runs that may be promoted: few, enough after a kill, not needed to decide."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from seedlab.early_stopping.cohort import Cohort
from seedlab.execution.run_pack import execute
from seedlab.spec.pack import Pack, Stage
from seedlab.store.checkpoints import Checkpoints
from seedlab.store.study import StudyFolder
from tests.suites.disk import small_disk
from tests.suites.stopping_cohort import ENGINE, POLICY, assert_same, cells, drive, survivors


class KilledError(BaseException):
    """Ends a training at once, as a kill does: nothing catches it."""


def test_no_more_checkpoints_are_kept_than_runs_that_may_be_promoted(tmp_path: Path) -> None:
    cohort = Cohort(tmp_path / "study", cells(), POLICY, ENGINE)
    most = []

    def look(event: object) -> None:
        most.append(len(Checkpoints(cohort.study).files()))

    StudyFolder(cohort.study).begin(cohort.started)
    for pack in cohort.packs((), 1, 2):
        execute(pack, cohort.study, look)
        assert len(Checkpoints(cohort.study).files()) <= 2
    # Two runs may be promoted, and one checkpoint may be half written.
    assert 1 <= max(most) <= 3


def test_checkpoints_on_the_way_lose_nothing_to_a_kill(
    whole: StudyFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at step 7 with checkpoints every 3: continues from 6, to the same bits."""
    pack = Pack(tuple(cells(2, 1)), ENGINE, Stage(every=3))
    study = StudyFolder(tmp_path / "study")

    def kill(event: object) -> None:
        if getattr(event, "step", 0) == 8:
            raise KilledError

    study.begin(pack.runs)
    with pytest.raises(KilledError):
        execute(pack, study.folder, kill)
    assert study.records() == {}
    assert {file.step for file in Checkpoints(study.folder).files()} == {6}
    execute(pack, study.folder, lambda event: None)
    for run in pack.runs:
        stored = study.read(run.run_id)
        assert stored.record.provenance["resumed_from"] == 6
        assert_same(stored, whole.read(run.run_id))
    assert Checkpoints(study.folder).files() == []


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Room for the records and two checkpoints, not for three."""
    with small_disk(tmp_path / "disk", "size=4m") as place:
        yield place


def test_a_disk_that_is_full_of_checkpoints_changes_no_decision_and_no_bit(
    whole: StudyFolder, expected: list[str], disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cohort = Cohort(disk / "study", cells(), POLICY, ENGINE)
    (disk / "study").mkdir()
    (disk / "ballast").write_bytes(os.urandom(5 * 2**19))
    drive(cohort)
    assert "has no checkpoint after step 4" in caplog.text
    study = StudyFolder(cohort.study)
    assert survivors(study) == set(expected)
    for run_id in expected:
        stored = study.read(run_id)
        assert_same(stored, whole.read(run_id))
    assert study.corrupt() == []
