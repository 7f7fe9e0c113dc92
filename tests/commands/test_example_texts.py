"""`seedlab export --examples`: texts of the scored examples, which a report reads again."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import pytest

from analysis.comparison.examples import read_examples
from analysis.data.exported import read_study
from analysis.data.predictions import predictions_of
from seedlab.commands.cli import main
from seedlab.inputs.content import load_encoded
from seedlab.spec.run import TaskSpec
from seedlab.store.study import StudyFolder
from tests.suites.store_cases import make_result, make_spec

TEXTS = ["the dog sleeps .", "the cats, see", "a cat\nsleeps", "dogs see the cat ."]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("train", "dev"):
        with (folder / f"{name}.csv").open("w", newline="") as file:
            rows = [(text, f"second {k}", "no" if k % 2 else "yes") for k, text in enumerate(TEXTS)]
            csv.writer(file).writerows([("said", "then", "is"), *rows])
    return folder


def spec_of(folder: Path, **settings: object) -> TaskSpec:
    named = TaskSpec("mine", "table", str(folder), train_file="train.csv", dev_file="dev.csv")
    named = dataclasses.replace(
        named, text="said", text_pair="then", label="is", labels=("no", "yes")
    )
    return dataclasses.replace(named, **settings)  # type: ignore[arg-type]


def add_run(study: StudyFolder, task: TaskSpec, init: int = 0) -> None:
    run = dataclasses.replace(make_spec(init), task=task)
    encoded = load_encoded(task, run.model, 0)
    run = dataclasses.replace(run, data_hash=encoded.content_hash())
    study.write(make_result(encoded, init, spec=run), encoded)


def test_texts_are_exported_and_read_by_the_analysis(
    study: StudyFolder, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for init in range(2):
        add_run(study, spec_of(files), init)
    verb = ["export", str(study.folder), "--examples"]
    assert main(verb) == 0, capsys.readouterr().err
    path = study.folder / "tables" / "examples.csv"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["text"] for row in rows] == TEXTS
    assert rows[1] | {"text": ""} == {
        "task": "mine", "split": "dev", "example": "1", "label": "0", "text": "", "pair": "second 1"
    }  # fmt: skip
    found = predictions_of(read_examples(path, read_study(study.folder / "tables")))
    assert found is not None
    assert found.texts is not None
    assert found.texts[2] == "a cat sleeps | second 2"
    assert main(["export", str(study.folder)]) == 0
    assert path.is_file()
    path.write_text(path.read_text().replace("pair\n", "pair,cluster\n", 1))
    assert main(verb) == 2
    assert "has other columns than task, split" in capsys.readouterr().err
    assert "cluster" in path.read_text()
    assert main([*verb, "--overwrite"]) == 0
    assert "cluster" not in path.read_text()


def test_an_example_has_one_text(
    study: StudyFolder, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for fold in range(2):
        add_run(study, spec_of(files, dev_file=None, folds=2, fold=fold), fold)
    assert main(["export", str(study.folder), "--examples"]) == 2
    assert "task 'mine' were scored on different examples" in capsys.readouterr().err
    assert not (study.folder / "tables").exists()


def test_data_that_changed_are_refused(
    study: StudyFolder, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add_run(study, spec_of(files))
    dev = files / "dev.csv"
    dev.write_text(dev.read_text().replace("dogs see", "cats see"))
    load_encoded.cache_clear()
    assert main(["export", str(study.folder), "--examples"]) == 2
    assert "the data of task 'mine' has changed" in capsys.readouterr().err
