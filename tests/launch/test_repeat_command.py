"""The command that is printed after Ctrl-C, taken from a terminal's end and pasted again."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from seedlab.launch import repeat_command as command
from seedlab.store.study import StudyFolder
from tests.suites.command_line import SMALL

BIN = Path(sys.executable).parent
LONGER = ["recipe.max_steps=100" if a.startswith("recipe.max") else a for a in SMALL]
CELLS = ["seed.init=choice(0, 1)", "seed.order=0"]


def interrupted(words: list[str], place: Path, study: StudyFolder) -> str:
    """Give a command, press Ctrl-C when it trains, and return the command that it names."""
    process = subprocess.Popen(
        words,
        cwd=place,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Whoever runs the tests in the background hands down an ignored SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    end = time.monotonic() + 60
    while not study.owners() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    assert process.poll() is None, "it ended before it could be interrupted"
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    before, _, named = said.partition("continue with the same command:\n  ")
    assert "Interrupted. Finished runs are kept;" in before
    return named.splitlines()[0]


def environment() -> dict[str, str]:
    return {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["seedlab", "demo"], "demo"),
        pytest.param(["seedlab", "run", "-m", "experiment=demo"], "demo", marks=pytest.mark.slow),
        pytest.param(
            [sys.executable, "-m", "seedlab", "run", "-m"],
            "acceptability-embedded",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_the_command_after_ctrl_c_continues_the_same_study_when_pasted(
    tmp_path: Path, words: list[str], name: str
) -> None:
    if words[0] == "seedlab" and not (BIN / "seedlab").exists():
        pytest.skip("seedlab's console script is not installed here")
    given = [*words, *LONGER, *CELLS]
    study = StudyFolder(tmp_path / "studies" / name)
    pasted = interrupted(given, tmp_path, study)
    assert pasted == shlex.join(given)
    assert len(study.records()) < 2
    subprocess.run(
        ["bash", "-c", pasted], cwd=tmp_path, env=environment(), check=True, capture_output=True
    )
    assert [folder.name for folder in (tmp_path / "studies").iterdir()] == [name]
    assert study.records().keys() == study.planned().keys()
    assert len(study.records()) == 2


@pytest.mark.parametrize(
    ("called", "printed"),
    [("/somewhere/else/bin/seedlab", "/somewhere/else/bin/seedlab"), ("pytest", "seedlab")],
)
def test_a_program_that_is_not_on_the_path_is_named_by_its_place(
    called: str, printed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [called, "run"])
    with command.given(["run", "seed.init=range(0,3)"]):
        assert command.command() == f"{printed} run 'seed.init=range(0,3)'"
    assert command.command() == shlex.join(sys.orig_argv)
