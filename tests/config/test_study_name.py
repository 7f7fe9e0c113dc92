"""A study's name stays in the folder of studies."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seedlab.commands.cli import main
from seedlab.config.study_name import check_job_name, check_study_name
from seedlab.errors import SeedlabError

PIECES = ["..", ".", "", "/", "\\", "a", "~", " ", "\0", "\n", "b.c", "é"]
NAMES = st.lists(st.sampled_from(PIECES), max_size=6).map("".join) | st.text(max_size=12)


@given(NAMES)
@example("../../x")
@example("a/../../y")
@example("/etc")
@example("a/./b")
@example(".")
@settings(max_examples=60)
def test_a_name_is_refused_or_names_a_folder_below(name: str) -> None:
    """By the standard library's own idea of paths, of POSIX and of Windows."""
    try:
        check_study_name(name)
    except SeedlabError:
        return
    place = os.path.join("/studies", name)
    assert place == os.path.normpath(place)
    assert place.startswith("/studies/")
    assert not {"..", "."} & {*name.replace("\\", "/").split("/")}
    assert "\0" not in name


@pytest.mark.parametrize("name", ["", " ", "\u3000"])
def test_a_blank_name_is_no_name(name: str) -> None:
    with pytest.raises(SeedlabError, match="the study has no name; give it one with study=NAME"):
        check_study_name(name)


@pytest.mark.parametrize("name", ["a", "rte/bert-large", "a..b", "...", ".a", "é x", "0"])
def test_plain_names_are_allowed(name: str) -> None:
    check_study_name(name)


@given(NAMES)
@settings(max_examples=60)
def test_a_job_name_is_refused_or_names_one_folder(name: str) -> None:
    try:
        check_job_name(name)
    except SeedlabError:
        return
    assert os.path.dirname(os.path.normpath(os.path.join("/jobs", name))) == "/jobs"


@pytest.mark.parametrize("name", ["x" * 256, "a/" + "é" * 128])
def test_a_name_that_no_file_system_takes_is_refused(name: str) -> None:
    with pytest.raises(SeedlabError, match="a folder's name has at most 255"):
        check_study_name(name)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["task.name=../../x", "hydra.job.name=x"], "study=../../x-embedded leads out"),
        (["study=x", "hydra.job.name=../../x"], "hydra.job.name=../../x is not the name of"),
        (["-m", "study=.."], "study=.. leads out"),
    ],
)
def test_nothing_is_written_for_a_name_that_is_refused(
    words: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    place = tmp_path / "a/b"
    place.mkdir(parents=True)
    monkeypatch.chdir(place)
    assert main(["run", *words]) == 2
    assert said in capsys.readouterr().err
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["a", "a/b"]
