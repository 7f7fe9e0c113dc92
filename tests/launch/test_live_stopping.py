"""Early stopping on the embedded task: same bits, same decisions, whatever happens meanwhile."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from seedlab.content import with_hashes
from seedlab.early_stopping import EarlyStoppingSpec
from seedlab.errors import SeedlabError
from seedlab.grid import EngineSpec, Pack, Stage, form_packs, repack
from seedlab.launch.execute import execute
from seedlab.launch.race import Race
from seedlab.recipe_spec import OptimizerSpec, RecipeSpec
from seedlab.spec import EvaluationSpec, RunSpec, Seeds, TaskSpec
from seedlab.store.checkpoints import Checkpoints
from seedlab.store.study import StoredRun, Study
from seedlab.verify import compare, repeat
from tests.suites.disk import small_disk

RECIPE = RecipeSpec(max_steps=8, optimizer=OptimizerSpec(learning_rate=1e-3))
TASK = TaskSpec(examples=64, dev_examples=40, max_length=16)
EVALUATION = EvaluationSpec(every=2, at_start=False, batch_size=40)
ENGINE = EngineSpec("packed", width=3, threads=1, device="cpu")
POLICY = EarlyStoppingSpec("start_many", fraction=0.5, continued=2)
STEP = 4
"""where the runs are compared"""


class KilledError(BaseException):
    """Ends a training at once, as a kill does: nothing catches it."""


def cells(inits: int = 3, orders: int = 2) -> list[RunSpec]:
    run = with_hashes(RunSpec(task=TASK, recipe=RECIPE, evaluation=EVALUATION))
    return [
        dataclasses.replace(run, seeds=Seeds(init, order).resolved())
        for init in range(inits)
        for order in range(orders)
    ]


def train(study: Path, packs: list[Pack]) -> None:
    for pack in packs:
        execute(pack, study, lambda event: None)


def drive(race: Race, failed: tuple[str, ...] = ()) -> list[list[Pack]]:
    """Do what the launcher does, in this process; return the packs of every stage."""
    Study(race.study).plan(race.started)
    race.begin()
    stages = []
    while packs := race.packs(failed, threads=1, workers=2):
        stages.append(packs)
        train(race.study, packs)
    return stages


def assert_same(a: StoredRun, b: StoredRun) -> None:
    """Same bits in curve, losses and logits, and the same verdict."""
    assert a.arrays.evaluations == b.arrays.evaluations
    for name in ("losses", "grad_norms", "learning_rates"):
        assert getattr(a.arrays, name).tobytes() == getattr(b.arrays, name).tobytes()
    for split, logits in b.arrays.logits.items():
        assert a.arrays.logits[split].tobytes() == logits.tobytes()
    for name in ("status", "best_score", "final_score", "best_step", "failed", "final_scores"):
        assert getattr(a.record, name) == getattr(b.record, name)


def survivors(study: Study) -> set[str]:
    return {run_id for run_id, record in study.finished().items() if record.is_over}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The full grid, trained without a policy."""
    study = Study(tmp_path_factory.mktemp("whole") / "study")
    study.plan(cells())
    train(study.folder, form_packs(cells(), ENGINE))
    return study


@pytest.fixture(scope="module")
def expected(whole: Study) -> list[str]:
    """Who goes on, by a sort in plain Python over the full grid's curves, ties by their hash."""
    bests = {
        run_id: max(whole.curve(record, STEP).values())
        for run_id, record in whole.finished().items()
    }
    ties = {run: hashlib.blake2b(f"tie/0/{run}".encode(), digest_size=8).digest() for run in bests}
    return sorted(bests, key=lambda run: (-bests[run], ties[run]))[:2]


@pytest.mark.parametrize("engine", ["packed", "serial"])
def test_survivors_are_bit_equal_to_the_full_grid(
    engine: str, whole: Study, expected: list[str], tmp_path: Path
) -> None:
    spec = dataclasses.replace(ENGINE, name=engine)
    race = Race(tmp_path / "study", cells(), POLICY, spec)
    reference = whole
    if engine == "serial":
        reference = Study(tmp_path / "serial")
        train(reference.folder, form_packs([c for c in cells() if c.run_id in expected], spec))
    stages = drive(race)
    study = Study(race.study)
    records = study.finished(full=True)
    if engine == "packed":
        assert survivors(study) == set(expected)
    for run_id in survivors(study) & set(reference.finished()):
        assert_same(study.read(run_id), reference.read(run_id))
        assert records[run_id].provenance["resumed_from"] == STEP
    assert [len(stage) for stage in stages] == [2, 2]
    assert sum(r.steps for r in records.values()) / 8 == race.heats[0].cost(8) == 6 * 0.5 + 2 * 0.5
    assert list(Checkpoints(race.study).files()) == []


def test_stopped_runs_are_rows_with_their_partial_curves(
    whole: Study, expected: list[str], tmp_path: Path
) -> None:
    race = Race(tmp_path / "study", cells(), POLICY, ENGINE)
    drive(race)
    study = Study(race.study)
    for run_id, record in study.finished().items():
        if run_id in expected:
            continue
        assert (record.status, record.steps, record.total_steps) == ("stopped", STEP, 8)
        full = whole.read(run_id)
        assert study.curve(record) == whole.curve(full.record, STEP)
        stored = study.read(run_id)
        assert stored.arrays.losses.tobytes() == full.arrays.losses[:STEP].tobytes()
        assert record.best_score == max(study.curve(record).values())
        assert record.reported("final") == record.best_score
        assert compare(stored, repeat(stored)).equal
        break
    outcome = race.outcome()
    assert (outcome["to_the_end"], outcome["stopped"], outcome["failed"]) == (2, 4, 0)
    assert outcome["cost"] == outcome["expected_cost"] == 4.0
    best = max(whole.finished()[run].best_score for run in expected)
    stopped = max(r.best_score for r in study.finished().values() if not r.is_over)
    assert outcome["best_score"] == max(best, stopped)


def test_no_more_checkpoints_are_kept_than_runs_that_may_go_on(tmp_path: Path) -> None:
    race = Race(tmp_path / "study", cells(), POLICY, ENGINE)
    most = []

    def look(event: object) -> None:
        most.append(len(Checkpoints(race.study).files()))

    for pack in race.packs((), 1, 2):
        execute(pack, race.study, look)
        assert len(Checkpoints(race.study).files()) <= 2
    # Two may go on, and one may be in the midst of being written.
    assert 1 <= max(most) <= 3


def test_a_stopped_run_is_trained_on_by_a_command_without_the_policy(
    whole: Study, tmp_path: Path
) -> None:
    race = Race(tmp_path / "study", cells(), POLICY, ENGINE)
    drive(race)
    study = Study(race.study)
    train(race.study, form_packs(cells(), ENGINE))
    assert survivors(study) == {run.run_id for run in cells()}
    for run_id in survivors(study):
        assert_same(study.read(run_id), whole.read(run_id))
    # What they were before is removed by the next command that opens the study.
    assert any((race.study / "stopped").iterdir())
    study.plan(cells())
    assert not any((race.study / "stopped").iterdir())


def test_a_decision_on_file_is_obeyed_and_nothing_is_trained_twice(tmp_path: Path) -> None:
    race = Race(tmp_path / "study", cells(), POLICY, ENGINE)
    drive(race)
    before = {p: p.stat().st_mtime_ns for p in (race.study / "runs").rglob("*.*")}
    again = Race(tmp_path / "study", cells(), POLICY, ENGINE)
    assert drive(again) == []
    assert before == {p: p.stat().st_mtime_ns for p in (race.study / "runs").rglob("*.*")}


def test_a_damaged_decision_is_made_again_and_is_the_same(
    expected: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    race = Race(tmp_path / "study", cells(), POLICY, ENGINE)
    train(race.study, race.packs((), 1, 2))
    race.packs((), 1, 2)
    (path,) = (race.study / "decisions" / race.name).glob("all-step-*.json")
    sound = json.loads(path.read_text())
    path.write_text(path.read_text().replace(expected[0], expected[1]))
    race.packs((), 1, 2)
    assert "is damaged (its checksum differs)" in caplog.text
    assert json.loads(path.read_text()) == sound
    assert set(sound["content"]["goes_on"]) == set(expected)


def test_another_decision_is_made_for_a_wider_grid(tmp_path: Path) -> None:
    """What is on record is used; who goes on is decided among all cells."""
    study = tmp_path / "study"
    small = Race(study, cells(2), POLICY, ENGINE)
    drive(small)
    wide = Race(study, cells(3), POLICY, ENGINE)
    assert wide.name != small.name
    first, *_ = drive(wide)
    assert sum(len(pack.runs) for pack in first) == 2
    decided = wide.decided(wide.heats[0], wide.heats[0].rungs[0])
    assert decided is not None
    assert len(decided["ranking"]) == 6


def test_a_run_that_can_not_be_trained_loses_and_nobody_waits_for_it(
    expected: list[str], tmp_path: Path
) -> None:
    race = Race(tmp_path / "study", cells(), POLICY, ENGINE)
    packs = race.packs((), 1, 2)
    left = [
        dataclasses.replace(pack, runs=tuple(r for r in pack.runs if r.run_id != expected[0]))
        for pack in packs
    ]
    train(race.study, left)
    assert [[r.run_id for r in p.runs] for p in race.packs((), 1, 2)] == [[expected[0]]]
    stage = race.packs((expected[0],), 1, 2)
    going = {run.run_id for pack in stage for run in pack.runs}
    assert len(going) == 2
    assert expected[0] not in going
    train(race.study, stage)
    # It is owed its row: the next command brings it to the rung, and it changes nothing.
    later = race.packs((), 1, 2)
    assert [(p.runs[0].run_id, p.stage.until, p.stage.keep) for p in later] == [
        (expected[0], STEP, 0)
    ]
    train(race.study, later)
    assert race.packs((), 1, 2) == []
    assert Study(race.study).finished()[expected[0]].status == "stopped"
    assert Checkpoints(race.study).files() == []


def test_a_diverged_run_ranks_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its loss becomes NaN after its best evaluation; it is over, and does not go on."""
    race = Race(tmp_path / "study", cells(), POLICY, ENGINE)
    study = Study(race.study)
    train(race.study, race.packs((), 1, 2))
    records = study.finished()
    curves = {run: study.curve(record, STEP) for run, record in records.items()}
    victim = max(curves, key=lambda run: max(curves[run].values()))
    monkeypatch.setattr(
        Study,
        "curve",
        lambda self, record, latest=None: {
            step: value
            for step, value in curves[record.run_id].items()
            if record.run_id != victim or step < STEP
        },
    )
    monkeypatch.setattr(
        Study,
        "finished",
        lambda self: {
            run: dataclasses.replace(r, status="diverged") if run == victim else r
            for run, r in records.items()
        },
    )
    going = {run.run_id for pack in race.packs((), 1, 2) for run in pack.runs}
    assert len(going) == 2
    assert victim not in going
    decision = race.decided(race.heats[0], race.heats[0].rungs[0])
    assert decision is not None
    assert decision["ranking"][-1]["run"] == victim


def test_checkpoints_on_the_way_lose_nothing_to_a_kill(
    whole: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at step 7 with checkpoints every 3: goes on from 6, to the same bits."""
    pack = Pack(tuple(cells(2, 1)), ENGINE, Stage(every=3))
    study = Study(tmp_path / "study")

    def kill(event: object) -> None:
        if getattr(event, "step", 0) == 8:
            raise KilledError

    with pytest.raises(KilledError):
        execute(pack, study.folder, kill)
    assert study.finished() == {}
    assert {file.step for file in Checkpoints(study.folder).files()} == {6}
    execute(pack, study.folder, lambda event: None)
    for run in pack.runs:
        stored = study.read(run.run_id)
        assert stored.record.provenance["resumed_from"] == 6
        assert_same(stored, whole.read(run.run_id))
    assert Checkpoints(study.folder).files() == []


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
    policy: EarlyStoppingSpec, whole: Study, tmp_path: Path
) -> None:
    race = Race(tmp_path / "study", cells(), policy, ENGINE)
    stages = drive(race)
    study = Study(race.study)
    assert 0 < len(survivors(study)) < 6
    assert len(stages) >= 2
    for run_id, record in study.finished().items():
        stored, full = study.read(run_id), whole.read(run_id)
        if record.is_over:
            assert_same(stored, full)
        assert stored.arrays.losses.tobytes() == full.arrays.losses[: record.steps].tobytes()
        assert study.curve(record) == whole.curve(full.record, record.steps)
    cost = race.heats[0].cost(8)
    assert cost is None or race.outcome()["cost"] == cost


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Room for the records and two checkpoints, not for three."""
    with small_disk(tmp_path / "disk", "4m") as place:
        yield place


def test_a_disk_that_is_full_of_checkpoints_changes_no_decision_and_no_bit(
    whole: Study, expected: list[str], disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    race = Race(disk / "study", cells(), POLICY, ENGINE)
    (disk / "study").mkdir()
    (disk / "ballast").write_bytes(os.urandom(5 * 2**19))
    drive(race)
    assert "has no checkpoint after step 4" in caplog.text
    study = Study(race.study)
    assert survivors(study) == set(expected)
    for run_id in expected:
        stored = study.read(run_id)
        assert_same(stored, whole.read(run_id))
    assert study.corrupt() == []


def test_what_is_left_of_columns_is_dealt_out_evenly() -> None:
    """Survivors 5 + 1 + 1 on two workers: 4 and 3, not 5 and 2; every run once."""
    left = [RunSpec(seeds=Seeds(i, 0)) for i in range(5)]
    left += [RunSpec(seeds=Seeds(0, order)) for order in (1, 2)]
    packs = repack(left, dataclasses.replace(ENGINE, width=10), Stage(), 2)
    assert sorted(len(pack.runs) for pack in packs) == [3, 4]
    assert sorted(r.run_id for p in packs for r in p.runs) == sorted(r.run_id for r in left)
    narrow = repack(left, dataclasses.replace(ENGINE, width=2), Stage(), 2)
    assert max(len(pack.runs) for pack in narrow) <= 2
    assert repack([], ENGINE, Stage(), 2) == []


def test_early_stopping_of_one_run_is_refused(tmp_path: Path) -> None:
    from seedlab.cli import main

    policy = ["early_stopping=start_many", "early_stopping.continued=1"]
    assert main(["run", "study=s", f"studies_dir={tmp_path}", *policy]) == 2
    with pytest.raises(SeedlabError, match="compares runs with each other, and this is one run"):
        _run_one(tmp_path, policy)


def _run_one(place: Path, policy: list[str]) -> None:
    from hydra import compose, initialize_config_dir

    from seedlab.launch.app import run
    from seedlab.paths import conf_folder

    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        run(compose("config", overrides=["study=s", f"studies_dir={place}", *policy]))


def test_the_plan_says_what_it_costs_and_how_much_disk_it_takes(tmp_path: Path) -> None:
    drawn = dataclasses.replace(POLICY, started=4)
    words = "\n".join(Race(tmp_path / "s", cells(), drawn, ENGINE).plan_words(2))
    assert (
        "start_many of 4 of 6 cells, drawn by early_stopping.seed=0, whole columns first" in words
    )
    assert "2 after step 4 (50.0%)" in words
    assert "3.00 full trainings in place of 4" in words
    assert "at most 4 checkpoints of about 6.5 MB: 26 MB" in words
    assert np.isclose(4 * 0.5 + 2 * 0.5, 3.0)
