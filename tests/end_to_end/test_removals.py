"""Studies and runs that are removed, renamed or replaced while a command uses them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from seedlab.commands.cli import main
from seedlab.errors import LostError
from seedlab.execution.events import Event
from seedlab.execution.run_pack import execute
from seedlab.spec.pack import Pack, Stage
from seedlab.store.study import StudyFolder
from tests.suites.command_line import SMALL
from tests.suites.small_grid import GRID, records
from tests.suites.stopping_cohort import ENGINE, cells


def remove(study: Path) -> None:
    subprocess.run(["rm", "-rf", str(study)], check=False, capture_output=True)


def rename(study: Path) -> None:
    study.rename(study.with_name("another"))


def replace_all(study: Path) -> None:
    """Put another, empty folder in the place of the folder of studies."""
    study.parent.rename(study.parent.with_name("moved"))
    study.parent.mkdir()


REMOVALS = [remove, rename, replace_all]


@pytest.mark.parametrize(
    ("take_away", "stage"),
    [(remove, Stage()), (rename, Stage(every=2)), (replace_all, Stage(until=4))],
)
def test_a_pack_does_not_make_its_study_again(
    tmp_path: Path, take_away: Callable[[Path], None], stage: Stage
) -> None:
    runs, study = tuple(cells(1, 1)), StudyFolder(tmp_path / "studies" / "s")
    study.begin(runs)

    def look(event: Event) -> None:
        if event.kind == "started":
            take_away(study.folder)

    with pytest.raises(LostError, match="it was removed, renamed or replaced while this command"):
        execute(Pack(runs, ENGINE, stage), study.folder, look)
    assert not study.folder.exists()


@pytest.mark.slow
def test_a_run_that_is_removed_meanwhile_fails_its_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The runs are on record before and after; one folder goes in between."""
    monkeypatch.chdir(tmp_path)
    command = ["run", "-m", "study=s", *SMALL, "seed.init=0,1"]
    executor = "hydra.launcher.executor=tests.examples.executor.inline:InlineExecutor"
    assert main([*command, executor]) == 0
    [first, _] = records("s")
    begin = StudyFolder.begin

    def begin_and_lose(study: StudyFolder, specs: object) -> None:
        begin(study, specs)  # type: ignore[arg-type]
        shutil.rmtree(study.run_folder(first))

    monkeypatch.setattr(StudyFolder, "begin", begin_and_lose)
    capsys.readouterr()
    assert main([*command, executor]) == 2
    printed = capsys.readouterr().err
    assert "1 run failed:\n" in printed
    assert "its folder in studies/s is gone: it was removed or renamed while" in printed
    assert "Traceback" not in printed
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert main([*command, executor]) == 0
    assert len(records("s")) == 2


@pytest.mark.slow
@pytest.mark.parametrize("take_away", REMOVALS)
@pytest.mark.parametrize(
    "policy", [[], ["early_stopping=start_many", "early_stopping.continued=2"]]
)
def test_a_launch_ends_when_its_study_is_taken_away(
    tmp_path: Path, take_away: Callable[[Path], None], policy: list[str]
) -> None:
    grid = ["recipe.max_steps=60" if a.startswith("recipe.max") else a for a in GRID]
    study = StudyFolder(tmp_path / "studies" / "small")
    with subprocess.Popen(
        [sys.executable, "-m", "seedlab", "run", *grid, "engine.width=1", *policy],
        cwd=tmp_path,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        while not study.recorded() and process.poll() is None:
            time.sleep(0.02)
        assert process.poll() is None
        take_away(study.folder)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 2, (out, err)
    assert err.splitlines()[-1].startswith("seedlab: study studies/small is gone: it was removed")
    assert "Traceback" not in out + err
    # A job that began at this moment may have made its folder of logs, but no study and no run.
    assert not (study.folder / "study.json").exists()
    assert study.recorded() == []
