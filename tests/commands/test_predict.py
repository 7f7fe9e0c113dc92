"""Predictions of a saved model: texts are cut as they were in training."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from seedlab.commands.cli import main
from seedlab.commands.verbs.predict import predict
from seedlab.errors import SeedlabError
from seedlab.models.checkpoint_folder import EMBEDDED
from seedlab.models.saved import ABOUT


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier with a random head, as `seedlab save` writes one but for what it is about."""
    folder = tmp_path_factory.mktemp("model")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        made = AutoModelForSequenceClassification.from_pretrained(EMBEDDED)
    made.save_pretrained(folder)
    AutoTokenizer.from_pretrained(EMBEDDED).save_pretrained(folder)
    return folder


def shares(model: Path, place: Path, texts: list[str], **about: Any) -> list[float]:
    task = {"text": "text", "text_pair": None, "max_length": 6}
    (model / ABOUT).write_text(json.dumps({"task": task, "pairs": False, "n_labels": 2, **about}))
    pd.DataFrame({"text": texts}).to_csv(place / "texts.csv", index=False)
    table = predict(model, place / "texts.csv")
    return [float(value) for value in table["p_LABEL_0"]]


LONG = "the dog that the cats see sleeps ."


@pytest.mark.parametrize(
    ("about", "left"),
    [
        ({}, "the dog that the"),  # saved before there was a choice
        ({"truncation": {"keep": "head", "head": 128}}, "the dog that the"),
        ({"truncation": {"keep": "tail", "head": 128}}, "cats see sleeps ."),
        ({"truncation": {"keep": "tail", "novel": 1}, "novel": 2}, "cats see sleeps ."),
        ({"truncation": {"keep": "head_tail", "head": 1}}, "the see sleeps ."),
    ],
)
def test_a_long_text_is_cut_as_in_training(
    model: Path, tmp_path: Path, about: dict[str, Any], left: str
) -> None:
    """The text alone and cut by hand are equal to float32 rounding (rows of a batch may differ);
    what other ways would keep is further away by far.
    """
    (whole, short, _) = shares(model, tmp_path, [LONG, left, "the dog"], **about)
    assert whole == pytest.approx(short, abs=1e-6)
    others = {"the dog that the", "cats see sleeps .", "the see sleeps ."} - {left}
    for other in shares(model, tmp_path, sorted(others), **about):
        assert abs(whole - other) > 1e-4


def test_texts_of_unknown_words_are_scored_with_a_warning(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shares(model, tmp_path, [LONG])
    assert capsys.readouterr().err == ""
    shares(model, tmp_path, ["the dog", "quarterly revenues"])
    assert "50.0% of the tokens are unknown to the model's tokenizer" in capsys.readouterr().err


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1000])


def poison(folder: Path) -> None:
    """Leave a pickle alone that writes a file when it is loaded."""
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(
        b"cposix\nsystem\n(S'touch " + str(folder / "poisoned").encode() + b"'\ntR."
    )


def without(folder: Path, name: str) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors.pop(name)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def change(file: Path, **values: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda f: truncate(f / "model.safetensors"), r"no sound model \(SafetensorError"),
        (lambda f: truncate(f / "tokenizer.json"), r"tokenizer in .* could not be loaded"),
        (lambda f: (f / "config.json").write_text("{"), r"could not be loaded|no sound model"),
        (lambda f: change(f / "config.json", vocab_size=7), r"no sound model|lacks .* tensors"),
        (lambda f: without(f, "classifier.weight"), r"lacks 1 tensors .*: classifier.weight\)"),
        (lambda f: (f / ABOUT).write_text("[" * 100_000), r"no sound model \(RecursionError"),
        (lambda f: (f / ABOUT).write_text("[]"), r"no sound model \(KeyError: 'task'\)"),
        (lambda f: (f / ABOUT).write_bytes(b"\xff"), r"no sound model \(UnicodeDecodeError"),
        (lambda f: change(f / ABOUT, n_labels=-1), r"n_labels in seedlab.json is -1"),
        (lambda f: change(f / ABOUT, n_labels=3), r"no sound model \(KeyError"),
        (lambda f: change(f / ABOUT, head={"x": 1}), r"no sound model \(TypeError"),
        (poison, r"no sound model \(OSError: .*model.safetensors"),
    ],
    ids=[
        *("truncated weights", "truncated tokenizer", "configuration", "another vocabulary"),
        *("a tensor less", "nested", "a list", "no text", "labels below 0", "labels of others"),
        *("head", "a pickle"),
    ],
)
def test_a_damaged_or_hostile_model_is_refused_and_runs_nothing(
    model: Path, tmp_path: Path, harm: Callable[[Path], object], message: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model, folder)
    task = {"text": "text", "text_pair": None, "max_length": 6}
    (folder / ABOUT).write_text(json.dumps({"task": task, "pairs": False, "n_labels": 2}))
    harm(folder)
    (tmp_path / "texts.csv").write_text("text\nthe dog\n")
    with pytest.raises(SeedlabError, match=message):
        predict(folder, tmp_path / "texts.csv")
    assert not (folder / "poisoned").exists()


def test_half_a_character_is_refused(model: Path, tmp_path: Path) -> None:
    shares(model, tmp_path, ["the dog"])
    (tmp_path / "texts.jsonl").write_text('{"text": "a"}\n{"text": "the \\ud83d"}\n')
    with pytest.raises(SeedlabError, match=r"line 2, column 'text': .* half of a character"):
        predict(model, tmp_path / "texts.jsonl")


def test_a_model_that_a_newer_release_saved_is_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(SeedlabError, match=r"seedlab.json has schema version 2; this seedlab read"):
        shares(model, tmp_path, ["the dog"], schema_version=2)


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("texts.csv", "--out texts.csv is the file that is scored, and would replace it"),
        ("./../{}/texts.csv", "is the file that is scored"),
        (
            "no/folder.csv",
            "no/folder.csv can't be written (No such file or directory); it must be a file",
        ),
        (".", ". can't be written (Is a directory)"),
        ("texts.csv/x", "texts.csv/x can't be written (a file is in the way)"),
    ],
)
def test_a_place_for_predictions_is_refused_before_anything_is_scored(
    out: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def never(*_: object, **__: object) -> None:
        pytest.fail("texts were scored")

    monkeypatch.setattr("seedlab.commands.verbs.predict.predict", never)
    monkeypatch.chdir(tmp_path)
    Path("texts.csv").write_text("text\nthe dog\n")
    assert main(["predict", "model", "texts.csv", "--out", out.format(tmp_path.name)]) == 2
    assert said in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["texts.csv"]
    assert Path("texts.csv").read_text() == "text\nthe dog\n"
