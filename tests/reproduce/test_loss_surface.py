"""`seedlab surface`: two recorded runs, their start, and the loss between them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from analysis.data.exported import read_study
from seedlab.commands.cli import main
from seedlab.errors import SeedlabError
from seedlab.inputs.loaded import load_task_of
from seedlab.reproduce.loss_surface import COLUMNS, choose_examples, grid_axis, surface
from seedlab.store.study import StudyFolder, find_study

SMALL = [
    "task=acceptability", "task.examples=64,60", "task.dev_examples=48", "recipe.max_steps=6",
    "recipe.optimizer.learning_rate=1e-3", "hydra.launcher.slots=1", "engine.threads=1",
    "diagnostics.gradient_norms=2", "diagnostics.distances=true", "diagnostics.representations=8",
]  # fmt: skip


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudyFolder]:
    """Two runs that differ in their heads, and the same seeds on other data."""
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("work"))
    try:
        assert main(["run", "-m", "study=two", *SMALL, "seed.init=0,1", "seed.order=1"]) == 0
        yield find_study("two")
    finally:
        os.chdir(before)


def named(study: StudyFolder, init: int, examples: int = 64) -> str:
    found = [
        run_id
        for run_id, record in study.records().items()
        if (record.seeds["init"], record.train_examples) == (init, examples)
    ]
    assert len(found) == 1
    return found[0]


def loss_of_saved(folder: Path, study: StudyFolder, run: str) -> float:
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


def test_the_ends_have_the_losses_of_the_saved_models(study: StudyFolder, tmp_path: Path) -> None:
    runs = [named(study, 0), named(study, 1)]
    assert main(["surface", "two", *runs, "--grid", "3", "--low", "0", "--high", "1"]) == 0
    table = pd.read_csv(study.folder / "surfaces" / f"{runs[0]}-{runs[1]}.csv")
    assert list(table.columns) == COLUMNS
    assert len(table) == 9
    losses = table.dropna(subset="point").set_index("point")["loss"]
    for name, run in zip(("failed", "successful"), runs, strict=True):
        assert main(["save", "two", run, str(tmp_path / name)]) == 0
        expected = loss_of_saved(tmp_path / name, study, run)
        # Batches are padded here and not there: single precision.
        assert losses[name] == pytest.approx(expected, rel=1e-5)
    # A fresh head of two classes: nearly the entropy of a coin.
    assert losses["start"] == pytest.approx(np.log(2), abs=0.05)
    corners = table.dropna(subset="point").set_index("point")[["a", "b"]]
    assert corners.loc["failed"].tolist() == [1, 0]
    assert corners.loc["successful"].tolist() == [0, 1]


def test_the_start_is_that_of_the_run_that_is_named(study: StudyFolder) -> None:
    """Runs of two init seeds begin with different heads; both ends are what they are."""
    runs = named(study, 0), named(study, 1)
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


def test_what_makes_no_plane_is_refused_before_training(study: StudyFolder, tmp_path: Path) -> None:
    one, two, other = named(study, 0), named(study, 1), named(study, 0, 60)
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


def test_diagnostics_asked_for_on_the_command_line_are_exported(study: StudyFolder) -> None:
    assert main(["export", "two"]) == 0
    read = read_study(study.folder / "tables")
    assert read.profiles is not None
    assert read.representations is not None
    steps = read.profiles.groupby("name")["step"].unique().map(set).to_dict()
    # Evaluations are at the start, after an epoch of 64 (60) examples in batches of 16, and last.
    assert steps == {"gradient_norm": {0, 2, 4}, "distance": {0, 4, 6}}
    assert read.profiles["run"].nunique() == 4
    # Two layers, embeddings, and head with pooler; the head has no hidden state.
    assert set(read.profiles["depth"]) == {0, 1, 2, 3}
    assert read.representations.groupby(["run", "depth"]).size().tolist() == [8] * 12


@pytest.mark.slow
def test_the_report_draws_the_surfaces_of_a_study(study: StudyFolder, tmp_path: Path) -> None:
    runs = [named(study, 0), named(study, 1)]
    assert main(["surface", "two", *runs, "--grid", "3", "--examples", "9"]) == 0
    assert main(["report", "two", "--out", str(tmp_path / "report")]) == 0
    for stem in ("surface-1", "gradients-acceptability", "cka-acceptability"):
        found = list((tmp_path / "report" / "figures").glob(f"{stem}*.svg"))
        assert found, stem


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


def test_a_smaller_choice_of_examples_is_part_of_a_larger(study: StudyFolder) -> None:
    split = load_task_of(study.read(named(study, 0)).record.run_spec()).splits["train"]
    few, more = choose_examples(split, 5), choose_examples(split, 30)
    assert set(few) < set(more)
    assert len(set(more)) == 30
    np.testing.assert_array_equal(choose_examples(split, None), np.arange(64))
