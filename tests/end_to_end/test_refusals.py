"""Impossible requests are refused with a sentence, before any work starts."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from seedlab.commands.cli import main
from tests.suites.command_line import SMALL


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_graphs_without_a_device_are_refused(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "study=graphs", *SMALL, "engine.graphs=true"]) == 2
    assert "torch sees no CUDA device; use engine.graphs=false" in capsys.readouterr().err
    many = ["-m", "study=graphs", *SMALL, "seed.init=0,1", "engine.graphs=true"]
    assert main(["run", *many]) == 2
    assert "no GPU is visible here; use engine.graphs=false" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "seed.inti=3"], r"'seed.inti' is not known. Did you mean 'seed.init'"),
        (["run", "task=acceptabilty"], "acceptability"),
        (["run", "recipe.epochs=0"], "recipe.epochs=0 is out of range"),
        (["run", "recipe.epochs=many"], "must be a whole number"),
        (["run", "model.path=/nowhere/at/all"], "is not a folder"),
        (["run", "task.max_length=100000"], "task.max_length=100000"),
        (["run", "engine.device=cuda"], "torch sees no CUDA device"),
        (["export", "small", "--out", "/proc/nowhere"], "/proc/nowhere: No such file"),
        (["run", "experiment=dmo"], "Did you mean 'demo'"),
        (["run", "grid=3x3"], "add -m"),
        (["run", "recipe=mosbach"], "Did you mean 'mosbach2021'"),
        (["run", "study=../x"], "leads out of the folder of studies"),
        (["run", "-m", "task=rte,mrpc"], "give it a name with study=NAME"),
        (["run", "-m", "study=x", "seed.init=0,0"], "names one run twice"),
        (["run", "task=rte", "task.path=/nowhere"], "/nowhere"),
        (["status", "smal"], "Did you mean 'small'"),
        (["verify", "small", "zzz"], "has no run 'zzz'"),
        (["predict", ".", "new.csv"], "is not a model that seedlab saved"),
    ],
)
def test_refusals_are_one_sentence_and_exit_with_2(
    place: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    import torch

    if "engine.device=cuda" in arguments and torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
