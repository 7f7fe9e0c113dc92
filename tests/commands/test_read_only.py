"""A study that can't be written to can be read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from seedlab.commands.cli import main
from seedlab.store.study import StudyFolder
from seedlab.tasks.encoded import EncodedTask
from tests.suites.store_cases import make_result


def listing(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))}


@pytest.mark.parametrize(
    "verb", [["plan", "--width", "0.1", "--study"], ["export", "--out", "out"]]
)
def test_tables_go_elsewhere_where_the_study_takes_none(
    verb: list[str],
    study: StudyFolder,
    task: EncodedTask,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A file in the place of the folder of tables; the superuser may write to any folder."""
    monkeypatch.chdir(tmp_path)
    for init in range(3):
        study.write(make_result(task, init, scores=(0.5, 0.6 + init / 10)), task)
    (study.folder / "tables").write_text("in the way")
    before = listing(study.folder)
    assert main([*verb, str(study.folder)]) == 0, capsys.readouterr().err
    assert listing(study.folder) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write to any folder")
def test_a_folder_without_write_permission_is_enough_for_a_plan(
    study: StudyFolder, task: EncodedTask
) -> None:
    for init in range(3):
        study.write(make_result(task, init, scores=(0.5, 0.6 + init / 10)), task)
    study.folder.chmod(0o555)
    try:
        assert main(["plan", "--width", "0.1", "--study", str(study.folder)]) == 0
    finally:
        study.folder.chmod(0o755)
