"""The local executor: its contract, and how its worker processes start."""

from __future__ import annotations

import pytest

from seedlab.errors import SeedlabError, WorkerDiedError
from seedlab.launch.executors.settings import LauncherSettings
from seedlab.launch.workers import process
from tests.suites import launch_toy
from tests.suites.executor import ExecutorSuite
from tests.suites.toy_bench import Toy, grid

VALUES = {
    "executor": "local",
    "slots": 1,
    "gpus": None,
    "retries": 1,
    "start_timeout": 300.0,
    "progress": "none",
    "heartbeat": 60.0,
}


class TestLocalExecutor(ExecutorSuite):
    """The suite of all executors."""

    executor = "local"


@pytest.mark.parametrize(
    ("kind", "described"),
    [
        ("segfault", "killed by SIGSEGV"),
        ("exit", r"(?s)ended with exit status 3; it wrote:\n.*bad_alloc"),
    ],
)
def test_the_error_of_a_run_whose_worker_died_describes_its_end(
    toy: Toy, kind: str, described: str
) -> None:
    toy.poison(i0_o0=(kind, 99))
    (returned,) = toy.launch(grid(1, 1), "hydra.launcher.retries=0")
    with pytest.raises(WorkerDiedError, match=described):
        _ = returned.return_value


def test_workers_that_cannot_start_are_refused_with_their_output(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_START", "raise SystemExit('no such library')")
    with pytest.raises(
        SeedlabError, match=r"(?s)die before they are ready.*status 1.*no such library"
    ):
        toy.launch(grid(1, 1))


def test_a_worker_that_is_not_ready_in_time_is_refused(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_START", "import time; time.sleep(60)")
    with pytest.raises(SeedlabError, match=r"not ready after 0\.5 seconds"):
        toy.launch(grid(1, 1), "hydra.launcher.start_timeout=0.5")


def test_an_application_that_workers_cannot_import_is_refused(toy: Toy) -> None:
    class Unpicklable:
        def __call__(self, cfg: object) -> None: ...

        def __reduce__(self) -> object:
            return (__import__, ("no_such_application",))

    with pytest.raises(SeedlabError, match=r"(?s)could not be set up.*no_such_application"):
        toy.launch(grid(1, 1), task=Unpicklable())


def test_a_gpu_engine_without_a_gpu_is_refused(toy: Toy) -> None:
    with pytest.raises(SeedlabError, match=r"engine\.graphs=true .* no GPU is visible here"):
        toy.launch(grid(1, 1), "+engine.graphs=true")


def test_keys_of_an_executors_own_configuration_are_its_options() -> None:
    settings = LauncherSettings.of({**VALUES, "partition": "long"})
    assert settings.options == {"partition": "long"}
    assert (settings.retries, settings.gpus) == (1, None)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("locla", r"executor is 'locla'; it must be one of local, or MODULE:CLASS.*'local'\?"),
        ("no_such:Thing", r"'no_such:Thing', which can't be imported \(No module named 'no_such'"),
        ("launch_toy:", "can't be imported"),
    ],
)
def test_an_unknown_executor_is_refused(name: str, message: str) -> None:
    assert launch_toy
    with pytest.raises(SeedlabError, match=message):
        LauncherSettings.of({**VALUES, "executor": name})
