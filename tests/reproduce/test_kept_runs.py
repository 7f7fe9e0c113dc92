"""Runs with `evaluation.keep=best`: their records, and everything that trains them again."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from seedlab.inputs.loaded import load_task_of
from seedlab.reproduce.compare import compare
from seedlab.reproduce.identify import with_hashes
from seedlab.reproduce.loss_surface import surface
from seedlab.reproduce.retrain import intermediate_checkpoint, repeat, save
from seedlab.spec.pack import form_packs
from seedlab.spec.run import RunSpec, Seeds
from seedlab.store.chosen import scored
from seedlab.store.study import StudyFolder
from seedlab.store.tables.export import export
from tests.suites.reference import forward
from tests.suites.stopping_cohort import ENGINE, EVALUATION, RECIPE, TASK, train


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """Two runs that keep their best evaluation, with a test set."""
    run = with_hashes(
        RunSpec(
            task=dataclasses.replace(TASK, dev_split="halved"),
            recipe=RECIPE,
            evaluation=dataclasses.replace(EVALUATION, keep="best"),
        )
    )
    runs = [dataclasses.replace(run, seeds=Seeds(init, 1).resolved()) for init in range(2)]
    found = StudyFolder(tmp_path_factory.mktemp("kept") / "study")
    found.begin(runs)
    train(found.folder, form_packs(runs, ENGINE))
    return found


def early(study: StudyFolder) -> list[str]:
    """Return the runs whose best evaluation is not their last."""
    found = [run for run, record in study.records().items() if record.weights_step < record.steps]
    assert len(found) == 2
    return found


def accuracy(folder: Path, study: StudyFolder, run_id: str, split: str) -> float:
    """Return the accuracy of a saved model that transformers loads."""
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    task = load_task_of(study.read(run_id).record.run_spec())
    part = task.splits[split]
    with torch.no_grad():
        logits = forward(model, part, np.arange(len(part)), task.pad_id).numpy()
    return float(np.mean(logits.argmax(1) == part.labels))


def test_records_and_tables_say_which_weights_were_kept(study: StudyFolder, tmp_path: Path) -> None:
    table = pd.read_csv(export(study, tmp_path) / "runs.csv").set_index("run")
    for run_id, record in study.records().items():
        curve = study.curve(record)
        first = min(curve, key=lambda step: (-curve[step], step))
        run = scored(study, record)
        assert (run.chosen_score, run.chosen_step) == (curve[first], first)
        assert (record.final_score, record.kept_step) == (curve[first], first)
        assert record.final_scores["dev"][record.metric] == curve[first]
        assert (record.steps, record.epochs_made) == (8, 2.0)
        row = table.loc[run_id]
        assert (row["keep"], row["kept_step"], row["chosen_step"]) == ("best", first, first)
        stored = study.read(run_id)
        hits = stored.arrays.logits["dev"].argmax(1) == stored.arrays.labels["dev"]
        assert hits.mean() == record.final_score
    assert early(study)


def test_the_saved_model_has_the_scores_it_is_chosen_by(study: StudyFolder, tmp_path: Path) -> None:
    run_id = early(study)[0]
    run = save(study, run_id, tmp_path / "model")
    assert accuracy(tmp_path / "model", study, run_id, "dev") == run.chosen_score
    assert accuracy(tmp_path / "model", study, run_id, "test") == run.record.test_score
    about = json.loads((tmp_path / "model" / "seedlab.json").read_text())
    assert (about["kept_step"], about["chosen_step"]) == (run.chosen_step, run.chosen_step)


@pytest.mark.slow
def test_verify_repeats_every_bit(study: StudyFolder) -> None:
    for run_id in study.records():
        stored = study.read(run_id)
        assert compare(stored, repeat(stored)).equal


@pytest.mark.slow
def test_the_next_task_and_the_surface_have_the_kept_weights(
    study: StudyFolder, tmp_path: Path
) -> None:
    """The start of an intermediate task, and the ends of a plane, are the saved models."""
    first, second = early(study)[:2]
    save(study, first, tmp_path / "model")
    start = intermediate_checkpoint(study, study.read(first).record)
    saved, used = (load_file(f / "model.safetensors") for f in (tmp_path / "model", start))
    assert saved.keys() == used.keys()
    assert all(torch.equal(saved[name], used[name]) for name in saved)
    found = surface(study, first, second, grid=3, low=0.0, high=1.0)
    loss = found.set_index("point").loc["failed", "loss"]
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "model").eval()
    task = load_task_of(study.read(first).record.run_spec())
    part = task.splits["train"]
    with torch.no_grad():
        logits = forward(model, part, np.arange(len(part)), task.pad_id)
    labels = torch.from_numpy(part.labels)
    assert loss == pytest.approx(float(torch.nn.functional.cross_entropy(logits, labels)), rel=1e-5)
