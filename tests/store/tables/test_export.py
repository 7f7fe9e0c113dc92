from __future__ import annotations

import csv
import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from analysis.data.exported import read_study
from seedlab.errors import SeedlabError
from seedlab.spec.recipe import ClipSpec, OptimizerSpec, RecipeSpec
from seedlab.store.study import StudyFolder
from seedlab.store.tables.export import export
from tests.suites.store_cases import copy_runs, make_result, make_spec, make_task, watched

# The promised columns of each table, in their order.
PROMISED = {
    "runs": "run study task model recipe init_seed order_seed dropout_seed mixout_seed status "
    "failed constant metric direction majority n_examples split best_score best_step final_score "
    "test_score steps total_steps seconds engine width slot threads device learning_rate "
    "batch_size epochs max_steps",
    "evaluations": "run step fraction epoch split metric value",
    "steps": "run step train_loss learning_rate grad_norm",
    "predictions": "run split example label logits",
    "rates": "setting step depth rate",
}


def read(folder, name, format):
    return (pd.read_csv if format == "csv" else pd.read_parquet)(folder / f"{name}.{format}")


@pytest.fixture
def mixed(study: StudyFolder) -> StudyFolder:
    """Three classes with a test split, a regression, and a run that diverged."""
    three, numbers = make_task(n_labels=3, test=True), make_task(n_labels=1)
    study.write(make_result(three, 0, 1, scores=(0.3, 0.8)), three)
    spec = make_spec(task="similarity")
    study.write(make_result(numbers, 0, 0, scores=(0.2, 0.6), spec=spec), numbers)
    study.write(
        make_result(three, 1, 1, scores=(0.3, np.nan), status="diverged", threads=None), three
    )
    return study


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_the_tables_have_the_promised_columns_and_their_schema(mixed, format):
    folder = export(mixed, format=format)
    assert folder == mixed.folder / "tables"
    schema = json.loads((folder / "schema.json").read_text())
    assert schema["schema_version"] == 1
    assert list(schema["tables"]) == list(PROMISED)
    for name, columns in PROMISED.items():
        promised = columns.split()
        if format == "csv" and name == "predictions":
            promised[-1:] = ["logit_0", "logit_1", "logit_2"]
        frame = read(folder, name, format)
        assert list(frame.columns) == list(schema["tables"][name])
        assert [c for c in frame.columns if c in promised] == promised
        for entry in schema["tables"][name].values():
            assert entry.keys() - {"key"} == {"type", "meaning"}
            assert entry["type"] in {"string", "integer", "number", "boolean", "list of number"}
    assert sorted(p.name for p in folder.iterdir()) == sorted(
        [*(f"{name}.{format}" for name in PROMISED), "schema.json"]
    )


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_the_runs_table_holds_the_records(mixed, format):
    frame = read(export(mixed, format=format), "runs", format).set_index("run")
    for run_id, record in mixed.records().items():
        row = frame.loc[run_id]
        for name in ("task", "status", "failed", "constant", "metric", "best_step", "n_examples"):
            assert row[name] == getattr(record, name), name
        for name in ("majority", "best_score", "final_score", "seconds"):
            assert row[name] == pytest.approx(getattr(record, name), rel=1e-15)
        assert (row["study"], row["init_seed"]) == ("grid", record.seeds["init"])
        assert row["order_seed"] == row["dropout_seed"] == row["mixout_seed"]
        assert pd.isna(row["test_score"]) == (record.test_score is None)
        assert pd.isna(row["threads"]) == (record.threads is None)
        assert pd.isna(row["max_steps"])
        assert row["learning_rate"] == 2e-5
    assert frame["failed"].dtype == bool


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_curves_steps_and_logits_are_those_of_the_runs(mixed, format):
    folder = export(mixed, format=format)
    curves, steps, predictions = (
        read(folder, name, format) for name in ("evaluations", "steps", "predictions")
    )
    for run_id in mixed.records():
        arrays = mixed.read(run_id).arrays
        curve = curves[curves["run"] == run_id]
        np.testing.assert_array_equal(curve["value"], [e.value for e in arrays.evaluations])
        np.testing.assert_array_equal(curve["fraction"], [e.step / 6 for e in arrays.evaluations])
        assert list(curve["split"]) == [e.split for e in arrays.evaluations]
        trace = steps[steps["run"] == run_id]
        np.testing.assert_array_equal(trace["step"], np.arange(1, 7))
        np.testing.assert_array_equal(trace["train_loss"], arrays.losses)
        np.testing.assert_array_equal(trace["learning_rate"], arrays.learning_rates)
        for split, logits in arrays.logits.items():
            rows = predictions[(predictions["run"] == run_id) & (predictions["split"] == split)]
            np.testing.assert_array_equal(rows["example"], np.arange(len(logits)))
            np.testing.assert_array_equal(rows["label"], arrays.labels[split])
            if format == "parquet":
                values = np.stack(list(rows["logits"]))
            else:
                values = rows.filter(like="logit_").to_numpy()
                assert np.isnan(values[:, logits.shape[1] :]).all()
                values = values[:, : logits.shape[1]].astype(np.float32)
            np.testing.assert_array_equal(values, logits)


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_the_analysis_reads_the_tables_as_they_are(mixed, format):
    """The contract between the two packages; neither imports the other."""
    read_back = read_study(export(mixed, format=format))
    runs = read_back.runs.set_index("run")
    assert runs["complete"].all()
    for run_id, record in mixed.records().items():
        row = runs.loc[run_id]
        assert row["score"] == pytest.approx(record.best_score, rel=1e-15)
        assert row["final_score"] == pytest.approx(record.final_score, rel=1e-15)
        assert row["failed"] == record.failed
        assert row["higher_is_better"] == (record.direction == "max")
        curve = read_back.curves[read_back.curves["run"] == run_id]
        assert list(curve["fraction"]) == [0.0, 1.0]
        assert curve["score"].iloc[-1] == pytest.approx(record.final_score, rel=1e-15)
        rows = read_back.predictions[read_back.predictions["run"] == run_id]
        assert len(rows) == record.n_examples
        assert all(len(logits) == record.n_labels for logits in rows["logits"])


def test_csv_can_be_read_without_pandas(mixed):
    folder = export(mixed)
    with (folder / "runs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["failed"] for row in rows} <= {"true", "false"}
    assert {float(row["final_score"]) for row in rows} == {
        record.final_score for record in mixed.records().values()
    }


def test_names_with_commas_quotes_and_other_alphabets_survive(study, task):
    name = 'a "quoted", комма\nand a line'
    study.write(make_result(task, spec=make_spec(task=name)), task)
    for format in ("csv", "parquet"):
        assert read(export(study, format=format), "runs", format)["task"].tolist() == [name]


def test_runs_share_a_setting_when_they_differ_in_seeds_alone(study, task):
    faster = RecipeSpec(optimizer=OptimizerSpec(learning_rate=3e-5))
    softer = RecipeSpec(clip=ClipSpec(norm=2.0))
    for number, recipe in enumerate((RecipeSpec(), faster, softer)):
        for order in range(2):
            spec = dataclasses.replace(make_spec(), recipe=recipe)
            study.write(make_result(task, number, order, spec=spec), task)
    frame = read(export(study), "runs", "csv")
    assert frame.groupby("init_seed")["setting"].nunique().tolist() == [1, 1, 1]
    assert frame["setting"].nunique() == 3


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_diagnostics_are_those_of_the_runs_that_recorded_them(study, task, format):
    plain = study.write(make_result(task, 0), task)
    result = watched(make_result(task, 1))
    seen = study.write(result, task)
    folder = export(study, format=format)
    schema = json.loads((folder / "schema.json").read_text())
    assert list(schema["tables"]) == [*PROMISED, "profiles", "representations"]
    profiles = read(folder, "profiles", format)
    assert list(profiles.columns) == ["run", "step", "name", "depth", "value"]
    assert set(profiles["run"]) == {seen.run_id}
    rows = profiles.set_index(["name", "step", "depth"])["value"]
    for profile in result.profiles:
        for depth, value in enumerate(profile.values):
            assert rows[profile.name, profile.step, depth] == value
    tokens = pd.read_parquet(folder / "representations.parquet")
    assert set(tokens["run"]) == {seen.run_id}
    for row in tokens.itertuples():
        np.testing.assert_array_equal(row.values, result.representations[row.depth, row.example])
    assert len(tokens) == 9
    assert set(read(folder, "runs", format)["run"]) == {plain.run_id, seen.run_id}
    study_read = read_study(folder)
    assert len(study_read.profiles) == len(profiles)
    assert len(study_read.representations) == 9


def test_an_export_without_diagnostics_has_none_and_leaves_none_behind(study, task):
    seen = study.write(watched(make_result(task, 1)), task)
    folder = export(study, format="parquet")
    assert (folder / "profiles.parquet").is_file()
    study.write(make_result(task, 0), task)
    (study.run_folder(seen.run_id) / "record.json").write_text("{}")
    folder = export(study, format="parquet")
    assert not list(folder.glob("profiles.*"))
    assert not list(folder.glob("representations.*"))
    read_back = read_study(folder)
    assert read_back.profiles is None
    assert read_back.representations is None


def test_a_damaged_run_is_in_none_of_the_tables(study, task):
    sound = study.write(make_result(task, 0), task)
    harmed = study.write(make_result(task, 1), task)
    path = study.run_folder(harmed.run_id) / "predictions.parquet"
    data = bytearray(path.read_bytes())
    data[40] ^= 4
    path.write_bytes(bytes(data))
    folder = export(study)
    for name in PROMISED.keys() - {"rates"}:
        assert set(read(folder, name, "csv")["run"]) == {sound.run_id}
    assert study.corrupt() == [harmed.run_id]


def test_another_format_replaces_the_tables_and_a_folder_can_be_named(study, task, tmp_path):
    study.write(make_result(task), task)
    folder = export(study, tmp_path / "deep" / "tables")
    assert folder == tmp_path / "deep" / "tables"
    (folder / "notes.csv").write_text("mine")
    export(study, folder, "parquet")
    assert not (folder / "runs.csv").exists()
    assert (folder / "runs.parquet").exists()
    assert (folder / "notes.csv").exists()


def test_a_failing_export_leaves_the_old_tables(study, task, monkeypatch):
    study.write(make_result(task), task)
    before = (export(study) / "runs.csv").read_bytes()
    study.write(make_result(task, 1), task)
    monkeypatch.setattr("seedlab.store.tables.export.write_synced", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        export(study)
    assert (study.folder / "tables" / "runs.csv").read_bytes() == before
    assert len(list((study.folder / "tables").iterdir())) == 6


def test_nothing_to_export_and_an_unknown_format_are_refused(study, task):
    with pytest.raises(SeedlabError, match=r"study 'grid' has no finished run to export"):
        export(study)
    study.write(make_result(task), task)
    with pytest.raises(SeedlabError, match=r"'parket' does not exist.*Did you mean 'parquet'"):
        export(study, format="parket")


@pytest.mark.slow
def test_2100_runs_are_exported(study, no_sync):
    task = make_task(dev=277)
    copy_runs(study, make_result(task, scores=(0.5,) * 30, steps=300), task, 2100)
    assert len(read(export(study), "evaluations", "csv")) == 2100 * 30


@pytest.mark.parametrize("name", ["runs.csv", "steps.parquet", "schema.json"])
def test_tables_of_others_are_refused_and_kept(mixed, tmp_path, name):
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text("[]")
    with pytest.raises(SeedlabError, match=rf"holds {name}, which no export .* --overwrite"):
        export(mixed, out)
    assert [path.name for path in out.iterdir()] == [name]
    export(mixed, out, overwrite=True)
    assert (out / "runs.csv").is_file()
    export(mixed, out, "parquet")  # its own tables are replaced
    assert not (out / "runs.csv").exists()
