"""The packed engine on a GPU: L0 and L1 at constant width.

The tests need only torch, transformers, numpy and pytest. The effect of another width is printed,
not asserted.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seedlab.engines.packed.cuda_graphs import CudaGraphCapturer
from seedlab.engines.packed.encoder.ragged_dropout import Site, draw_mask
from seedlab.engines.packed.engine import PackedEngine
from seedlab.engines.serial.engine import SerialEngine
from seedlab.spec.recipe import OptimizerSpec
from seedlab.spec.run import ModelSpec, RunSpec
from seedlab.training.result import RunResult
from tests.suites.runs import RECIPE, assert_same, callbacks, make_run
from tests.suites.tiny import ARCHITECTURES, tiny_task, tiny_weights

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device"),
]

WILD = dataclasses.replace(RECIPE, optimizer=OptimizerSpec(1e38, bias_correction=False))


def train(runs: list[RunSpec], folder: Path, architecture: str = "bert", **load: Any) -> Any:
    """Train on the GPU; results in the order of the runs."""
    engine = load.pop("engine", PackedEngine())
    weights = tiny_weights(folder, architecture, **load)
    weights.model.to("cuda")
    results = engine.train(runs, tiny_task(), weights, callbacks(tiny_task()))
    by_id: dict[str, RunResult] = {result.spec.run_id: result for result in results}
    return [by_id[run.run_id] for run in runs]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_replay_neighbours_and_slots(architecture: str, dtype: str, tmp_path: Path) -> None:
    """L0 and L1 at width 3: repeated, permuted, and with other neighbours."""
    a, b, c, d = (make_run(init, 5, model=ModelSpec(dtype=dtype)) for init in range(4))
    first = train([a, b, c], tmp_path, architecture)
    for runs in ([a, b, c], [c, a, b], [d, c, a]):
        for run, result in zip(runs, train(runs, tmp_path, architecture), strict=True):
            if run is not d:
                assert_same(result, first[[a, b, c].index(run)])


def test_a_diverged_neighbour(tmp_path: Path) -> None:
    """Until the diverged run is dropped, the others have the bits of a pack without divergence."""
    runs = [make_run(0), make_run(1, recipe=WILD), make_run(2)]
    calm = train([runs[0], make_run(1), runs[2]], tmp_path)
    found = train(runs, tmp_path)
    assert found[1].status == "diverged"
    n = len(found[1].losses)
    for number in (0, 2):
        assert found[number].status == "finished"
        assert np.array_equal(found[number].losses[:n], calm[number].losses[:n])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("stack", [None, 1, 2])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_graphs_give_the_bits_of_plain_steps(
    architecture: str, stack: int | None, dtype: str, tmp_path: Path
) -> None:
    """In one stack, and in several concurrent ones on streams."""
    runs = [make_run(init, 5, model=ModelSpec(dtype=dtype)) for init in range(4)]
    plain = train(runs, tmp_path, architecture, engine=PackedEngine(stack))
    engine = PackedEngine(stack, capturer=CudaGraphCapturer)
    for a, b in zip(plain, train(runs, tmp_path, architecture, engine=engine), strict=True):
        assert_same(a, b)
        assert b.provenance["graphs"] is True


@pytest.mark.parametrize("graphs", [False, True])
def test_a_run_among_dummies(graphs: bool, tmp_path: Path) -> None:
    """Constant width: the same bits alone, in a pack, and beside a neighbour that ends."""
    capturer = CudaGraphCapturer if graphs else None
    runs = [make_run(init, 2) for init in range(3)]
    together = train(runs, tmp_path, engine=PackedEngine(slots=3, capturer=capturer))
    for run, result in zip(runs, together, strict=True):
        (alone,) = train([run], tmp_path, engine=PackedEngine(slots=3, capturer=capturer))
        assert_same(alone, result)
    wild = make_run(0, 2, recipe=WILD)
    gone, *others = train(
        [wild, *runs[1:]], tmp_path, engine=PackedEngine(slots=3, capturer=capturer)
    )
    assert gone.status == "diverged"
    for a, b in zip(others, together[1:], strict=True):
        assert_same(a, b)


def test_dropping_a_run_makes_its_graphs_invalid(tmp_path: Path) -> None:
    """The other runs continue, at another width, with new graphs."""
    runs = [make_run(0), make_run(1, recipe=WILD), make_run(2)]
    plain = train(runs, tmp_path)
    found = train(runs, tmp_path, engine=PackedEngine(capturer=CudaGraphCapturer))
    for a, b in zip(plain, found, strict=True):
        assert_same(a, b)
    assert found[0].provenance["narrowed"] is True


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_float64_equals_the_serial_engine(architecture: str, tmp_path: Path) -> None:
    runs = [make_run(init, model=ModelSpec(dtype="float64")) for init in range(3)]
    packed = train(runs, tmp_path, architecture, dtype=torch.float64)
    serial = train(runs, tmp_path, architecture, dtype=torch.float64, engine=SerialEngine())
    for a, b in zip(serial, packed, strict=True):
        np.testing.assert_allclose(b.losses, a.losses, rtol=1e-9)


def test_masks_are_the_same_on_both_devices(tmp_path: Path) -> None:
    from seedlab.engines.packed.encoder.ragged_batch import make_tables

    tables, _, _ = make_tables(torch.arange(20), 20, 9, 0, False)
    mask = (torch.arange(9) < torch.tensor([[4], [9], [6]])).long()
    here = tables.ragged(torch.ones_like(mask), torch.zeros_like(mask), mask, first_row=3)
    there = here.to(torch.device("cuda"))
    for kind, size in (("tokens", 10), ("first", 10), ("attention", 3), ("first_attention", 3)):
        site = Site("a.site", 0.1, kind, size)
        masks = [draw_mask(site, b, (1, 2), 8, 16, torch.float32).cpu() for b in (here, there)]
        assert torch.equal(*masks)


def test_two_processes_give_the_same_bits(tmp_path: Path) -> None:
    text = "import sys, tests.gpu.test_packed_gpu as t; t.print_losses(sys.argv[1])"
    tiny_weights(tmp_path)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p or "." for p in sys.path)}
    command = [sys.executable, "-c", text, str(tmp_path)]
    outputs = {
        subprocess.run(command, env=environment, capture_output=True, check=True).stdout
        for _ in range(2)
    }
    assert len(outputs) == 1


def test_report_the_effect_of_width(tmp_path: Path) -> None:
    """Print the first step at which widths 1, 2, 5 differ, and the largest difference of losses."""
    runs = [make_run(init, 1) for init in range(5)]
    wide = train(runs, tmp_path)
    for width in (1, 2):
        narrow = train(runs[:width], tmp_path)
        apart = np.flatnonzero(narrow[0].losses != wide[0].losses)
        first = int(apart[0]) if len(apart) else None
        largest = float(np.abs(narrow[0].losses - wide[0].losses).max())
        print(f"width {width} against 5: first difference at step {first}, largest {largest:.2e}")
        np.testing.assert_allclose(narrow[0].losses[:5], wide[0].losses[:5], rtol=1e-3)


def print_losses(folder: str) -> None:
    """Print a pack's losses to the last bit (called in separate processes)."""
    results = train([make_run(init, 1) for init in range(3)], Path(folder))
    print(json.dumps([loss.hex() for result in results for loss in result.losses.tolist()]))
