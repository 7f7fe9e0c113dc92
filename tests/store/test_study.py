"""The plan, claims within one process, and finding a study by name."""

from __future__ import annotations

import json
import logging
import shutil
import threading

import pytest

from seedlab.errors import SeedlabError
from seedlab.store import run_folders
from seedlab.store.study import StudyFolder, find_study
from seedlab.store.study_lock import study_lock
from tests.suites.store_cases import make_result, make_spec, make_task


def test_the_plan_grows_and_keeps_its_order(study):
    first = [make_spec(init, order) for init in range(2) for order in range(2)]
    study.begin(first)
    created = json.loads((study.folder / "study.json").read_text())["created"]
    more = [make_spec(init, order, recipe="mosbach2021") for init in (5, 0) for order in (1,)]
    study.begin([*more, *first[:1]])
    planned = study.planned()
    assert list(planned) == [spec.run_id for spec in [*first, *more]]
    entry = planned[more[0].run_id]
    assert (entry.task, entry.model, entry.recipe) == ("acceptability", "embedded", "mosbach2021")
    assert entry.seeds["init"] == 5
    assert entry.seeds["dropout"] == 1
    assert json.loads((study.folder / "study.json").read_text())["created"] == created


def test_a_plan_that_adds_nothing_does_not_touch_the_file(study):
    study.begin([make_spec()])
    before = (study.folder / "study.json").stat().st_mtime_ns
    study.begin([make_spec()])
    assert (study.folder / "study.json").stat().st_mtime_ns == before


def test_concurrent_plans_all_count(study):
    threads = [threading.Thread(target=study.begin, args=([make_spec(i)],)) for i in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert study.planned().keys() == {make_spec(i).run_id for i in range(12)}


@pytest.mark.parametrize("content", ["", "[]", '{"schema_version": 1, "plan": {"a": {"b": 1}}}'])
def test_a_damaged_plan_is_reported_set_aside_and_made_again(study, task, caplog, content):
    record = study.write(make_result(task), task)
    (study.folder / "study.json").write_text(content)
    with caplog.at_level(logging.WARNING):
        assert study.planned() == {}
    assert "study.json is damaged" in caplog.text
    study.begin([make_spec(3)])
    assert list(study.planned()) == [make_spec(3).run_id]
    assert study.corrupt() == ["study.json.1"]
    assert study.records() == {record.run_id: record}


def test_a_newer_plan_is_refused_and_not_touched(study):
    study.begin([make_spec()])
    path = study.folder / "study.json"
    path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 7'))
    text = path.read_text()
    with pytest.raises(SeedlabError, match=r"schema version 7; this seedlab reads up to 1"):
        study.begin([make_spec(1)])
    assert path.read_text() == text


def test_a_claim_excludes_others_until_released(study):
    run_id = make_spec().run_id
    claim = study.claim(run_id)
    assert claim is not None
    with claim:
        assert study.claim(run_id) is None
        assert study.owners().keys() == {run_id}
        assert study.claim(make_spec(1).run_id) is not None
    assert study.owners() == {}
    assert list((study.folder / "claims").iterdir()) == []
    claim.release()


def test_a_claim_may_be_released_by_another_thread(study):
    claim = study.claim(make_spec().run_id)
    assert claim is not None
    thread = threading.Thread(target=claim.release)
    thread.start()
    thread.join()
    assert study.owners() == {}


def test_a_finished_run_can_not_be_claimed(study, task):
    record = study.write(make_result(task), task)
    assert study.claim(record.run_id) is None
    assert study.owners() == {}


def test_a_study_that_does_not_exist_yet_is_empty(study):
    assert study.records() == {}
    assert study.planned() == {}
    assert study.owners() == {}
    assert study.corrupt() == []
    assert not study.folder.exists()


def test_a_lock_that_stays_taken_is_reported(study):
    holding, done = threading.Event(), threading.Event()

    def hold() -> None:
        with study_lock(study.folder):
            holding.set()
            done.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    assert holding.wait(30)
    with (
        pytest.raises(SeedlabError, match=r"has held .*study.lock for 0.05 s"),
        study_lock(study.folder, patience_seconds=0.05),
    ):
        pass
    done.set()
    thread.join()


def test_studies_are_found_by_name_and_by_folder(study):
    study.begin([make_spec()])
    root = study.folder.parent
    assert find_study("grid", root).folder == study.folder
    assert find_study(study.folder).name == "grid"
    assert find_study(str(study.folder), "elsewhere").folder == study.folder


def test_a_missing_study_is_refused_with_a_similar_name(study, tmp_path):
    study.begin([make_spec()])
    root = study.folder.parent
    with pytest.raises(SeedlabError, match=r"'gird' does not exist .*there: grid\..*mean 'grid'\?"):
        find_study("gird", root)
    with pytest.raises(SeedlabError, match=r"holds no studies"):
        find_study("grid", tmp_path / "nothing")
    (root / "other").mkdir()
    with pytest.raises(SeedlabError, match=r"is no study \(it has neither study.json nor runs/\)"):
        find_study(root / "other", root)
    assert isinstance(find_study("grid", root), StudyFolder)


def test_a_claim_of_a_dead_process_on_a_recorded_run_is_removed(study):
    record = study.write(make_result(make_task(), 0), make_task())
    (study.folder / "claims").mkdir(exist_ok=True)
    for name in ("lock", "owner"):
        (study.folder / "claims" / f"{record.run_id}.{name}").touch()
    with study.claim(make_spec(1).run_id) as claim:
        study.begin([])
        left = {path.stem for path in (study.folder / "claims").iterdir()}
        assert left == {claim.run_id}


def test_a_run_without_a_record_is_missing(study):
    task = make_task()
    ids = [study.write(make_result(task, init), task).run_id for init in range(3)]
    assert run_folders.missing(study.folder, [*ids, "0" * 20]) == ["0" * 20]
    shutil.rmtree(study.run_folder(ids[0]))
    (study.run_folder(ids[2]) / "record.json").unlink()
    assert run_folders.missing(study.folder, ids) == [ids[0], ids[2]]
    assert run_folders.missing(study.folder, ()) == []
