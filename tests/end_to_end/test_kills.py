"""Killed commands and concurrent commands: no result is lost, and no run is trained twice."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from seedlab.commands.cli import main
from seedlab.store.study import StudyFolder, find_study
from tests.suites.small_grid import GRID, logits_of, records


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty folder: these tests train their own runs."""
    folder = tmp_path_factory.mktemp("work")
    with contextlib.chdir(folder):
        yield folder


def spawn(*arguments: str, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "seedlab", "run", *arguments],
        cwd=cwd,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def wait_for(condition: object, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


@pytest.mark.parametrize("victim", ["parent", pytest.param("worker", marks=pytest.mark.slow)])
def test_kill_9_loses_nothing_and_the_same_command_continues(place: Path, victim: str) -> None:
    """The killed study ends with the bits of an undisturbed one."""
    name = f"killed-{victim}"
    longer = ["recipe.max_steps=60" if a.startswith("recipe.max") else a for a in GRID]
    longer[1] = f"study={name}"
    process = spawn(*longer, cwd=place)
    study = StudyFolder(place / "studies" / name)
    wait_for(lambda: study.owners() or process.poll() is not None)
    owner = next(iter(study.owners().values()))
    pid = int(owner.split()[1]) if victim == "worker" else process.pid
    assert pid != process.pid or victim == "parent"
    os.kill(pid, signal.SIGKILL)
    output, _ = process.communicate(timeout=120)
    if victim == "worker":
        assert process.returncode == 0, output
    else:
        wait_for(lambda: not study.owners())  # the orphaned worker ends itself
        assert main(["run", *longer]) == 0
    assert len(study.records()) == 4
    undisturbed = ["study=calm" if a.startswith("study=") else a for a in longer]
    assert main(["run", *undisturbed]) == 0
    calm = logits_of(find_study("calm"))
    for run_id, logits in logits_of(study).items():
        assert np.array_equal(logits, calm[run_id])


@pytest.mark.slow
def test_two_parents_share_one_study(place: Path) -> None:
    """Both succeed, and every run is trained and written once."""
    arguments = ["study=shared" if a.startswith("study=") else a for a in GRID]
    parents = [spawn(*arguments, cwd=place) for _ in range(2)]
    outputs = [parent.communicate(timeout=180)[0] for parent in parents]
    assert [parent.returncode for parent in parents] == [0, 0], outputs
    assert len(records("shared")) == 4
    assert not list((place / "studies/shared/corrupt").glob("*"))
