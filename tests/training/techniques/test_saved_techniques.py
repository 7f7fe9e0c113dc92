"""Runs with techniques that change the model, saved, loaded and scored."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import AutoModel, AutoModelForSequenceClassification

from seedlab.commands.cli import main
from seedlab.inputs.loaded import load_task_of
from seedlab.models.heads import HeadChoice
from seedlab.models.saved import read_model
from seedlab.store.study import find_study
from tests.suites.command_line import SMALL
from tests.suites.reference import forward

TECHNIQUES = {
    "lora": ["recipe.adapter.method=lora", "engine=serial"],
    "packed-lora": ["recipe.adapter.method=lora", "engine=packed"],
    "averaging": [
        "recipe.averaging.start_epoch=0.5", "recipe.averaging.learning_rate=1e-3", "engine=serial",
    ],
    "packed-averaging": [
        "recipe.averaging.start_epoch=0.5", "recipe.averaging.learning_rate=1e-3", "engine=packed",
    ],
    "concat": ["recipe.head.kind=concat", "recipe.head.layers=2"],
    "attention-lora": ["recipe.head.kind=attention", "recipe.adapter.method=lora"],
    "features": ["recipe.head.kind=scalar_mix", "recipe.head.layers=2", "recipe.features.active=true"],
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    before, folder = Path.cwd(), tmp_path_factory.mktemp("saved")
    os.chdir(folder)
    try:
        yield folder
    finally:
        os.chdir(before)


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_a_saved_model_has_the_recorded_logits(technique: str, place: Path) -> None:
    """Loaded from its files, with transformers' own attention: equal to float32 rounding.

    That holds for merged low-rank updates, for the average where it was scored, and for heads.
    """
    assert main(["run", f"study={technique}", *SMALL, *TECHNIQUES[technique]]) == 0
    assert main(["save", technique, "best", f"{technique}-model"]) == 0
    about = json.loads(Path(f"{technique}-model/seedlab.json").read_text())
    stored = find_study(technique).read(about["run"])
    folder = Path(f"{technique}-model")
    head = None if about["head"] is None else HeadChoice(**about["head"])
    state = torch.get_rng_state()
    model = read_model(folder, head)
    assert torch.equal(state, torch.get_rng_state())
    if head is None:
        # Plain files: transformers alone reads them.
        assert type(model) is type(AutoModelForSequenceClassification.from_pretrained(folder))
        assert not list(folder.glob("adapter*"))
    else:
        AutoModel.from_pretrained(folder, add_pooling_layer=False)
        assert (folder / "head.safetensors").is_file()
    assert about["merged_low_rank_updates"] == ("lora" in technique)
    task = load_task_of(stored.record.run_spec())
    dev = task.splits["dev"]
    logits = forward(model, dev, np.arange(len(dev)), task.pad_id).detach().numpy()
    np.testing.assert_allclose(logits, stored.arrays.logits["dev"], atol=2e-5)
    pd.DataFrame({"text": ["the dog sleeps .", "the dog sleep ."]}).to_csv("new.csv", index=False)
    assert main(["predict", str(folder), "new.csv", "--out", f"{technique}.csv"]) == 0
    assert len(pd.read_csv(f"{technique}.csv")) == 2
