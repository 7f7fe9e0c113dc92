"""`seedlab surface`: two recorded runs, their start, and the loss between them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from seedlab.cli import main
from seedlab.errors import SeedlabError
from seedlab.launch.execute import load_task_of
from seedlab.store.study import Study, find_study
from seedlab.surface import COLUMNS, choose_examples, grid_axis, surface

SMALL = [
    "task=acceptability", "task.examples=64", "task.dev_examples=48", "recipe.max_steps=6",
    "recipe.optimizer.learning_rate=1e-3", "hydra.launcher.slots=1", "engine.threads=1",
]  # fmt: skip


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Study]:
    """Two runs that differ in both seeds, and one on other data."""
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("work"))
    try:
        assert main(["run", "-m", "study=two", *SMALL, "seed.init=0,1", "seed.order=1"]) == 0
        other = [text.replace("examples=64", "examples=60") for text in SMALL]
        assert main(["run", "-m", "study=two", *other, "seed.init=0", "seed.order=0"]) == 0
        yield find_study("two")
    finally:
        os.chdir(before)


def of_seeds(study: Study, init: int, order: int) -> str:
    seeds = {"init": init, "order": order}
    found = [i for i, r in study.finished().items() if seeds.items() <= r.seeds.items()]
    assert len(found) == 1
    return found[0]


def loss_of_saved(folder: Path, study: Study, run: str) -> float:
    """The training loss of a model that transformers loads, one text at a time."""
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    split = load_task_of(study.read(run).record.run_spec()).splits["train"]
    losses = []
    with torch.no_grad():
        for i in range(len(split)):
            part = slice(split.offsets[i], split.offsets[i + 1])
            ids = torch.from_numpy(split.ids[part].astype(np.int64))[None]
            logits = model(input_ids=ids).logits.double()
            label = torch.as_tensor(split.labels[i : i + 1])
            losses.append(float(torch.nn.functional.cross_entropy(logits, label)))
    return float(np.mean(losses))


def test_the_ends_have_the_losses_of_the_saved_models(study: Study, tmp_path: Path) -> None:
    runs = [of_seeds(study, 0, 1), of_seeds(study, 1, 1)]
    assert main(["surface", "two", *runs, "--grid", "3", "--low", "0", "--high", "1"]) == 0
    table = pd.read_csv(study.folder / "surfaces" / f"{runs[0]}-{runs[1]}.csv")
    assert list(table.columns) == COLUMNS
    assert len(table) == 9
    named = table.dropna(subset="point").set_index("point")["loss"]
    for name, run in zip(("failed", "successful"), runs, strict=True):
        assert main(["save", "two", run, str(tmp_path / name)]) == 0
        expected = loss_of_saved(tmp_path / name, study, run)
        # Batches are padded here and not there: single precision.
        assert named[name] == pytest.approx(expected, rel=1e-5)
    # A fresh head of two classes: nearly the entropy of a coin.
    assert named["start"] == pytest.approx(np.log(2), abs=0.05)
    corners = table.dropna(subset="point").set_index("point")[["a", "b"]]
    assert corners.loc["failed"].tolist() == [1, 0]
    assert corners.loc["successful"].tolist() == [0, 1]


def test_the_start_is_that_of_the_run_that_is_named(study: Study) -> None:
    """Runs of two init seeds begin with different heads; both ends are what they are."""
    runs = of_seeds(study, 0, 1), of_seeds(study, 1, 1)
    options = {"grid": 3, "low": 0.0, "high": 1.0, "examples": 20}
    tables = {
        start: surface(study, *runs, start=start, **options).set_index("point")["loss"]
        for start in ("failed", "successful")
    }
    assert tables["failed"]["start"] != tables["successful"]["start"]
    for end in ("failed", "successful"):
        assert tables["failed"][end] == tables["successful"][end]
    swapped = surface(study, *runs[::-1], start="failed", **options).set_index("point")["loss"]
    assert swapped["start"] == tables["successful"]["start"]
    assert swapped["failed"] == tables["failed"]["successful"]


def test_what_makes_no_plane_is_refused_before_training(study: Study, tmp_path: Path) -> None:
    one, two, other = of_seeds(study, 0, 1), of_seeds(study, 1, 1), of_seeds(study, 0, 0)
    with pytest.raises(SeedlabError, match=r"was named twice; a plane needs the ends of two runs"):
        surface(study, one, one[:8])
    with pytest.raises(SeedlabError, match=r"have different data \(.*two runs of one task and mod"):
        surface(study, one, other)
    with pytest.raises(SeedlabError, match=r"start is 'best'; allowed: failed, successful"):
        surface(study, one, two, start="best")
    with pytest.raises(SeedlabError, match=r"examples is 65; it must be from 1 to the 64 training"):
        surface(study, one, two, examples=65)
    assert main(["surface", "two", one, two, "--out", str(tmp_path / "a.png")]) == 2
    assert main(["surface", "two", one, two, "--low", "0.5"]) == 2


@pytest.mark.parametrize("grid", [3, 5, 10, 25, 26])
def test_every_grid_holds_0_and_1(grid: int) -> None:
    axis = grid_axis(grid, -0.5, 1.5)
    assert len(axis) == grid
    assert {0.0, 1.0} <= set(axis.tolist())
    assert (np.diff(axis) > 0).all()
    assert (axis[0] == -0.5) or grid == 3


def test_bad_grids_are_refused() -> None:
    with pytest.raises(SeedlabError, match=r"grid is 2; it must be at least 3"):
        grid_axis(2, -0.5, 1.5)
    with pytest.raises(SeedlabError, match=r"range is 0.5 to 1.5; it must hold 0"):
        grid_axis(9, 0.5, 1.5)


def test_a_smaller_choice_of_examples_is_part_of_a_larger(study: Study) -> None:
    split = load_task_of(study.read(of_seeds(study, 0, 1)).record.run_spec()).splits["train"]
    few, more = choose_examples(split, 5), choose_examples(split, 30)
    assert set(few) < set(more)
    assert len(set(more)) == 30
    np.testing.assert_array_equal(choose_examples(split, None), np.arange(64))
