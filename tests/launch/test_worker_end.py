"""How a worker ends: at once after seedlab's own runs, in order where others' code has run."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra.core.utils import JobReturn

from seedlab.commands.cli import main
from seedlab.errors import WorkerDiedError
from seedlab.launch.workers import process
from tests.suites import launch_toy
from tests.suites.command_line import SMALL
from tests.suites.toy_bench import Toy, grid

TWO = ["study=ends", *SMALL, "seed.init=0,1"]


@pytest.fixture
def hook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that an exit handler of every worker makes."""
    path = tmp_path / "exit-handler"
    register = f"import atexit, pathlib; atexit.register(pathlib.Path({str(path)!r}).touch); "
    monkeypatch.setattr(process, "_START", register + process._START)
    return path


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_workers_of_seedlabs_own_runs_end_at_once(hook: Path, place: Path) -> None:
    assert main(["run", "-m", *TWO]) == 0
    assert not hook.exists()


def test_callbacks_lose_nothing_at_the_end_of_a_worker(hook: Path, place: Path) -> None:
    callback = ["_target_=unclosed.Unclosed", f"folder={place}"]
    added = [f"+hydra.callbacks.unclosed.{line}" for line in callback]
    assert main(["run", "-m", *TWO, *added]) == 0
    assert sorted((place / "log.txt").read_text().splitlines()) == ["job 0", "job 1"]
    assert {path.name for path in place.glob("uploaded-*")} == {"uploaded-0", "uploaded-1"}
    assert hook.exists()


@pytest.mark.parametrize("task", [launch_toy.run, launch_toy.foreign])
def test_workers_of_other_applications_run_their_exit_handlers(
    toy: Toy, hook: Path, task: object
) -> None:
    returns: list[JobReturn] = toy.launch(grid(2, 1), task=task)
    assert len(returns) == 2
    assert hook.exists()


def test_a_broken_connection_of_a_jobs_own_kills_the_worker(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not every part of a job is within Hydra's reach: what escapes must not look like an end."""
    broken = (
        "import seedlab.launch.executors.run_work as jobs\n"
        "def run_work(*_, **__): raise ConnectionResetError('the log server is gone')\n"
        "jobs.run_work = run_work\n"
    )
    head, _, rest = process._START.partition("; ")
    appended, _, call = rest.partition("; ")
    monkeypatch.setattr(process, "_START", f"{head}; {appended}\n{broken}{call}")
    returns = toy.launch(grid(1, 1), "hydra.launcher.retries=0")
    with pytest.raises(WorkerDiedError, match=r"(?s)exit status 1;.*the log server is gone"):
        _ = returns[0].return_value
