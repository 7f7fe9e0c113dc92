"""Work items whose folders can't be made, and studies and runs that are lost meanwhile."""

from __future__ import annotations

import errno
import gc
import os
import weakref
from pathlib import Path
from typing import Any

import pytest
from hydra.core.utils import JobReturn, JobStatus

from seedlab.compat.hydra_private import returned_value
from seedlab.engines.packed.memory import PackMemoryError
from seedlab.errors import LostError, SeedlabError
from seedlab.launch.executors.failure_series import GivenUpError
from seedlab.spec.pack import Pack
from tests.suites import launch_toy
from tests.suites.toy_bench import Toy, grid


@pytest.fixture
def inline(tmp_path: Path, hydra_restore_singletons: None) -> Toy:
    """The toy application, trained in this process."""
    return Toy(tmp_path / "study", "tests.examples.executor.inline:InlineExecutor")


def errors(returns: list[JobReturn]) -> list[str]:
    """Return the refusals of jobs, all of which failed."""
    assert all(job.status is JobStatus.FAILED for job in returns)
    assert all(isinstance(returned_value(job), SeedlabError) for job in returns)
    return [str(returned_value(job)) for job in returns]


@pytest.mark.parametrize("full", [0, 1])
def test_a_disk_that_is_full_at_any_job_of_a_pack_refuses_the_pack(
    inline: Toy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], full: int
) -> None:
    make, made = os.mkdir, []

    def mkdir(path: str, *rest: int) -> None:
        if Path(path).parent.name == "jobs":
            made.append(path)
            if len(made) > full:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        make(path, *rest)

    monkeypatch.setattr(os, "mkdir", mkdir)
    told = errors(inline.launch(grid(2, 1)))
    assert set(told) == {
        f"no space left in {inline.study} while training a pack (No space left on device). What "
        "was written before is intact; free some space (or raise the quota) and issue the same "
        "command again: it continues where it stopped."
    }
    printed = capsys.readouterr().err
    assert printed.count("no space left") == 1
    assert "Traceback" not in printed


@pytest.mark.parametrize("task", [launch_toy.run, launch_toy.foreign])
def test_a_file_in_the_place_of_a_jobs_folder_is_named(inline: Toy, task: object) -> None:
    inline.study.mkdir()
    (inline.study / "jobs").touch()
    told = errors(inline.launch(grid(2, 1), task=task))
    assert all(
        "/jobs/" in text and "a file stands where a folder is needed" in text for text in told
    )


def test_a_launch_is_given_up_when_its_packs_fail_alike(inline: Toy) -> None:
    inline.study.mkdir()
    (inline.study / "jobs").touch()
    with pytest.raises(GivenUpError, match="because 3 work items in a row failed alike"):
        inline.launch(grid(4, 1), "engine.width=1")
    assert errors(inline.launch(grid(4, 1), "engine.width=1", "hydra.launcher.give_up_after=null"))


def test_a_run_that_is_removed_while_others_train_fails_its_job(
    inline: Toy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, _ = inline.launch(grid(2, 1))
    lost = inline.study / "runs" / f"{first.hydra_cfg.hydra.job.id}.json"
    monkeypatch.setattr(launch_toy, "suffer", lambda *_: lost.unlink())
    returns = inline.launch(grid(3, 1))
    assert [job.status for job in returns] == [
        JobStatus.FAILED,
        JobStatus.COMPLETED,
        JobStatus.COMPLETED,
    ]
    told = capsys.readouterr().err
    assert "1 run failed:" in told
    assert f"its folder in {inline.study} is gone: it was removed or renamed while" in told
    monkeypatch.undo()
    assert [job.status for job in inline.launch(grid(3, 1))] == [JobStatus.COMPLETED] * 3


def test_a_study_that_is_lost_ends_the_launch_at_once(
    inline: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(self: object, study: Path, run_ids: object) -> list[str]:
        raise LostError(f"study {study} is gone")

    monkeypatch.setattr(launch_toy.ToyAdapter, "missing", missing)
    with pytest.raises(LostError, match="is gone"):
        inline.launch(grid(2, 1), "engine.width=1")
    assert inline.packs() == []
    assert not (inline.study / "jobs").exists()


def test_memory_of_a_pack_that_ran_out_is_free_when_its_halves_are_planned(
    inline: Toy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The traceback of the error holds the frames of the engine, and they hold its tensors."""

    class Tensors:
        pass

    held: list[weakref.ref[Tensors]] = []
    alive: list[int] = []
    train = launch_toy.ToyAdapter.execute

    def execute(adapter: launch_toy.ToyAdapter, pack: Pack, *rest: Any) -> Any:
        alive.append(sum(ref() is not None for ref in held))
        if len(pack.runs) > 1:
            tensors = Tensors()
            held.append(weakref.ref(tensors))
            raise PackMemoryError(f"a pack of {len(pack.runs)} runs ran out of memory")
        return train(adapter, pack, *rest)

    monkeypatch.setattr(launch_toy.ToyAdapter, "execute", execute)
    gc.disable()
    try:
        returns = inline.launch(
            grid(4, 1), "engine.width=4", "hydra.launcher.progress=lines", task=launch_toy.run
        )
    finally:
        gc.enable()
    assert [job.status for job in returns] == [JobStatus.COMPLETED] * 4
    assert alive == [0] * 7
    told = [line for line in capsys.readouterr().out.splitlines() if "memory" in line]
    assert told == [
        "memory ran out: a pack of 4 runs is halved (seedlab.engines.packed.memory."
        "PackMemoryError: a pack of 4 runs ran out of memory)",
        "memory ran out: a pack of 2 runs is halved (seedlab.engines.packed.memory."
        "PackMemoryError: a pack of 2 runs ran out of memory)",
        "a pack of 4 runs does not fit into memory, one of 1 does: set engine.width=1 to train "
        "without halving",
        "memory ran out: a pack of 2 runs is halved (seedlab.engines.packed.memory."
        "PackMemoryError: a pack of 2 runs ran out of memory)",
    ]
