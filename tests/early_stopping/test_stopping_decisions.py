"""A decision is made once, and it is the same whatever happens meanwhile."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from seedlab.early_stopping.cohort import Cohort
from seedlab.store.checkpoints import Checkpoints
from seedlab.store.study import StudyFolder
from tests.suites.stopping_cohort import ENGINE, POLICY, STEP, cells, drive, train


def test_a_decision_on_file_is_obeyed_and_nothing_is_trained_twice(tmp_path: Path) -> None:
    cohort = Cohort(tmp_path / "study", cells(), POLICY, ENGINE)
    drive(cohort)
    before = {p: p.stat().st_mtime_ns for p in (cohort.study / "runs").rglob("*.*")}
    again = Cohort(tmp_path / "study", cells(), POLICY, ENGINE)
    assert drive(again) == []
    assert before == {p: p.stat().st_mtime_ns for p in (cohort.study / "runs").rglob("*.*")}


def test_a_damaged_decision_is_made_again_and_is_the_same(
    expected: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cohort = Cohort(tmp_path / "study", cells(), POLICY, ENGINE)
    train(cohort.study, cohort.packs((), 1, 2))
    cohort.packs((), 1, 2)
    (path,) = (cohort.study / "decisions" / cohort.name).glob("all-step-*.json")
    sound = json.loads(path.read_text())
    path.write_text(path.read_text().replace(expected[0], expected[1]))
    cohort.packs((), 1, 2)
    assert "is damaged (its checksum differs)" in caplog.text
    assert json.loads(path.read_text()) == sound
    assert set(sound["content"]["goes_on"]) == set(expected)


def test_another_decision_is_made_for_a_wider_grid(tmp_path: Path) -> None:
    """Runs on record are used, and all cells are compared."""
    study = tmp_path / "study"
    small = Cohort(study, cells(2), POLICY, ENGINE)
    drive(small)
    wide = Cohort(study, cells(3), POLICY, ENGINE)
    assert wide.name != small.name
    first, *_ = drive(wide)
    assert sum(len(pack.runs) for pack in first) == 2
    decided = wide.decided(wide.brackets[0], wide.brackets[0].rungs[0])
    assert decided is not None
    assert len(decided["ranking"]) == 6


def test_a_run_that_can_not_be_trained_ranks_last_and_is_not_waited_for(
    expected: list[str], tmp_path: Path
) -> None:
    cohort = Cohort(tmp_path / "study", cells(), POLICY, ENGINE)
    packs = cohort.packs((), 1, 2)
    left = [
        dataclasses.replace(pack, runs=tuple(r for r in pack.runs if r.run_id != expected[0]))
        for pack in packs
    ]
    train(cohort.study, left)
    assert [[r.run_id for r in p.runs] for p in cohort.packs((), 1, 2)] == [[expected[0]]]
    stage = cohort.packs((expected[0],), 1, 2)
    going = {run.run_id for pack in stage for run in pack.runs}
    assert len(going) == 2
    assert expected[0] not in going
    train(cohort.study, stage)
    # It is owed its row: the next command brings it to the rung, and it changes nothing.
    later = cohort.packs((), 1, 2)
    assert [(p.runs[0].run_id, p.stage.until, p.stage.keep) for p in later] == [
        (expected[0], STEP, 0)
    ]
    train(cohort.study, later)
    assert cohort.packs((), 1, 2) == []
    assert StudyFolder(cohort.study).records()[expected[0]].status == "stopped"
    assert Checkpoints(cohort.study).files() == []


def test_a_diverged_run_ranks_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its loss becomes NaN after its best evaluation; it is over, and is not promoted."""
    cohort = Cohort(tmp_path / "study", cells(), POLICY, ENGINE)
    study = StudyFolder(cohort.study)
    train(cohort.study, cohort.packs((), 1, 2))
    records = study.records()
    curves = {run: study.curve(record, STEP) for run, record in records.items()}
    victim = max(curves, key=lambda run: max(curves[run].values()))
    monkeypatch.setattr(
        StudyFolder,
        "curve",
        lambda self, record, latest=None: {
            step: value
            for step, value in curves[record.run_id].items()
            if record.run_id != victim or step < STEP
        },
    )
    monkeypatch.setattr(
        StudyFolder,
        "records",
        lambda self: {
            run: dataclasses.replace(r, status="diverged") if run == victim else r
            for run, r in records.items()
        },
    )
    going = {run.run_id for pack in cohort.packs((), 1, 2) for run in pack.runs}
    assert len(going) == 2
    assert victim not in going
    decision = cohort.decided(cohort.brackets[0], cohort.brackets[0].rungs[0])
    assert decision is not None
    assert decision["ranking"][-1]["run"] == victim
