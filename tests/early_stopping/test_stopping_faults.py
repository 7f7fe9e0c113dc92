"""Early stopping under real kills: worker and parent, before, during and after the decision."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from seedlab.commands.cli import main
from seedlab.store.study import StudyFolder, find_study

pytestmark = pytest.mark.slow

STAGE = Path(__file__).parents[1] / "suites" / "stopping_stage.py"
GRID = [
    *("-m", "task=acceptability", "task.examples=64", "task.dev_examples=40"),
    *("recipe.max_steps=12", "recipe.optimizer.learning_rate=1e-3", "evaluation.every=3"),
    *("engine.threads=1", "engine.width=2", "hydra.launcher.slots=2"),
    *("seed.init=0,1", "seed.order=0,1"),
]
POLICY = ["early_stopping=start_many", "early_stopping.continued=2", "early_stopping.fraction=0.5"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the same cohort, undisturbed."""
    folder = tmp_path_factory.mktemp("cohorts")
    before = Path.cwd()
    os.chdir(folder)
    try:
        assert main(["run", "study=calm", *GRID, *POLICY]) == 0
        yield folder
    finally:
        os.chdir(before)


def start(moment: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(STAGE), moment, *GRID, *POLICY, *arguments]
    return subprocess.Popen(
        command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )


def wait_for(condition: Callable[[], object], seconds: float = 90.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def assert_as_if_undisturbed(study: StudyFolder) -> None:
    """The same decision, and the same bits of every run on record."""
    calm = find_study("calm")
    decisions = [next(s.folder.glob("decisions/*/all-step-6.json")) for s in (calm, study)]
    assert decisions[0].read_bytes() == decisions[1].read_bytes()
    records = study.records()
    assert {r: rec.status for r, rec in records.items()} == {
        r: rec.status for r, rec in calm.records().items()
    }
    assert (
        sorted(record.status for record in records.values()) == ["finished"] * 2 + ["stopped"] * 2
    )
    for run_id in records:
        ours, theirs = study.read(run_id).arrays, calm.read(run_id).arrays
        assert ours.evaluations == theirs.evaluations
        assert ours.losses.tobytes() == theirs.losses.tobytes()
        for split, logits in theirs.logits.items():
            assert ours.logits[split].tobytes() == logits.tobytes()
    assert study.corrupt() == []
    assert not list(study.folder.glob("checkpoints/*"))


@pytest.mark.parametrize("moment", ["undecided", "decided"])
def test_a_parent_killed_around_the_decision_continues_where_it_was(
    place: Path, moment: str
) -> None:
    process = start(moment, f"study={moment}")
    output, _ = process.communicate(timeout=180)
    assert process.returncode == -signal.SIGKILL, output
    study = find_study(moment)
    on_file = list(study.folder.glob("decisions/*/all-step-6.json"))
    assert len(on_file) == (moment == "decided")
    stopped = {p: p.stat().st_mtime_ns for p in study.folder.glob("stopped/*/record.json")}
    assert len(stopped) == 4
    wait_for(lambda: not study.owners())
    assert main(["run", f"study={moment}", *GRID, *POLICY]) == 0
    # Nothing up to the rung was trained again.
    kept = {p: p.stat().st_mtime_ns for p in study.folder.glob("stopped/*/record.json")}
    assert kept.items() <= stopped.items()
    assert all(
        record.provenance["resumed_from"] == 6
        for record in study.records().values()
        if record.is_over
    )
    assert_as_if_undisturbed(study)


@pytest.mark.parametrize("moment", ["workers", "training"])
def test_workers_killed_while_and_after_it_is_decided_lose_nothing(
    place: Path, moment: str
) -> None:
    process = start(moment, f"study={moment}")
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 0, output
    assert "was killed by SIGKILL" in output
    assert_as_if_undisturbed(find_study(moment))


def test_a_worker_killed_before_the_decision_loses_nothing(place: Path) -> None:
    process = start("never", "study=before")
    study = StudyFolder(place / "studies" / "before")
    wait_for(lambda: study.owners() or process.poll() is not None)
    pid = int(next(iter(study.owners().values())).split()[1])
    assert pid != process.pid
    os.kill(pid, signal.SIGKILL)
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 0, output
    assert_as_if_undisturbed(study)


def test_two_parents_share_a_cohort(place: Path) -> None:
    """Both end well and obey one decision."""
    parents = [start("never", "study=both") for _ in range(2)]
    outputs = [parent.communicate(timeout=240)[0] for parent in parents]
    assert [parent.returncode for parent in parents] == [0, 0], outputs
    assert_as_if_undisturbed(find_study("both"))


def test_a_killed_worker_loses_no_more_than_since_its_checkpoint(place: Path) -> None:
    """With train.checkpoint_every=4: the run continues from there to the same bits."""
    arguments = ["train.checkpoint_every=4", "recipe.max_steps=40", "seed.init=0", "seed.order=0"]
    grid = [a for a in GRID if not a.startswith("recipe.max")]
    command = [sys.executable, "-m", "seedlab", "run", *grid, "study=kept", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    study = StudyFolder(place / "studies" / "kept")
    wait_for(lambda: list(study.folder.glob("checkpoints/*-1[26].*")) or process.poll() is not None)
    os.kill(int(next(iter(study.owners().values())).split()[1]), signal.SIGKILL)
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 0, output
    (record,) = study.records().values()
    assert record.provenance["resumed_from"] >= 12
    assert main(["verify", "kept", record.run_id]) == 0
