"""`ExecutorSuite`: the contract of an executor. Subclass it and name the executor.

class TestMyExecutor(ExecutorSuite):
    executor = "my_module:MyExecutor"
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus

from seedlab.errors import RunFailedError, SeedlabError, WorkerDiedError
from seedlab.launch.executors import work_queue
from tests.suites import launch_toy
from tests.suites.launch_toy import toy_score
from tests.suites.toy_bench import Toy, ToyScript, became_true, grid, running

# Registers all launchers before Hydra's fixture remembers what is registered: Hydra 1.4
# does not register them again when the fixture puts that back.
Plugins.instance()


class ExecutorSuite:
    """Workers that really die, runs that raise, signals, and the results that are kept."""

    executor: str
    """``hydra.launcher.executor``: a registered name, or ``MODULE:CLASS``"""
    isolated = True
    """whether the launcher survives a run that ends its process"""

    @pytest.fixture
    def toy(self, tmp_path: Path, hydra_restore_singletons: None) -> Toy:
        return Toy(tmp_path / "study", self.executor)

    @pytest.fixture
    def deaths(self) -> None:
        """Skip tests of dying workers where the launcher itself is the worker."""
        if not self.isolated:
            pytest.skip(
                "its runs share the launcher's process, and a run's death is the launcher's"
            )

    def script(self, study: Path, *overrides: str) -> ToyScript:
        return ToyScript(study, self.executor, *overrides)

    def test_every_job_has_one_return(self, toy: Toy) -> None:
        returns = toy.launch(grid(3, 2), "engine.width=2")
        assert scores(returns) == [toy_score(i, o) for i in range(3) for o in range(2)]
        assert sorted(toy.notes("trained")) == sorted(
            f"{i},{o}" for i in range(3) for o in range(2)
        )

    def test_its_slots_are_known_before_it_starts(
        self, toy: Toy, capsys: pytest.CaptureFixture[str]
    ) -> None:
        toy.launch(grid(2, 2), "dry=true")
        assert "4 runs, 2 packs, 0 on record" in capsys.readouterr().out
        assert toy.packs() == []

    @pytest.mark.usefixtures("deaths")
    def test_a_run_that_always_dies_is_the_only_one_lost(
        self, toy: Toy, capsys: pytest.CaptureFixture[str]
    ) -> None:
        toy.poison(i5_o0=("kill", 99))
        returns = toy.launch(grid(8, 1), "engine.width=8")
        assert statuses(returns) == ".....x.."
        with pytest.raises(WorkerDiedError, match="given up after 2 tries: "):
            _ = returns[5].return_value
        others = [job for job in returns if job is not returns[5]]
        assert scores(others) == [toy_score(i, 0) for i in range(8) if i != 5]
        # Nothing was trained twice, and the guilty run was tried again once (retries=1).
        assert sorted(toy.notes("trained")) == [f"{i},0" for i in range(8) if i != 5]
        assert toy.packs().count("5,0") == 2
        assert "1 run failed:" in capsys.readouterr().err

    @pytest.mark.usefixtures("deaths")
    def test_a_pack_whose_worker_dies_is_halved_until_the_guilty_run_is_alone(
        self, toy: Toy
    ) -> None:
        toy.poison(i0_o0=("kill", 99))
        returns = toy.launch(grid(8, 1), "engine.width=8", "hydra.launcher.retries=0")
        assert statuses(returns) == "x......."
        assert toy.packs() == [
            "0,0 1,0 2,0 3,0 4,0 5,0 6,0 7,0",
            "0,0 1,0 2,0 3,0",
            "0,0 1,0",
            "0,0",
            "1,0",
            "2,0 3,0",
            "4,0 5,0 6,0 7,0",
        ]

    @pytest.mark.usefixtures("deaths")
    def test_killing_all_workers_once_loses_no_run(self, toy: Toy) -> None:
        toy.poison(i1_o0=("kill", 1), i2_o0=("kill", 1))
        returns = toy.launch(grid(4, 1), "engine.width=2", "hydra.launcher.slots=2")
        assert scores(returns) == [toy_score(i, 0) for i in range(4)]

    @pytest.mark.usefixtures("deaths")
    def test_a_lone_run_is_retried_as_often_as_asked(self, toy: Toy) -> None:
        toy.poison(i0_o0=("exit", 2))
        returns = toy.launch(grid(1, 1), "hydra.launcher.retries=2")
        assert scores(returns) == [toy_score(0, 0)]
        assert toy.packs() == ["0,0"] * 3

    @pytest.mark.usefixtures("deaths")
    def test_a_foreign_job_that_dies_is_lost_alone(self, toy: Toy) -> None:
        returns = toy.launch([["task=die"], ["task=fine"]], task=launch_toy.foreign)
        assert statuses(returns) == "x."

    def test_a_run_that_raises_fails_alone_and_once(
        self, toy: Toy, capsys: pytest.CaptureFixture[str]
    ) -> None:
        toy.poison(i1_o0=("raise", 99), i2_o0=("raise", 99))
        returns = toy.launch(grid(4, 1))
        assert statuses(returns) == ".xx."
        assert len(toy.packs()) == 1
        with pytest.raises(RunFailedError, match="loss of nothing"):
            _ = returns[1].return_value
        report = capsys.readouterr().err
        assert "2 runs failed:" in report
        assert "seed.init=1" in report
        assert "seed.init=2" in report
        assert report.count("ZeroDivisionError('loss of nothing')\n    Traceback") == 1

    def test_a_pack_that_raises_as_a_whole_is_split(self, toy: Toy) -> None:
        # Twice: the pack of four, then its first half; alone it fits.
        toy.poison(i0_o0=("pack", 2))
        returns = toy.launch(grid(4, 1))
        assert scores(returns) == [toy_score(i, 0) for i in range(4)]
        assert toy.packs() == ["0,0 1,0 2,0 3,0", "0,0 1,0", "0,0", "1,0", "2,0 3,0"]
        assert len({line.split()[0] for line in toy.notes("packs")}) == 1  # its worker lives on

    def test_a_lone_run_that_never_fits_fails_with_its_own_error(self, toy: Toy) -> None:
        toy.poison(i0_o0=("pack", 99))
        returns = toy.launch(grid(2, 1))
        assert statuses(returns) == "x."
        with pytest.raises(MemoryError, match="no room for 1 runs"):
            _ = returns[0].return_value

    def test_a_refusal_fails_the_whole_pack_without_halving(
        self, toy: Toy, capsys: pytest.CaptureFixture[str]
    ) -> None:
        toy.poison(i0_o0=("refuse", 99))
        returns = toy.launch(grid(4, 1))
        assert statuses(returns) == "xxxx"
        assert len(toy.packs()) == 1
        assert capsys.readouterr().err.splitlines()[-1] == "    the data has changed."
        with pytest.raises(SeedlabError, match="the data has changed"):
            _ = returns[3].return_value

    def test_a_run_that_another_process_trains_is_asked_for_again(
        self, toy: Toy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(work_queue, "CLAIM_SECONDS", 0.1)
        toy.poison(i1_o0=("claimed", 2))
        returns = toy.launch(grid(3, 1))
        assert scores(returns) == [toy_score(i, 0) for i in range(3)]
        assert toy.packs() == ["0,0 1,0 2,0", "1,0", "1,0"]

    def test_two_launches_share_a_study(self, toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
        """A script trains two of the four runs that this process asks for, and each is trained once."""
        monkeypatch.setattr(work_queue, "CLAIM_SECONDS", 0.1)
        shared = ["seconds=0.2", "engine.width=2"]
        script = self.script(toy.study, "seed.init=0,1", "hydra.launcher.slots=1", *shared)
        script.wait_until(lambda: bool(script.workers()))
        returns = toy.launch(grid(4, 1), *shared)
        assert scores(returns) == [toy_score(i, 0) for i in range(4)]
        assert script.process.wait(timeout=20) == 0, script.output()
        assert sorted(toy.notes("trained")) == ["0,0", "1,0", "2,0", "3,0"]

    def test_values_that_cannot_be_sent_fail_their_own_job(self, toy: Toy) -> None:
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

    @pytest.mark.parametrize(
        ("sent", "statuses", "word"),
        [
            (signal.SIGINT, (-signal.SIGINT, 130), "Interrupted"),
            (signal.SIGTERM, (143,), "Terminated"),
        ],
    )
    def test_ctrl_c_and_sigterm_end_the_workers_and_keep_finished_runs(
        self, toy: Toy, sent: signal.Signals, statuses: tuple[int, ...], word: str
    ) -> None:
        # Two runs that take no time, then two that take minutes.
        script = self.script(toy.study, "seconds=0,120", "seed.init=0,1", "hydra.launcher.slots=2")
        script.wait_until(
            lambda: len(toy.notes("trained")) == 2 and sum(len(p.split()) for p in toy.packs()) > 2
        )
        workers = script.workers()
        # A terminal sends Ctrl-C to the whole group, a scheduler SIGTERM to the launcher.
        (os.killpg if sent == signal.SIGINT else os.kill)(script.process.pid, sent)
        assert script.process.wait(timeout=20) in statuses
        assert not any(running(pid) for pid in workers)
        said = script.output()
        assert f"{word}. Finished runs are kept; continue with the same command:" in said
        assert "launch_toy.py -m study=" in said
        assert "Traceback" not in said or sent == signal.SIGINT
        returns = toy.launch(grid(2, 1), "seconds=0")
        assert scores(returns) == [toy_score(0, 0), toy_score(1, 0)]
        assert len(toy.notes("trained")) == 2

    def test_killing_the_launcher_leaves_no_worker_behind(self, toy: Toy) -> None:
        script = self.script(toy.study, "seconds=120", "hydra.launcher.slots=1", "seed.init=0,1")
        script.wait_until(lambda: bool(script.workers()))
        script.process.kill()
        script.process.wait()
        assert became_true(lambda: not any(map(running, script.workers())), seconds=10)


def statuses(returns: list[JobReturn]) -> str:
    """One character per job: ``x`` failed, ``.`` completed."""
    return "".join("x" if job.status is JobStatus.FAILED else "." for job in returns)


def scores(returns: list[JobReturn]) -> list[float]:
    return [job.return_value for job in returns]
