"""Runs trained again from their records, and compared."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from seedlab.commands.cli import main
from seedlab.store.study import find_study
from tests.suites.command_line import SMALL
from tests.suites.small_grid import records


def test_verify_finds_a_run_bitwise_equal(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_id = next(iter(records()))
    assert main(["verify", "small", run_id[:8]]) == 0
    assert "bitwise equal (6 losses" in capsys.readouterr().out


def test_a_run_of_a_stack_of_several_is_verified_among_dummies(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It was trained with neighbours, and is verified with dummies in their slots."""
    stack = ["-m", "study=stacked", *SMALL, "seed.init=0,1,2", "engine.stack=3"]
    assert main(["run", *stack]) == 0
    study = find_study("stacked")
    assert {record.provenance["stack"] for record in study.records().values()} == {3}
    run_id = next(iter(study.records()))
    assert main(["verify", "stacked", run_id]) == 0
    assert "bitwise equal (6 losses" in capsys.readouterr().out
    assert main(["save", "stacked", run_id, "stacked-model"]) == 0


def test_verify_says_from_which_step_on_a_run_differs(place: Path) -> None:
    from dataclasses import replace

    from seedlab.reproduce.compare import compare, explain
    from seedlab.reproduce.retrain import repeat

    study = find_study("small")
    stored = study.read(next(iter(study.records())))
    losses = stored.arrays.losses.copy()
    losses[3] = np.nextafter(losses[3], 1.0)
    touched = replace(stored, arrays=replace(stored.arrays, losses=losses))
    found = compare(touched, repeat(stored))
    assert (found.equal, found.first_step) == (False, 4)
    assert "NOT equal from step 4 on (training loss" in explain(stored.record, found)


def test_a_checkpoint_in_pickle_format_is_verified_as_it_was_trained(place: Path) -> None:
    """And from any working directory, although its path is relative."""
    import shutil

    import torch
    from safetensors.torch import load_file

    from seedlab.models.checkpoint_folder import EMBEDDED

    shutil.copytree(EMBEDDED, "pickled")
    torch.save(load_file("pickled/model.safetensors"), "pickled/pytorch_model.bin")
    Path("pickled/model.safetensors").unlink()
    trusted = ["model.path=pickled", "model.allow_pickle=true"]
    assert main(["run", "study=pickled", *SMALL, *trusted]) == 0
    run_id = next(iter(records("pickled")))
    elsewhere = place / "elsewhere"
    elsewhere.mkdir()
    os.chdir(elsewhere)
    try:
        assert main(["verify", str(place / "studies/pickled"), run_id]) == 0
    finally:
        os.chdir(place)
