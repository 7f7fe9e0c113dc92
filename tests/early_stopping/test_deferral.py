"""Decisions that infrastructure failures defer, and comparisons that are refused."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from seedlab.commands.cli import main
from seedlab.early_stopping.cohort import Cohort
from seedlab.engines.packed.memory import PackMemoryError
from seedlab.errors import RunFailedError, WorkerDiedError
from seedlab.spec.early_stopping import EarlyStoppingSpec
from seedlab.spec.pack import Pack, form_packs
from seedlab.spec.run import RunSpec
from seedlab.store.atomic_files import disk_full
from seedlab.store.study import StudyFolder, find_study
from tests.suites.stopping_cohort import ENGINE, POLICY, STEP, cells, drive, train

FULL = OSError(28, "No space left on device")
TINY = [
    *("task=acceptability", "task.examples=64", "task.dev_examples=48", "recipe.max_steps=6"),
    *("recipe.batch_size=8", "evaluation.every=1", "engine.threads=1"),
]
GRID = ["-m", *TINY, "hydra.launcher.slots=1", "seed.init=0,1", "seed.order=0,1"]
HALF = ["early_stopping=start_many", "early_stopping.continued=2", "early_stopping.fraction=0.5"]


def make(folder: Path, policy: EarlyStoppingSpec = POLICY) -> Cohort:
    return Cohort(folder, cells(2, 2), policy, ENGINE)


def train_but(cohort: Cohort, victims: list[RunSpec], packs: list[Pack]) -> None:
    left = [run for pack in packs for run in pack.runs if run not in victims]
    train(cohort.study, form_packs(left, ENGINE, packs[0].stage))


def ids(packs: list[Pack]) -> set[str]:
    return {run.run_id for pack in packs for run in pack.runs}


@pytest.mark.parametrize(
    "error",
    [
        FULL,
        pytest.param(MemoryError(), marks=pytest.mark.slow),
        pytest.param(PackMemoryError("a pack of 4 runs ran out of memory"), marks=pytest.mark.slow),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        WorkerDiedError("given up after 2 tries: the worker process was killed by SIGKILL"),
        disk_full(Path("study"), "writing run x", FULL),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_infrastructure_failure_defers_the_decision(error: Exception, tmp_path: Path) -> None:
    """No decision is on file, the next command makes the one that would have been made."""
    cohort = make(tmp_path / "study")
    victim = cohort.started[1]
    train_but(cohort, [victim], cohort.packs((), 1, 1))
    failed = {victim.run_id: error}
    assert cohort.packs(failed, 1, 1) == []
    (line,) = cohort.deferred(failed)
    assert f"the comparison at step {STEP} of study 'study' is deferred" in line
    assert "1 of 4 runs could not be trained (init 0 order 1: " in line
    assert "the same command continues" in line
    assert "\n" not in line
    assert cohort.decided(cohort.brackets[0], cohort.brackets[0].rungs[0]) is None
    assert cohort.deferred({}) == []
    assert ids(cohort.packs((), 1, 1)) == {victim.run_id}
    drive(cohort)
    calm = make(tmp_path / "calm")
    drive(calm)
    (ours,) = cohort.study.glob("decisions/*/all-step-*.json")
    (theirs,) = calm.study.glob("decisions/*/all-step-*.json")
    assert ours.read_bytes() == theirs.read_bytes()


@pytest.mark.parametrize("error", [RunFailedError("loss of nothing"), ZeroDivisionError()])
def test_a_failure_of_the_run_itself_eliminates_it(error: Exception, tmp_path: Path) -> None:
    cohort = make(tmp_path / "study")
    victim = cohort.started[1]
    train_but(cohort, [victim], cohort.packs((), 1, 1))
    failed = {victim.run_id: error}
    going = cohort.packs(failed, 1, 1)
    assert len(ids(going)) == 2
    assert victim.run_id not in ids(going)
    assert cohort.deferred(failed) == []


def test_where_no_run_came_to_the_rung_nothing_is_decided(tmp_path: Path) -> None:
    cohort = make(tmp_path / "study")
    failed = {run.run_id: ZeroDivisionError("by nought") for run in cohort.started}
    assert cohort.packs(failed, 1, 1) == []
    (line,) = cohort.deferred(failed)
    assert "4 of 4 runs could not be trained (init 0 order 0: ZeroDivisionError: by nought)" in line
    assert not list(cohort.study.glob("decisions/*/all-step-*"))
    assert ids(cohort.packs((), 1, 1)) == set(failed)


def test_a_run_that_fails_between_two_rungs_is_eliminated_at_the_second(tmp_path: Path) -> None:
    """Its scores up to the first one do not carry it through."""
    cohort = make(tmp_path / "s", EarlyStoppingSpec("median", fraction=0.25, least=2))
    train(cohort.study, cohort.packs((), 1, 1))
    second = cohort.packs((), 1, 1)
    going = [run for pack in second for run in pack.runs]
    first = cohort.decided(cohort.brackets[0], cohort.brackets[0].rungs[0])
    assert first is not None
    best = next(run for run in going if run.run_id == first["goes_on"][0])
    train_but(cohort, [best], second)
    failed = {best.run_id: ZeroDivisionError()}
    assert best.run_id not in ids(cohort.packs(failed, 1, 1))
    decided = cohort.decided(cohort.brackets[0], cohort.brackets[0].rungs[1])
    assert decided is not None
    assert best.run_id not in decided["goes_on"]
    assert decided["ranking"][-1] == {**decided["ranking"][-1], "run": best.run_id, "failed": True}


@pytest.mark.slow
def test_a_launch_ends_with_its_deferred_decisions_and_other_cohorts_continue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["run", "study=s", *GRID, *HALF, "recipe.optimizer.learning_rate=1e-3,2e-3"]
    # By default a launch is given up after three such failures, before both cohorts were tried.
    command.append("hydra.launcher.give_up_after=null")
    study = StudyFolder(tmp_path / "studies" / "s")
    study.folder.mkdir(parents=True)
    # Where a folder is needed stands a file: no run can be written.
    (study.folder / "tmp").touch()
    assert main(command) != 0
    said = capfd.readouterr().err
    assert "8 runs failed" in said
    assert said.count("the comparison at step 3 of study 's' is deferred, because 4 of 4") == 2
    assert not list(study.folder.glob("decisions/*/all-step-*"))
    (study.folder / "tmp").unlink()
    # And now for one run alone. An error of the file system refuses its whole pack, two runs.
    victim = next(iter(study.planned()))
    thorn = study.folder / "claims" / f"{victim}.owner"
    thorn.mkdir(parents=True)
    assert main(command) != 0
    said = capfd.readouterr().err
    assert "2 runs failed" in said
    assert said.count("is deferred, because 2 of 4 runs could not be trained") == 1
    assert len(list(study.folder.glob("decisions/*/all-step-*"))) == 1
    assert len(list(study.folder.glob("runs/*/record.json"))) == 2
    thorn.rmdir()
    assert main(command) == 0
    assert "deferred" not in capfd.readouterr().err
    assert len(list(study.folder.glob("runs/*/record.json"))) == 4
    assert len(list(study.folder.glob("decisions/*/all-step-*"))) == 2


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            [*HALF, "hydra.sweeper.max_batch_size=3"],
            "hydra.sweeper.max_batch_size=3 .* leave it out",
        ),
        (
            ["early_stopping=median", "early_stopping.fraction=0.5"],
            "early_stopping.least=5 runs, and 4 of one setting are started; start more",
        ),
        (
            ["early_stopping=successive_halving", "early_stopping.fraction=0.5", "seed.init=0"],
            "and 1 run of one setting stops nothing: a comparison takes two; start more",
        ),
        (
            ["early_stopping=hyperband", "early_stopping.fraction=0.5"],
            "stops nothing: .* set early_stopping.fraction to at most 0.333",
        ),
    ],
    ids=["batches", "median", "successive_halving", "hyperband"],
)
def test_a_cohort_that_compares_nothing_is_refused_before_training(
    given: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    grid = GRID
    if given[-1] == "seed.init=0":
        grid = [a for a in GRID if not a.startswith("seed.")]
    assert main(["run", "study=s", *grid, *given]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert re.search(words, said), said
    assert not list((tmp_path / "studies" / "s").glob("s*"))


def test_batches_are_no_matter_without_early_stopping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", "study=s", *GRID, "hydra.sweeper.max_batch_size=3", "dry=true"]) == 0


def test_patience_stops_a_run_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same run in a sweep is stopped at the same step with the same scores."""
    monkeypatch.chdir(tmp_path)
    patience = ["early_stopping=patience", "early_stopping.patience=1"]
    for _ in range(2):
        assert main(["run", "study=alone", *TINY, *patience]) == 0
    alone = find_study("alone")
    (record,) = alone.records().values()
    assert record.status == "stopped"
    curve = alone.curve(record)
    last, before = sorted(curve)[-1], sorted(curve)[:-1]
    assert curve[last] <= max(curve[step] for step in before)
    sweep = Cohort(tmp_path / "swept", [record.run_spec()], _patience(), ENGINE)
    drive(sweep)
    (swept,) = StudyFolder(sweep.study).records().values()
    assert (swept.steps, swept.best_score) == (record.steps, record.best_score)
    assert StudyFolder(sweep.study).curve(swept) == curve


def _patience() -> EarlyStoppingSpec:
    return EarlyStoppingSpec("patience", patience=1)


def test_a_curve_is_found_when_the_run_was_trained_on_meanwhile(tmp_path: Path) -> None:
    """Another process trains a stopped run on, and a third one removes what it was before."""
    cohort = make(tmp_path / "study")
    train(cohort.study, cohort.packs((), 1, 1))
    reader = StudyFolder(cohort.study)
    stopped = reader.records()
    before = {run: reader.curve(record) for run, record in stopped.items()}
    train(cohort.study, form_packs(cohort.started, ENGINE))
    StudyFolder(cohort.study).begin([])
    assert not any((cohort.study / "stopped").iterdir())
    for run, record in stopped.items():
        assert reader.curve(record) == before[run]
        assert reader.curve(record, 2) == {s: v for s, v in before[run].items() if s <= 2}
    whole = reader.records()
    assert all(max(reader.curve(record)) == 8 for record in whole.values())
    # Where nothing is on record any more there is nothing to look up.
    shutil.rmtree(cohort.study / "runs")
    with pytest.raises(FileNotFoundError):
        reader.curve(next(iter(stopped.values())))
