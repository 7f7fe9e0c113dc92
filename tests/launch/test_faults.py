"""Workers that really die, runs that raise, and what is kept of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra.core.utils import JobReturn, JobStatus

from seedlab.errors import RunFailedError, SeedlabError, WorkerDiedError
from tests.suites import launch_toy
from tests.suites.launch_toy import toy_score
from tests.suites.toy_bench import Toy, grid

# What a pack of eight is cut into until the guilty run, the sixth, is alone.
FALL_OF_SIX = [
    "0,0 1,0 2,0 3,0 4,0 5,0 6,0 7,0",  # the first five are finished when it dies
    "5,0",
    "6,0 7,0",
]


def statuses(returns: list[JobReturn]) -> str:
    return "".join("x" if job.status is JobStatus.FAILED else "." for job in returns)


def packs(toy: Toy) -> list[str]:
    return [line.partition(" ")[2] for line in toy.notes("packs")]


@pytest.mark.parametrize(
    ("kind", "described"),
    [
        ("kill", r"killed by SIGKILL \(often the system's out-of-memory killer\)"),
        ("segfault", "killed by SIGSEGV"),
        ("exit", r"(?s)ended with exit status 3; it wrote:\n.*bad_alloc"),
    ],
)
def test_a_poisoned_run_in_a_pack_of_eight_is_the_only_one_lost(
    toy: Toy, kind: str, described: str, capsys: pytest.CaptureFixture[str]
) -> None:
    toy.poison(i5_o0=(kind, 99))
    returns = toy.launch(grid(8, 1), "engine.width=8")
    assert statuses(returns) == ".....x.."
    with pytest.raises(WorkerDiedError, match=described):
        _ = returns[5].return_value
    assert [job.return_value for job in returns if job is not returns[5]] == [
        toy_score(i, 0) for i in range(8) if i != 5
    ]
    # Nothing was trained twice, and the guilty one was tried again once (retries=1).
    assert sorted(toy.notes("trained")) == [f"{i},0" for i in range(8) if i != 5]
    assert packs(toy).count("5,0") == 2
    assert "1 run failed:" in capsys.readouterr().err


def test_a_pack_whose_worker_dies_is_halved_until_the_guilty_run_is_alone(toy: Toy) -> None:
    toy.poison(i0_o0=("kill", 99))
    returns = toy.launch(grid(8, 1), "engine.width=8", "hydra.launcher.retries=0")
    assert statuses(returns) == "x......."
    assert packs(toy) == [
        "0,0 1,0 2,0 3,0 4,0 5,0 6,0 7,0",
        "0,0 1,0 2,0 3,0",
        "0,0 1,0",
        "0,0",
        "1,0",
        "2,0 3,0",
        "4,0 5,0 6,0 7,0",
    ]


def test_a_worker_killed_by_accident_costs_nothing(toy: Toy) -> None:
    toy.poison(i2_o0=("kill", 1))
    returns = toy.launch(grid(4, 1))
    assert [job.return_value for job in returns] == [toy_score(i, 0) for i in range(4)]


def test_a_lone_run_is_retried_as_often_as_asked(toy: Toy) -> None:
    toy.poison(i0_o0=("exit", 2))
    returns = toy.launch(grid(1, 1), "hydra.launcher.retries=2")
    assert returns[0].return_value == toy_score(0, 0)
    assert packs(toy) == ["0,0"] * 3


def test_a_run_that_raises_fails_alone_and_once(
    toy: Toy, capsys: pytest.CaptureFixture[str]
) -> None:
    toy.poison(i1_o0=("raise", 99), i2_o0=("raise", 99))
    returns = toy.launch(grid(4, 1))
    assert statuses(returns) == ".xx."
    assert len(packs(toy)) == 1
    with pytest.raises(RunFailedError, match="loss of nothing"):
        _ = returns[1].return_value
    report = capsys.readouterr().err
    assert "2 runs failed:" in report
    assert "seed.init=1" in report
    assert "seed.init=2" in report
    assert report.count("ZeroDivisionError('loss of nothing')\n    Traceback") == 1


def test_a_pack_that_raises_as_a_whole_is_split(toy: Toy) -> None:
    # Twice: the pack of four, then its first half; alone it fits.
    toy.poison(i0_o0=("pack", 2))
    returns = toy.launch(grid(4, 1))
    assert [job.return_value for job in returns] == [toy_score(i, 0) for i in range(4)]
    assert packs(toy) == ["0,0 1,0 2,0 3,0", "0,0 1,0", "0,0", "1,0", "2,0 3,0"]
    assert len({line.split()[0] for line in toy.notes("packs")}) == 1  # one worker did it all


def test_a_lone_run_that_never_fits_fails_with_its_own_error(toy: Toy) -> None:
    toy.poison(i0_o0=("pack", 99))
    returns = toy.launch(grid(2, 1))
    assert statuses(returns) == "x."
    with pytest.raises(MemoryError, match="no room for 1 runs"):
        _ = returns[0].return_value


def test_a_refusal_fails_the_whole_pack_without_a_search(toy: Toy) -> None:
    toy.poison(i0_o0=("refuse", 99))
    returns = toy.launch(grid(4, 1))
    assert statuses(returns) == "xxxx"
    assert len(packs(toy)) == 1
    with pytest.raises(SeedlabError, match="the data has changed"):
        _ = returns[3].return_value


def test_a_run_that_another_process_trains_is_asked_for_again(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seedlab.launch.workers.pool._CLAIM_SECONDS", 0.1)
    toy.poison(i1_o0=("claimed", 2))
    returns = toy.launch(grid(3, 1))
    assert [job.return_value for job in returns] == [toy_score(i, 0) for i in range(3)]
    assert packs(toy) == ["0,0 1,0 2,0", "1,0", "1,0"]


def test_exceptions_and_values_that_cannot_be_sent_are_told(toy: Toy) -> None:
    batch = [[f"task={task}"] for task in ("raise", "odd-error", "odd-value", "fine")]
    returns = toy.launch(batch, task=launch_toy.foreign)
    assert statuses(returns) == "xxx."
    with pytest.raises(RuntimeError, match="init 0 is unlucky") as raised:
        _ = returns[0].return_value
    assert "in foreign" in "".join(raised.value.__notes__)
    with pytest.raises(RunFailedError, match="OddError: 3"):
        _ = returns[1].return_value
    with pytest.raises(RunFailedError, match="returned a generator, which can't be sent"):
        _ = returns[2].return_value


def test_a_foreign_job_that_dies_is_lost_alone(toy: Toy) -> None:
    returns = toy.launch([["task=die"], ["task=fine"]], task=launch_toy.foreign)
    assert statuses(returns) == "x."


def test_workers_that_cannot_start_are_told_with_what_they_wrote(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "seedlab.launch.workers.process._START", "raise SystemExit('no such library')"
    )
    with pytest.raises(
        SeedlabError, match=r"(?s)die before they are ready.*status 1.*no such library"
    ):
        toy.launch(grid(1, 1))


def test_a_worker_that_is_not_ready_in_time_is_told(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seedlab.launch.workers.process._START", "import time; time.sleep(60)")
    with pytest.raises(SeedlabError, match=r"not ready after 0\.5 seconds"):
        toy.launch(grid(1, 1), "hydra.launcher.start_timeout=0.5")


def test_an_application_that_workers_cannot_import_is_told(toy: Toy) -> None:
    class Unpicklable:
        def __call__(self, cfg: object) -> None: ...

        def __reduce__(self) -> object:
            return (__import__, ("no_such_application",))

    with pytest.raises(SeedlabError, match=r"(?s)could not be set up.*no_such_application"):
        toy.launch(grid(1, 1), task=Unpicklable())


class Script:
    """The toy application in a process group of its own, with two workers that are busy."""

    def __init__(self, study: Path) -> None:
        study.mkdir()
        self._study = study
        self._output = study / "output.txt"
        slow = ["seconds=120", "engine.width=2", "seed.init=range(0,4)"]
        launcher = ["hydra.launcher.slots=2", "hydra.launcher.progress=lines"]
        with self._output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, launch_toy.__file__, "-m", f"study={study}", *slow, *launcher],
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # Whoever runs the tests in the background hands down an ignored SIGINT.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )
        if not became_true(lambda: len(self.workers()) == 2):
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            pytest.fail(f"two workers were not busy: {self.workers()}\n{self.output()}")

    def workers(self) -> list[int]:
        path = self._study / "packs.txt"
        lines = path.read_text().splitlines() if path.exists() else []
        return [int(line.split()[0]) for line in lines]

    def output(self) -> str:
        return self._output.read_text()


def became_true(condition: Callable[[], bool], seconds: float = 30.0) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A process that nobody has waited for yet is no longer running.
    status = Path(f"/proc/{pid}/stat")
    return not (status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z")


def test_killing_the_launcher_leaves_no_worker_behind(tmp_path: Path) -> None:
    script = Script(tmp_path / "study")
    workers = script.workers()
    script.process.kill()
    script.process.wait()
    assert became_true(lambda: not any(running(pid) for pid in workers), seconds=10)


def test_ctrl_c_ends_the_workers_and_says_how_to_continue(tmp_path: Path) -> None:
    script = Script(tmp_path / "study")
    workers = script.workers()
    os.killpg(script.process.pid, signal.SIGINT)
    script.process.wait(timeout=20)
    assert script.process.returncode in (-signal.SIGINT, 128 + signal.SIGINT)
    assert not any(running(pid) for pid in workers)
    said = script.output()
    assert "Interrupted. Finished runs are kept; continue with the same command:" in said
    assert "launch_toy.py -m study=" in said
