"""What the system refuses reaches the user as one line that says what to do."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from seedlab.commands.cli import main
from seedlab.store.writable import explain
from tests.suites.command_line import SMALL
from tests.suites.disk import small_disk


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "afile").touch()
    return tmp_path


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return the one line that a refused command prints."""
    assert main(arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


@pytest.mark.parametrize("flags", [["run"], ["run", "-m"], ["demo"]])
@pytest.mark.parametrize(
    ("studies", "why"),
    [
        ("afile", "a file is in the way"),
        ("afile/deeper", "a file is in the way"),
        ("/proc/nope", "No such file or directory"),
    ],
)
def test_a_folder_of_studies_that_cannot_be_is_refused_by_its_setting(
    place: Path, capsys: pytest.CaptureFixture[str], flags: list[str], studies: str, why: str
) -> None:
    said = refusal(capsys, *flags, *SMALL, f"studies_dir='{studies}'")
    assert f"studies_dir={studies} can't hold studies: {why}." in said
    assert "name one with studies_dir=FOLDER" in said
    assert [path.name for path in place.iterdir()] == ["afile"]


@pytest.mark.parametrize("study", ["afile", "afile/part"])
def test_a_study_whose_place_is_taken_is_refused_by_its_name(
    place: Path, capsys: pytest.CaptureFixture[str], study: str
) -> None:
    said = refusal(capsys, "run", "-m", *SMALL, "studies_dir=.", f"study={study}")
    assert f"study={study} can't be written to afile: a file is in the way." in said
    assert "choose another name with study=NAME" in said


def test_a_command_that_only_asks_makes_no_folder(place: Path) -> None:
    assert main(["run", *SMALL, "studies_dir=afile", "--cfg", "job"]) == 0
    assert main(["run", *SMALL, "--cfg", "job"]) == 0
    assert [path.name for path in place.iterdir()] == ["afile"]


def test_tables_that_cannot_be_written_are_refused_before_the_runs_are_read(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        pytest.fail("the runs were read")

    monkeypatch.setattr("seedlab.store.study.StudyFolder.records", never)
    (place / "studies/some/runs" / ("0" * 20)).mkdir(parents=True)
    for out in ("afile", "afile/deeper"):
        said = refusal(capsys, "export", "some", "--out", out)
        assert f"tables can't be written to {out}: a file is in the way." in said
        assert "name another one with --out" in said


def test_other_errors_of_the_system_come_with_a_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    """A report's folder stands for all places that have no check of their own."""
    table = "task,init_seed,order_seed,score\n" + "".join(f"rte,{i},{i},0.{i}\n" for i in range(9))
    Path("scores.csv").write_text(table)
    said = refusal(capsys, "report", "--table", "scores.csv", "--metric", "acc", "--out", "afile")
    assert said.startswith("seedlab: afile: ")
    assert "name another place" in said


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "a/b"), "move it away"),
        (PermissionError(errno.EACCES, "Permission denied", "a/b"), "change its permissions"),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "a/b"), "name a file"),
        (FileNotFoundError(errno.ENOENT, "No such file", "a/b"), "that is there"),
        (OSError(errno.ENOSPC, "No space left on device"), "free some space"),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "a/b"), "no space left for a/b"),
    ],
)
def test_an_error_is_explained(error: OSError, words: str) -> None:
    said = explain(error)
    assert said is not None
    assert words in said


def test_an_error_that_names_no_place_keeps_its_trace() -> None:
    assert explain(OSError(errno.EIO, "Input/output error")) is None


@pytest.mark.parametrize("flags", [[], ["-m"]])
def test_files_that_may_not_grow_end_the_command_in_one_line(place: Path, flags: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "seedlab", "run", *flags, "study=full", *SMALL],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (3072, 3072)),
    )
    assert done.returncode == 2
    [said] = done.stderr.splitlines()
    assert said.startswith("seedlab: no space left in studies while writing")
    assert "free some space" in said


@pytest.fixture
def tiny_disk(place: Path) -> Iterator[Path]:
    with small_disk(place / "disk", "size=64k") as disk:
        yield disk


def test_a_full_disk_ends_the_command_in_one_line(
    tiny_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (tiny_disk / "filler").open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"\0" * 512):
            pass
    said = refusal(capsys, "run", "-m", *SMALL, f"studies_dir={tiny_disk}", "study=full")
    assert f"no space left in {tiny_disk}" in said
    assert os.strerror(errno.ENOSPC) in said


@pytest.mark.parametrize("extra", [[], ["dry=true"]])
def test_a_display_that_there_is_not_is_refused_before_the_study_is_opened(
    place: Path, capsys: pytest.CaptureFixture[str], extra: list[str]
) -> None:
    fancy = ["study=never", *SMALL, "hydra.launcher.progress=lives", *extra]
    said = refusal(capsys, "run", "-m", *fancy)
    assert "hydra.launcher.progress is 'lives'" in said
    assert "Did you mean 'live'?" in said
    assert not (place / "studies/never/study.json").exists()


def test_the_demonstration_plans_without_a_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given: list[list[str]] = []
    monkeypatch.setattr(
        "seedlab.commands.verbs.demo.run", lambda words, **_: given.append(words) or 0
    )
    assert main(["demo", "grid=2x2", "dry=true"]) == 0
    assert given == [["-m", "experiment=demo", "grid=2x2", "dry=true"]]


def test_a_refusal_of_hydra_is_one_line(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "study=s", "hydra/launcher=nope"]) == 2
    message = capsys.readouterr().err
    assert "'hydra/launcher/nope'. Available options in 'hydra/launcher': basic, " in message
    assert message.endswith("seedlab.\n")
    assert message.count("\n") == 1
