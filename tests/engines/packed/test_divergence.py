"""A diverged run among others: its NaN and infinite values must not reach other runs."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from seedlab.engines.packed.encoder.adam import AdamOptions, StackedAdam
from seedlab.engines.packed.encoder.flat_layout import FlatLayout, Piece
from seedlab.engines.packed.engine import PackedEngine
from seedlab.spec.recipe import ClipSpec, OptimizerSpec
from seedlab.spec.run import EvaluationSpec, RunSpec
from seedlab.training.result import RunResult
from tests.suites.runs import RECIPE, assert_same, callbacks, make_run
from tests.suites.tape import Tape
from tests.suites.tiny import tiny_task, tiny_weights

SELDOM = EvaluationSpec(per_epoch=1, batch_size=5)
"""So seldom that a loss, not an evaluation, is what shows that a run is no number any more."""
ENGINES = {
    "stacks of one": PackedEngine(),
    "stacks of two": PackedEngine(2),
    "one stack": PackedEngine(100),
    "constant width": PackedEngine(100, 3),
    "stacks of two, constant width": PackedEngine(2, 4),
    "recorded": PackedEngine(100, buckets=True, capturer=Tape),
}


def wild(rate: float, mode: str) -> RunSpec:
    optimizer = OptimizerSpec(rate, bias_correction=False)
    recipe = dataclasses.replace(RECIPE, optimizer=optimizer, clip=ClipSpec(mode))
    return make_run(1, recipe=recipe, evaluation=SELDOM)


def train(engine: PackedEngine, runs: list[RunSpec], folder: Path) -> list[RunResult]:
    """Return results in the order of the runs."""
    results = engine.train(runs, tiny_task(), tiny_weights(folder), callbacks(tiny_task()))
    by_id = {result.spec.run_id: result for result in results}
    return [by_id[run.run_id] for run in runs]


@pytest.mark.parametrize("mode", ["global", "tensor", "none"])
@pytest.mark.parametrize("rate", [1e5, 1e38])
@pytest.mark.parametrize("name", ENGINES)
def test_the_neighbours_of_a_diverged_run(
    name: str, rate: float, mode: str, tmp_path: Path
) -> None:
    """They finish, with the same bits where the width is constant or does not matter."""
    engine, last = ENGINES[name], make_run(2, evaluation=SELDOM)
    runs = [make_run(0, evaluation=SELDOM), wild(rate, mode), last]
    found = train(engine, runs, tmp_path)
    assert [result.status for result in found] == ["finished", "diverged", "finished"]
    if name in ("stacks of one", "constant width", "stacks of two, constant width"):
        calm = train(engine, [runs[0], make_run(1, evaluation=SELDOM), last], tmp_path)
        for number in (0, 2):
            assert_same(found[number], calm[number])


@pytest.mark.parametrize("mode", ["global", "tensor", "none"])
def test_the_gaps_between_tensors_stay_zero(mode: str) -> None:
    """They are never written, and the next run uses the same memory for its gradients."""
    layout = FlatLayout({"a": Piece(0, (3,)), "b": Piece(16, (2, 2))}, {}, {}, 32, 32)
    assert layout.gaps().tolist() == [*range(3, 16), *range(20, 32)]
    options = AdamOptions(0.9, 0.999, 1e-6, 0.0, True, mode, 1.0)
    optimizer = StackedAdam(layout, [options, options], torch.zeros(2, 32))
    grads = torch.zeros(2, 32)
    for piece in layout.pieces.values():
        grads[0, piece.start : piece.stop] = float("nan")
        grads[1, piece.start : piece.stop] = 5.0
    norms = optimizer.update(grads, 0, [[1e-3], [1e-3]])
    assert bool(torch.isnan(norms[0]))
    assert np.isclose(float(norms[1]), 5.0 * np.sqrt(7))
    assert bool((grads[:, layout.gaps()] == 0.0).all())
    assert bool((optimizer.weights[1].isfinite()).all())
