"""Commands on a disk that is soon full: one line, no traceback, and the command continues."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from seedlab.commands.cli import main
from seedlab.store.study import StudyFolder
from tests.suites.command_line import SMALL
from tests.suites.disk import small_disk


@pytest.mark.slow
@pytest.mark.parametrize("options", ["nr_inodes=60", "size=330k"])
def test_a_full_disk_ends_a_launch_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    options: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    with small_disk(tmp_path / "disk", options) as disk:
        command = ["run", "-m", "study=s", f"studies_dir={disk}", *SMALL, "seed.init=range(0,4)"]
        start = time.monotonic()
        assert main([*command, "seed.order=range(0,8)"]) == 2
        assert time.monotonic() - start < 60
        printed = capfd.readouterr()
        [line] = printed.err.splitlines()
        assert line.startswith("seedlab: the launch is given up, because 3 work items in a row")
        assert f"no space left in {disk}/s while " in line
        assert "Traceback" not in printed.out
        assert "a new one is started" not in printed.out
        finished = StudyFolder(disk / "s").records()
        assert 2 <= len(finished) < 16
        bigger = "remount,nr_inodes=0" if "inodes" in options else "remount,size=50m"
        subprocess.run(["mount", "-o", bigger, str(disk)], check=True)
        assert main([*command, "seed.order=range(0,4)"]) == 0
        assert "Traceback" not in "".join(capfd.readouterr())
        assert len(StudyFolder(disk / "s").records()) == 16
