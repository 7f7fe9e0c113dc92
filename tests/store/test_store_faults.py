"""Real faults: kill -9 at random moments, racing processes, full disks."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from seedlab.errors import SeedlabError
from seedlab.store.study import StudyFolder
from seedlab.store.tables.export import export
from tests.suites.disk import small_disk
from tests.suites.store_cases import make_result, make_spec, make_task

STAGE = Path(__file__).parents[1] / "suites" / "store_stage.py"
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(study: StudyFolder) -> Iterator[Start]:
    """Start a role of store_stage.py on the study; whatever still runs at the end is killed."""
    started = []

    def start_role(role: str, *arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, str(STAGE), role, str(study.folder), *map(str, arguments)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield start_role
    for process in started:
        process.kill()
        process.communicate()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    text = process.stdout.readline()
    assert text, f"the process ended early: {process.wait()}"
    return text.strip()


def test_writers_killed_at_random_moments_leave_only_valid_runs(study, start, caplog):
    outcome = json.loads(line(start("killed_writers", 40, 20260117)))
    # A writer does nothing but write: about half of the kills come during a write.
    assert outcome["interrupted"] >= 5
    study.begin([])
    assert list((study.folder / "tmp").iterdir()) == []
    with caplog.at_level(logging.WARNING):
        finished = study.records()
    assert caplog.text == ""
    assert study.corrupt() == []
    # At least one run for every kill, and the one with which the stage warms up.
    assert len(finished) >= 41
    for run_id, record in list(finished.items())[:20]:
        arrays = study.read(run_id).arrays
        assert arrays.logits["dev"].shape == (3000, 2)
        assert len(arrays.losses) == record.steps


def test_a_living_writers_folder_is_not_swept(study):
    place = study.folder / "tmp" / "somebody"
    place.mkdir(parents=True)
    with FileLock(place / "writer.lock"):
        study.begin([])
        assert place.is_dir()
    study.begin([])
    assert not place.exists()


def test_two_processes_that_write_the_same_runs_end_with_one_result_each(study, start):
    # Every other run has a damaged folder. The first process must set it aside without
    # removing the folder that the other process has published since.
    damaged = [make_spec(init).run_id for init in range(0, 60, 2)]
    for run_id in damaged:
        study.run_folder(run_id).mkdir(parents=True)
    racers = [start("race", 60, tag) for tag in ("red", "blue")]
    for racer in racers:
        line(racer)
    (study.folder / "start").touch()
    red, blue = (json.loads(line(racer)) for racer in racers)
    stored = {run: record.provenance["tag"] for run, record in study.records().items()}
    assert len(stored) == 60
    assert red == blue == stored
    assert study.corrupt() == sorted(damaged)
    assert list((study.folder / "tmp").iterdir()) == []


def test_processes_that_claim_train_every_run_once(study, start):
    study.folder.mkdir(parents=True)
    workers = [start("share", 40, tag) for tag in ("a", "b", "c")]
    for worker in workers:
        line(worker)
    (study.folder / "start").touch()
    trained = [run for worker in workers for run in json.loads(line(worker))]
    assert sorted(trained) == sorted(study.records())
    assert len(trained) == 40
    assert study.owners() == {}


def test_claims_of_a_killed_process_are_free_at_once(study, start):
    holder = start("hold", 3)
    assert json.loads(line(holder)) == [True, True, True]
    ids = {make_spec(init).run_id for init in range(3)}
    assert study.owners().keys() == ids
    assert {int(owner.split()[1]) for owner in study.owners().values()} == {holder.pid}
    assert all(study.claim(run_id) is None for run_id in ids)
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert study.owners() == {}
    claim = study.claim(make_spec(0).run_id)
    assert claim is not None
    claim.release()


def test_listing_claims_never_prevents_a_claim(study, start):
    line(start("peek"))
    run_id = make_spec().run_id
    for _ in range(150):
        claim = study.claim(run_id)
        assert claim is not None
        claim.release()


def test_a_file_size_limit_is_refused_and_harms_nothing(study, start):
    message = json.loads(line(start("small_files_only", 2000)))
    assert message.startswith(f"no space left in {study.folder} while writing run")
    assert "continues where it stopped" in message
    assert list(study.records()) == [make_spec(0).run_id]
    assert list((study.folder / "tmp").iterdir()) == []


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", "size=600k") as place:
        yield place


def test_a_full_disk_is_refused_and_harms_nothing(tiny_disk):
    study, task = StudyFolder(tiny_disk / "grid"), make_task(dev=3000)
    study.begin(make_spec(init) for init in range(100))
    written = {}

    def fill() -> None:
        for init in range(100):
            record = study.write(make_result(task, init), task)
            written[record.run_id] = record

    with pytest.raises(SeedlabError, match=r"no space left in .* while writing run .* free some"):
        fill()
    assert 2 <= len(written) < 100
    assert study.records() == written
    assert study.corrupt() == []
    assert list((study.folder / "tmp").iterdir()) == []
    (tiny_disk / "filler").write_bytes(b"")
    for size in (4096, 512, 64):
        fill_up(tiny_disk / "filler", size)
    with pytest.raises(SeedlabError, match=r"no space left"):
        study.begin(make_spec(init) for init in range(2000))
    assert len(study.planned()) == 100
    with pytest.raises(SeedlabError, match=r"no space left .* while writing the tables"):
        export(study)
    (tiny_disk / "filler").unlink()
    subprocess.run(["mount", "-o", "remount,size=8m", str(tiny_disk)], check=True)
    fill()
    assert len(study.records()) == 100


def fill_up(path: Path, size: int) -> None:
    with path.open("ab", buffering=0) as file:
        try:
            while file.write(b"\0" * size) == size:
                pass
        except OSError:
            return
