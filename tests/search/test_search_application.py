"""A search through Hydra, with the toy application and with seedlab's own runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import optuna
import pytest
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from optuna.trial import TrialState

# Registers seedlab's configuration before Hydra's fixtures remember what is registered.
import seedlab.application.app  # noqa: F401
from seedlab.commands.cli import main
from seedlab.store.chosen import scored_runs
from seedlab.store.study import StudyFolder
from tests.suites import launch_toy
from tests.suites.toy_bench import Toy, create_hydra, quiet_launcher

TOY = [
    "hydra/sweeper=seedlab_optuna",
    "seconds=interval(0,0.001)",
    "hydra.sweeper.trials=3",
    "hydra.sweeper.seeds=4",
]


def test_hydra_finds_the_sweeper(toy: Toy) -> None:
    """The whole way through Hydra and the launcher, with its toy application."""
    toy.study.mkdir()
    hydra = create_hydra()
    try:
        hydra.multirun("toy", launch_toy.run, [*toy.fixed, *quiet_launcher([]), *TOY])
    finally:
        GlobalHydra.instance().clear()
    assert Counter(toy.notes("trained")) == {f"{r},{r}": 3 for r in range(4)}
    node = ConfigStore.instance().load("hydra/sweeper/seedlab_optuna.yaml").node
    assert node.trials == 20


@pytest.mark.slow
def test_a_search_killed_with_kill_9_continues(tmp_path: Path) -> None:
    """A real process, real workers, SQLite; killed in the second batch."""
    study = tmp_path / "study"
    study.mkdir()
    command = [sys.executable, launch_toy.__file__, "-m", f"study={study}", *TOY[:1]]
    command += ["seconds=interval(0.2,0.3)", "hydra.sweeper.trials=6", "hydra.sweeper.seeds=5"]
    command += ["hydra.sweeper.trials_at_once=3", "hydra.launcher.slots=2"]
    process = subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    trained = study / "trained.txt"
    end = time.monotonic() + 60
    while not trained.exists() or len(trained.read_text().splitlines()) < 18:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    # The workers find their parent gone, and end.
    time.sleep(1.5)
    before = trained.read_text().splitlines()
    assert 18 <= len(before) < 30
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    after = trained.read_text().splitlines()
    assert after[: len(before)] == before
    assert Counter(after) == {f"{r},{r}": 6 for r in range(5)}
    assert len(list((study / "runs").glob("*.json"))) == 30
    trials = read_sqlite(study)
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 6
    # The same proposals as those of an undisturbed search.
    whole = tmp_path / "whole" / "study"
    whole.parent.mkdir()
    whole.mkdir()
    again = [part.replace(str(study), str(whole)) for part in command]
    assert subprocess.run(again, capture_output=True, timeout=120, check=False).returncode == 0
    assert [t.params for t in read_sqlite(whole)] == [t.params for t in trials]


def read_sqlite(study: Path) -> list[optuna.trial.FrozenTrial]:
    storage = optuna.storages.RDBStorage(f"sqlite:///{study / 'optuna.db'}")
    try:
        return optuna.load_study(study_name="study", storage=storage).trials
    finally:
        storage.remove_session()
        storage.engine.dispose()


@pytest.mark.slow
def test_seedlabs_own_runs_are_judged_by_their_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A real search on the embedded task, for the failure rate, which records alone know."""

    monkeypatch.chdir(tmp_path)
    command = [
        "run", "-m", "hydra/sweeper=seedlab_optuna", "study=search", "task=acceptability",
        "task.examples=200", "task.dev_examples=100", "recipe.max_steps=3",
        "recipe.optimizer.learning_rate=choice(1e-9,1e-3)", "hydra.sweeper.objective=failure_rate",
        "hydra.sweeper.trials=3", "hydra.sweeper.seeds=2", "hydra.launcher.slots=1", "engine.width=2",
    ]  # fmt: skip
    assert main(command) == 0
    # Settings that differ in their learning rate share the pack of an order seed.
    assert "4 runs: 0 on record, 4 to train in 2 packs" in capsys.readouterr().out
    runs = list(scored_runs(StudyFolder(tmp_path / "studies" / "search")))
    trials = optuna.load_study(
        study_name="search", storage=f"sqlite:///{tmp_path}/studies/search/optuna.db"
    ).trials
    for trial in trials:
        rate = float(trial.params["recipe.optimizer.learning_rate"])
        mine = [r for r in runs if r.record.run_spec().recipe.optimizer.learning_rate == rate]
        assert len(mine) == 2
        assert trial.value == np.mean([r.record.failed for r in mine])
        assert sorted(trial.user_attrs["scores"]) == sorted(r.chosen_score for r in mine)
    assert main([*command, "hydra.sweeper.direction=minimize"]) == 2
    assert "the task's metric is one to maximize" in capsys.readouterr().err


@pytest.mark.slow
def test_a_damaged_run_of_a_decided_trial_is_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its trial keeps its scores, and no other run is trained."""
    monkeypatch.chdir(tmp_path)
    command = [
        "run", "-m", "hydra/sweeper=seedlab_optuna", "study=search", "task=acceptability",
        "task.examples=64", "task.dev_examples=40", "recipe.max_steps=3",
        "recipe.optimizer.learning_rate=choice(1e-4,1e-3)", "hydra.sweeper.trials=2",
        "hydra.sweeper.seeds=2", "hydra.launcher.slots=1", "engine.width=2",
    ]  # fmt: skip
    assert main(command) == 0
    study = StudyFolder(tmp_path / "studies" / "search")
    before = study.records()
    damaged = min(before)
    (study.run_folder(damaged) / "steps.parquet").unlink()
    capsys.readouterr()
    assert main(command) == 0
    assert f"{len(before)} runs: {len(before) - 1} on record, 1 to train" in capsys.readouterr().out
    after = study.records()
    assert after.keys() == before.keys()
    assert after[damaged].final_score == before[damaged].final_score
    assert {r: v for r, v in after.items() if r != damaged} == {
        r: v for r, v in before.items() if r != damaged
    }
