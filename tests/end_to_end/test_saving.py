"""Exports of a study: tables, and saved models that predict."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from seedlab.commands.cli import main
from seedlab.store.chosen import scored
from seedlab.store.study import find_study
from tests.suites.command_line import SMALL
from tests.suites.small_grid import records


def test_export_writes_the_tidy_tables(place: Path) -> None:
    assert main(["export", "small", "--out", "tables"]) == 0
    runs = pd.read_csv("tables/runs.csv")
    evaluations = pd.read_csv("tables/evaluations.csv")
    assert len(runs) == len(records())
    assert {"run", "init_seed", "order_seed", "best_score", "failed", "engine"} <= set(runs)
    best = evaluations[(evaluations.split == "dev") & (evaluations.metric == runs.metric[0])]
    np.testing.assert_allclose(
        runs.set_index("run").best_score, best.groupby("run").value.max()[runs.run], rtol=1e-12
    )


def test_a_saved_model_predicts_the_recorded_logits(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Loaded by transformers with its own attention: equal up to float32 rounding."""
    from seedlab.inputs.loaded import load_task_of
    from tests.suites.reference import forward

    assert main(["save", "small", "best", "best-model"]) == 0
    assert "bitwise equal to its record" in capsys.readouterr().out
    about = json.loads(Path("best-model/seedlab.json").read_text())
    assert len({file.stat().st_mode for file in Path("best-model").iterdir()}) == 1
    stored = find_study("small").read(about["run"])
    run = scored(find_study("small"), stored.record)
    assert (about["chosen_score"], about["chosen_step"]) == (run.chosen_score, run.chosen_step)
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained("best-model").eval()
    task = load_task_of(stored.record.run_spec())
    dev = task.splits["dev"]
    logits = forward(model, dev, np.arange(len(dev)), task.pad_id).detach().numpy()
    np.testing.assert_allclose(logits, stored.arrays.logits["dev"], atol=2e-5)
    table = pd.DataFrame({"text": ["the dog sleeps .", "the dog sleep ."], "id": [1, 2]})
    table.to_csv("new.csv", index=False)
    assert main(["predict", "best-model", "new.csv", "--out", "scored.csv"]) == 0
    predicted = pd.read_csv("scored.csv")
    assert list(predicted.id) == [1, 2]
    shares = predicted[[c for c in predicted if c.startswith("p_")]]
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, rtol=1e-5)
    assert main(["save", "small", "best", "best-model"]) == 2
    assert "exists and is not an empty folder" in capsys.readouterr().err


def test_a_model_of_pairs_wants_both_texts(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A single text would be half an example. An unusable output path is refused first."""
    pairs = [a.replace("acceptability", "similarity") for a in SMALL]
    assert main(["run", "study=pairs", *pairs]) == 0
    assert main(["save", "pairs", "best", "new.csv/model"]) == 2
    assert "can't be made (Not a directory)" in capsys.readouterr().err
    assert main(["save", "pairs", "best", "pair-model"]) == 0
    pd.DataFrame({"text_a": ["a dog sleeps ."], "b": ["a cat ."]}).to_csv("pairs.csv", index=False)
    assert main(["predict", "pair-model", "pairs.csv"]) == 2
    assert "has no column 'text_b'; it has text_a, b." in capsys.readouterr().err
    assert main(["predict", "pair-model", "pairs.csv", "--text-pair", "b"]) == 0
    assert "prediction" in capsys.readouterr().out
    assert main(["predict", "pair-model", "pairs.csv", "--text-pair", "b", "--out", "x/y.csv"]) == 2
    assert "x/y.csv can't be written" in capsys.readouterr().err
