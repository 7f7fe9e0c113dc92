"""Early stopping on the embedded task leaves the bits of the full grid."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from seedlab.early_stopping.cohort import Cohort
from seedlab.reproduce.compare import compare
from seedlab.reproduce.retrain import repeat
from seedlab.spec.early_stopping import EarlyStoppingSpec
from seedlab.spec.pack import form_packs
from seedlab.store.checkpoints import Checkpoints
from seedlab.store.chosen import scored
from seedlab.store.study import StudyFolder
from tests.suites.stopping_cohort import (
    ENGINE,
    POLICY,
    STEP,
    assert_same,
    cells,
    drive,
    survivors,
    train,
)


@pytest.mark.parametrize("engine", ["packed", "serial"])
def test_survivors_are_bit_equal_to_the_full_grid(
    engine: str, whole: StudyFolder, expected: list[str], tmp_path: Path
) -> None:
    spec = dataclasses.replace(ENGINE, name=engine)
    cohort = Cohort(tmp_path / "study", cells(), POLICY, spec)
    reference = whole
    if engine == "serial":
        reference = StudyFolder(tmp_path / "serial")
        train(reference.folder, form_packs([c for c in cells() if c.run_id in expected], spec))
    stages = drive(cohort)
    study = StudyFolder(cohort.study)
    records = study.records()
    if engine == "packed":
        assert survivors(study) == set(expected)
    for run_id in survivors(study) & set(reference.records()):
        assert_same(study.read(run_id), reference.read(run_id))
        assert records[run_id].provenance["resumed_from"] == STEP
    assert [len(stage) for stage in stages] == [2, 2]
    assert (
        sum(r.steps for r in records.values()) / 8
        == cohort.brackets[0].cost(8)
        == 6 * 0.5 + 2 * 0.5
    )
    assert list(Checkpoints(cohort.study).files()) == []


def test_stopped_runs_are_rows_with_their_partial_curves(
    whole: StudyFolder, expected: list[str], tmp_path: Path
) -> None:
    cohort = Cohort(tmp_path / "study", cells(), POLICY, ENGINE)
    drive(cohort)
    study = StudyFolder(cohort.study)
    for run_id, record in study.records().items():
        if run_id in expected:
            continue
        assert (record.status, record.steps, record.total_steps) == ("stopped", STEP, 8)
        full = whole.read(run_id)
        assert study.curve(record) == whole.curve(full.record, STEP)
        stored = study.read(run_id)
        assert stored.arrays.losses.tobytes() == full.arrays.losses[:STEP].tobytes()
        assert record.best_score == max(study.curve(record).values())
        assert scored(study, record).reported("final") == record.best_score
        assert compare(stored, repeat(stored)).equal
        break
    outcome = cohort.outcome()
    assert (outcome["to_the_end"], outcome["stopped"], outcome["failed"]) == (2, 4, 0)
    assert outcome["cost"] == outcome["expected_cost"] == 4.0
    best = max(whole.records()[run].best_score for run in expected)
    stopped = max(r.best_score for r in study.records().values() if not r.is_over)
    assert outcome["best_score"] == max(best, stopped)


def test_a_stopped_run_is_trained_on_by_a_command_without_the_policy(
    whole: StudyFolder, tmp_path: Path
) -> None:
    cohort = Cohort(tmp_path / "study", cells(), POLICY, ENGINE)
    drive(cohort)
    study = StudyFolder(cohort.study)
    train(cohort.study, form_packs(cells(), ENGINE))
    assert survivors(study) == {run.run_id for run in cells()}
    for run_id in survivors(study):
        assert_same(study.read(run_id), whole.read(run_id))
    # What they were before is removed by the next command that opens the study.
    assert any((cohort.study / "stopped").iterdir())
    study.begin(cells())
    assert not any((cohort.study / "stopped").iterdir())


@pytest.mark.parametrize(
    "policy",
    [
        EarlyStoppingSpec("successive_halving", fraction=0.25, reduction=2),
        EarlyStoppingSpec("median", fraction=0.25, least=2),
        EarlyStoppingSpec("patience", patience=2),
    ],
    ids=lambda policy: policy.policy,
)
def test_policies_with_several_rungs_leave_the_same_bits(
    policy: EarlyStoppingSpec, whole: StudyFolder, tmp_path: Path
) -> None:
    cohort = Cohort(tmp_path / "study", cells(), policy, ENGINE)
    stages = drive(cohort)
    study = StudyFolder(cohort.study)
    assert 0 < len(survivors(study)) < 6
    assert len(stages) >= 2
    for run_id, record in study.records().items():
        stored, full = study.read(run_id), whole.read(run_id)
        if record.is_over:
            assert_same(stored, full)
        assert stored.arrays.losses.tobytes() == full.arrays.losses[: record.steps].tobytes()
        assert study.curve(record) == whole.curve(full.record, record.steps)
    cost = cohort.brackets[0].cost(8)
    assert cost is None or cohort.outcome()["cost"] == cost
