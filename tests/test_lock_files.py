"""File systems that can't lock files: refused where something is written, no obstacle to reading."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from seedlab.commands.cli import main
from seedlab.lock_files import LockFile, NoLocksError, file_system_of
from seedlab.store.study import StudyFolder
from tests.suites.command_line import SMALL
from tests.suites.store_cases import make_result, make_spec, make_task

CODES = [errno.ENOLCK, errno.EIO, errno.ENOSYS, errno.EOPNOTSUPP]


def forbid_locks(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def flock(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", flock)


@pytest.mark.parametrize("code", CODES, ids=errno.errorcode.get)
def test_a_file_system_without_locks_is_named_and_never_replaced_by_existence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    forbid_locks(monkeypatch, code)
    lock = LockFile(tmp_path / "some.lock")
    with pytest.raises(NoLocksError) as refused:
        lock.take(5.0)
    assert not lock.held
    text = str(refused.value)
    assert text.startswith(
        f"files in {tmp_path} can't be locked ({os.strerror(code)}) on file system "
    )
    assert file_system_of(tmp_path) in text
    assert text.endswith(
        "can't be used: put studies on a local file system with studies_dir=FOLDER."
    )


def test_the_innermost_and_latest_mount_is_named(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    place = str(tmp_path.resolve())
    mounts.write_text(
        "rootfs / rootfs rw 0 0\noverlay / overlay rw 0 0\n"
        f"one {place}/my\\040data nfs4 rw 0 0\nother {place}/my lustre rw 0 0\n"
    )
    assert file_system_of(tmp_path, mounts) == "file system overlay at /"
    inner = tmp_path / "my data" / "studies"
    assert file_system_of(inner, mounts) == f"file system nfs4 at {place}/my data"
    assert file_system_of(inner, tmp_path / "no mounts") == "its file system"


@pytest.mark.parametrize("code", CODES, ids=errno.errorcode.get)
def test_a_run_is_refused_before_anything_is_written(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    code: int,
) -> None:
    monkeypatch.chdir(tmp_path)
    forbid_locks(monkeypatch, code)
    assert main(["run", "-m", "study=s", *SMALL, "seed.init=0,1"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert (
        f"files in {tmp_path}/studies can't be locked ({os.strerror(code)}) on file system " in line
    )
    assert line.endswith("studies_dir=FOLDER.")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """A study with one run on record, a damaged one, and claims of processes alive and dead."""
    study, task = StudyFolder(tmp_path_factory.mktemp("studies") / "s"), make_task()
    study.begin([make_spec(init) for init in range(4)])
    study.write(make_result(task, 0), task)
    damaged = study.run_folder(make_spec(1).run_id)
    damaged.mkdir()
    claims = study.folder / "claims"
    claims.mkdir()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for init, pid in ((2, os.getpid()), (3, ended.pid)):
        run_id = make_spec(init).run_id
        (claims / f"{run_id}.lock").touch()
        (claims / f"{run_id}.owner").write_text(f"{socket.gethostname()} {pid}")
    return study


@pytest.mark.parametrize("code", CODES, ids=errno.errorcode.get)
def test_reading_needs_no_lock(
    begun: StudyFolder,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    code: int,
) -> None:
    forbid_locks(monkeypatch, code)
    start = time.monotonic()
    assert main(["status", str(begun.folder)]) == 0
    assert time.monotonic() - start < 10
    assert "study s: 1 of 4 cells done (0 failed), 1 running, 2 left" in capsys.readouterr().out
    run_id = make_spec(0).run_id
    assert begun.read(run_id).record.run_id == run_id
    assert main(["export", str(begun.folder)]) == 0


def test_a_suspended_holder_of_the_studys_lock_does_not_keep_a_reader(
    begun: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seedlab.store.claims._READER_SECONDS", 0.05)
    lock = LockFile(begun.folder / "study.lock")
    assert lock.take()
    try:
        assert list(begun.owners()) == [make_spec(2).run_id]
    finally:
        lock.release()
