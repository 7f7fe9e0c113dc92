"""What another release of seedlab wrote is read, kept and never taken for something else."""

from __future__ import annotations

import dataclasses
import json
import logging
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from seedlab.errors import CorruptRunError, SeedlabError
from seedlab.spec.early_stopping import EarlyStoppingSpec
from seedlab.spec.run import RunSpec
from seedlab.store.atomic_files import digest, dump_json
from seedlab.store.decisions import Decisions
from seedlab.store.make_record import make_record
from seedlab.store.run_arrays import columns_of, decode, encode, from_parquet, to_parquet
from seedlab.store.run_folders import publish
from seedlab.store.study import StudyFolder
from seedlab.store.tables.export import export
from tests.suites.store_cases import make_result, make_spec, make_task, watched

TASK = make_task()


def rewrite(study: StudyFolder, run: str, change: Any) -> None:
    """Change what is on record of a run, and seal it as its own release would have."""
    path = study.run_folder(run) / "record.json"
    sealed = json.loads(path.read_text())
    change(sealed["record"])
    body = [sealed["schema_version"], sealed["files"], sealed["record"]]
    sealed["sha256"] = digest(json.dumps(body, sort_keys=True).encode())
    path.write_bytes(dump_json(sealed))


def test_an_old_and_a_new_record_lie_in_one_study(study):
    old, new, plain = (study.write(make_result(TASK, init), TASK) for init in range(3))

    def age(record: dict[str, Any]) -> None:
        del record["slot"], record["provenance"], record["spec"]["recipe"]["truncation"]
        del record["seeds"]["augment"], record["spec"]["seeds"]["augment"]

    def renew(record: dict[str, Any]) -> None:
        record |= {"energy": 3.5}
        record["seeds"]["shuffle"] = 4
        record["spec"]["recipe"]["sharpness"] = {"rho": 0.0}

    rewrite(study, old.run_id, age)
    rewrite(study, new.run_id, renew)
    records = study.records()
    assert (records[old.run_id].slot, records[old.run_id].provenance) == (0, {})
    assert records[new.run_id].extra == {"energy": 3.5}
    assert {run: record.run_spec().run_id for run, record in records.items()} == {
        run: run for run in (old.run_id, new.run_id, plain.run_id)
    }
    table = pd.read_csv(export(study) / "runs.csv")
    assert list(table["augment_seed"]) == [0, 0, 0]
    # The unknown field has no part in the recorded name: the runs differ in their seeds alone.
    assert table["setting"].nunique() == 1


def test_an_unknown_field_that_decides_makes_a_setting_of_its_own(study):
    study.write(make_result(TASK, 0), TASK)
    record = make_record(make_result(TASK, 1), TASK)
    record.spec["recipe"]["sharpness"] = {"rho": 0.05}
    other = dataclasses.replace(record, run_id="f" * 20)
    publish(study.folder, other, encode(make_result(TASK, 1), TASK))
    table = pd.read_csv(export(study) / "runs.csv")
    assert table["setting"].nunique() == 2
    assert study.claim(make_spec(1).run_id) is not None, "it was taken for the run without it"


def test_a_record_without_an_outcome_is_set_aside_and_the_study_opens(study, caplog):
    lost, kept = (study.write(make_result(TASK, init), TASK).run_id for init in range(2))
    rewrite(study, lost, lambda record: record.pop("final_score"))
    with caplog.at_level(logging.WARNING):
        assert list(study.records()) == [kept]
    assert "lacks required fields: final_score" in caplog.text
    assert study.corrupt() == [lost]


def test_a_plan_keeps_the_entries_of_another_release(study):
    study.begin([make_spec(0)])
    path = study.folder / "study.json"
    values = json.loads(path.read_text())
    values["owner"] = "somebody"
    values["plan"][make_spec(0).run_id]["priority"] = 3
    path.write_text(json.dumps(values))
    study.begin([make_spec(1)])
    after = json.loads(path.read_text())
    assert after["owner"] == "somebody"
    assert after["plan"][make_spec(0).run_id]["priority"] == 3
    assert list(study.planned()) == [make_spec(0).run_id, make_spec(1).run_id]
    assert study.planned()[make_spec(0).run_id].extra == {"priority": 3}


def without(data: bytes, *names: str) -> bytes:
    return to_parquet(from_parquet(data).drop_columns([*names]))


def test_arrays_with_other_columns_are_read():
    result = watched(make_result(TASK))
    files = encode(result, TASK)
    for name, data in files.items():
        table = from_parquet(data)
        files[name] = to_parquet(table.append_column("novel", pa.array([1] * len(table))))
    again = decode(files)
    assert again.evaluations == result.evaluations
    assert again.profiles == result.profiles
    files["evaluations.parquet"] = without(files["evaluations.parquet"], "epoch")
    files["steps.parquet"] = without(files["steps.parquet"], "grad_norm")
    again = decode(files)
    assert np.isnan([e.epoch for e in again.evaluations]).all()
    assert np.isnan(again.grad_norms).all()
    assert again.grad_norms.dtype == np.float64
    assert again.losses.tobytes() == result.losses.tobytes()


def test_arrays_without_a_required_column_are_refused_by_name():
    files = encode(make_result(TASK), TASK)
    files["steps.parquet"] = without(files["steps.parquet"], "train_loss")
    with pytest.raises(
        CorruptRunError,
        match=r"steps.parquet lacks required columns: train_loss; it has step, learning_rate, grad",
    ):
        columns_of(files, "steps", ["train_loss"])


def test_a_column_that_a_release_did_not_write_is_empty_in_the_tables(study):
    record = make_record(make_result(TASK), TASK)
    files = encode(make_result(TASK), TASK)
    files["steps.parquet"] = without(files["steps.parquet"], "grad_norm")
    publish(study.folder, record, files)
    steps = pd.read_csv(export(study) / "steps.csv")
    assert steps["grad_norm"].isna().all()
    assert steps["train_loss"].notna().all()


def seal(path: Any, values: dict[str, Any]) -> None:
    path.write_bytes(dump_json({"sha256": digest(dump_json(values)), **values}))


def test_a_decision_keeps_unknown_entries_and_a_newer_one_is_refused(tmp_path):
    decisions = Decisions(tmp_path, "cohort")
    policy = dataclasses.asdict(EarlyStoppingSpec())
    decisions.write("plan", {"policy": policy})
    path = decisions.folder / "plan.json"
    seal(path, {"schema_version": 1, "content": {"policy": policy, "novel": 1}, "by": "me"})
    assert decisions.write("plan", {"policy": {}}) == {"policy": policy, "novel": 1}
    seal(path, {"schema_version": 2, "content": {}})
    before = path.read_bytes()
    with pytest.raises(SeedlabError, match=r"plan.json has schema version 2; this seedlab reads"):
        decisions.read("plan")
    assert path.read_bytes() == before


def test_a_run_with_settings_that_nobody_here_knows_is_not_repeated(study):
    from seedlab.reproduce.retrain import repeat

    spec = json.loads(json.dumps(make_spec().to_dict()))
    spec["recipe"]["sharpness"] = {"rho": 0.05}
    run = RunSpec.from_dict(spec, "f" * 20)
    record = dataclasses.replace(make_record(make_result(TASK), TASK), run_id="f" * 20, spec=spec)
    assert run.unknown.decide
    publish(study.folder, record, encode(make_result(TASK), TASK))
    with pytest.raises(
        SeedlabError, match=r'does not know \(recipe.sharpness=\{"rho": 0.05\}\); use the seedlab'
    ):
        repeat(study.read("f" * 20))
