"""A damaged run is missing until it is trained again, in every reader alike."""

from __future__ import annotations

import csv
import dataclasses
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from seedlab.application.app import SeedlabAdapter
from seedlab.commands.study.score_table import score_grid
from seedlab.commands.study.status import format_status, status
from seedlab.errors import CorruptRunError, SeedlabError
from seedlab.reproduce.choose_run import choose
from seedlab.spec.pack import EngineSpec
from seedlab.store.chosen import scored_runs
from seedlab.store.record import Record
from seedlab.store.study import StudyFolder
from seedlab.store.tables.export import export
from seedlab.training.result import RunResult
from tests.suites.store_cases import make_result, make_spec, make_task

TASK = make_task()
SOUND, DAMAGED = make_spec(0).run_id, make_spec(1).run_id


def stopped_at(result: RunResult, steps: int) -> RunResult:
    return dataclasses.replace(
        result,
        status="stopped",
        losses=result.losses[:steps],
        learning_rates=result.learning_rates[:steps],
        grad_norms=result.grad_norms[:steps],
    )


def write(study: StudyFolder) -> tuple[Record, Record]:
    """Two runs that were promoted and finished; their folders of before are still there."""
    study.begin([make_spec(0), make_spec(1)])
    for init in (0, 1):
        study.write(stopped_at(make_result(TASK, init, steps=9), 3), TASK)
    # The later one scores better: it is missing where it is damaged.
    first = study.write(make_result(TASK, 0, steps=9, scores=(0.5, 0.6)), TASK)
    return first, study.write(make_result(TASK, 1, steps=9, scores=(0.5, 0.9)), TASK)


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with one flipped bit in the predictions of a finished run."""
    study = StudyFolder(tmp_path_factory.mktemp("damaged") / "grid")
    write(study)
    path = study.run_folder(DAMAGED) / "predictions.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    return study.folder


@pytest.fixture
def copied(damaged: Path, tmp_path: Path) -> StudyFolder:
    return StudyFolder(shutil.copytree(damaged, tmp_path / "grid"))


def by_status(study: StudyFolder) -> set[str]:
    state = status(study)
    assert (state.planned, state.done, state.left, state.stopped) == (2, 1, 1, 0)
    return {SOUND}


def by_grid(study: StudyFolder) -> set[str]:
    assert "0.9" not in score_grid(scored_runs(study), "best")
    return {SOUND}


def by_export(study: StudyFolder) -> set[str]:
    folder = export(study, study.folder.parent / "tables")
    with (folder / "evaluations.csv").open() as file:
        evaluated = {row["run"] for row in csv.DictReader(file)}
    with (folder / "runs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == ["finished"]
    return evaluated & {row["run"] for row in rows}


def by_launch(study: StudyFolder) -> set[str]:
    return set(SeedlabAdapter().scores_on_record(study.folder, EngineSpec()))


def by_worker(study: StudyFolder) -> set[str]:
    claim = study.claim(DAMAGED, until=3)
    assert claim is not None
    claim.release()
    return {run for run in (SOUND, DAMAGED) if study.record(run) is not None}


def by_choice(study: StudyFolder) -> set[str]:
    return {choose(study, "best")}


def by_name(study: StudyFolder) -> set[str]:
    with pytest.raises(CorruptRunError, match=rf"run '{DAMAGED}' of study 'grid' was damaged"):
        study.read(DAMAGED)
    return {study.read(SOUND).record.run_id}


READERS = [by_status, by_grid, by_export, by_launch, by_worker, by_choice, by_name]


@pytest.mark.parametrize("first", [by_status, by_export, by_worker])
def test_every_reader_sees_one_run_before_and_after_it_is_set_aside(
    copied: StudyFolder, first: Callable[[StudyFolder], set[str]]
) -> None:
    for reader in (first, *READERS):
        assert reader(copied) == {SOUND}
    assert copied.corrupt() == [DAMAGED, f"{DAMAGED}-3"]


def test_it_is_missing_where_it_can_not_be_set_aside_too(
    copied: StudyFolder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*paths: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "rename", refuse)
    for reader in (by_status, by_export, by_choice):
        assert reader(copied) == {SOUND}
    assert f"{DAMAGED} is damaged and can't be set aside" in caplog.text


def test_it_is_there_again_once_it_is_trained(copied: StudyFolder) -> None:
    assert status(copied).left == 1
    again = copied.write(make_result(TASK, 1, steps=9, scores=(0.5, 0.9)), TASK)
    assert again.status == "finished"
    assert copied.records().keys() == {SOUND, DAMAGED}
    text = "\n".join(format_status(status(copied)))
    assert "2 of 2 cells done" in text
    assert "set aside in corrupt/" in text
    assert "trained again" not in text


def test_a_missing_run_is_told_by_the_name_that_it_had(copied: StudyFolder) -> None:
    status(copied)
    with pytest.raises(CorruptRunError, match=rf"'{DAMAGED}' .* issue the study's command again"):
        copied.find_run(DAMAGED[:8])
    with pytest.raises(SeedlabError, match=r"has no run 'zz'"):
        copied.find_run("zz")


@pytest.mark.parametrize("content", ["[" * 100_000, "[]", '{"schema_version": Infinity}'])
def test_json_of_any_depth_and_type_is_damage(
    copied: StudyFolder, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    (copied.run_folder(SOUND) / "record.json").write_text(content)
    (copied.folder / "study.json").write_text(content)
    with caplog.at_level(logging.WARNING):
        assert status(copied).done == 0
    assert f"{SOUND} is damaged: record.json can't be parsed" in caplog.text
    assert "study.json is damaged" in caplog.text
    copied.begin([make_spec(0)])
    assert list(copied.planned()) == [SOUND]


def test_a_folder_in_the_place_of_a_file_is_damage(
    copied: StudyFolder, caplog: pytest.LogCaptureFixture
) -> None:
    for path in (copied.run_folder(SOUND) / "record.json", copied.folder / "study.json"):
        path.unlink()
        path.mkdir()
    assert status(copied).done == 0
    assert f"{SOUND} is damaged: record.json is a folder" in caplog.text
    copied.begin([make_spec(0)])
    assert list(copied.planned()) == [SOUND]


def test_a_file_in_the_place_of_a_runs_folder_is_damage(
    copied: StudyFolder, caplog: pytest.LogCaptureFixture
) -> None:
    """The run does not become a stopped one."""
    shutil.rmtree(copied.run_folder(SOUND))
    copied.run_folder(SOUND).write_text("mine")
    assert status(copied).done == 0
    assert f"{SOUND} is damaged: record.json is missing" in caplog.text
    assert (copied.folder / "corrupt" / SOUND).read_text() == "mine"
    again = copied.write(make_result(TASK, 0, steps=9), TASK)
    assert again.status == "finished"


def test_a_file_in_the_place_of_the_folder_of_runs_is_refused(copied: StudyFolder) -> None:
    shutil.rmtree(copied.folder / "stopped")
    (copied.folder / "stopped").write_text("mine")
    with pytest.raises(SeedlabError, match=r"stopped is a file, and a folder .* must be there"):
        status(copied)


def test_a_file_that_can_not_be_read_is_refused_and_not_set_aside(
    copied: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Path.read_bytes

    def denied(path: Path) -> bytes:
        if path.name in ("steps.parquet", "study.json"):
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", denied)
    with pytest.raises(SeedlabError, match=r"steps.parquet can't be read .* Make it readable"):
        copied.records()
    with pytest.raises(SeedlabError, match=r"study.json can't be read .* Make it readable"):
        copied.planned()
    assert copied.corrupt() == []
