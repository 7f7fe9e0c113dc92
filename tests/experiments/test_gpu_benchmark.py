"""The benchmark of the engines on a GPU, as far as a CPU can run it: what it does when refused."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from seedlab.engines.packed import column
from seedlab.engines.packed.memory import check_fits
from seedlab.engines.packed.planning.shape import Shape
from seedlab.errors import SeedlabError

FOLDER = Path(__file__).parents[2] / "experiments" / "benchmarks"
CPU = torch.device("cpu")


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The script as a module, with one small task; torch is left as it was."""
    monkeypatch.syspath_prepend(str(FOLDER))
    script = importlib.import_module("gpu_engines")
    monkeypatch.setattr(script, "LENGTHS", {"cola": script.LENGTHS["cola"]})
    monkeypatch.setattr(script, "BATCHES", 2)
    filled = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    deterministic = torch.are_deterministic_algorithms_enabled()
    yield script
    torch.utils.deterministic.fill_uninitialized_memory = filled  # type: ignore[attr-defined]
    torch.use_deterministic_algorithms(deterministic)


def lines(bench: Any, capsys: pytest.CaptureFixture[str], *widths: int) -> list[str]:
    """Return what the script prints, asked for these widths."""
    words = ["gpu_engines.py", "--device", "cpu", "--tiny", "--steps", "1", "--widths"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [*words, *map(str, widths)])
        bench.main()
    printed: list[str] = capsys.readouterr().out.splitlines()
    return printed


def row(printed: list[str], label: str) -> str:
    """Return the one row of a candidate."""
    (found,) = (line for line in printed if line.startswith(f"{label:22}"))
    return found


def test_a_refused_width_is_a_row_and_the_rest_goes_on(
    bench: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory may be taken between the script's look at it and the planner's."""

    def refuse(shape: Shape, width: int, free: int, at_once: int | None) -> None:
        check_fits(shape, width, 1000 if width == 2 else free, at_once)

    monkeypatch.setattr(column, "check_fits", refuse)
    printed = lines(bench, capsys, 2, 3)
    assert "refused: a pack of 2 runs needs" in row(printed, "packed 2")
    assert " min" in row(printed, "loop")
    assert " min" in row(printed, "packed 3")


@pytest.mark.slow
def test_widths_that_do_not_fit_give_way_to_the_widest_that_does(
    bench: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The script and the planner count alike: the widest is let in, and one more is not."""
    candidates = sys.modules["gpu_candidates"]
    # For a few runs: their vectors, and a pass of one of them.
    free = 150_000_000
    # The planner looks when the model is there, twice: itself, and as it was pre-trained.
    model = candidates.make_model("tiny", CPU)
    left = free - 2 * sum(tensor.nbytes for tensor in model.state_dict().values())
    monkeypatch.setattr(candidates, "free_bytes", lambda _: free)
    monkeypatch.setattr(column, "free_bytes", lambda _: left)
    task = bench.make_task("cola", 2 * bench.ROWS)
    limit = candidates.widest("tiny", task, CPU)
    assert limit >= 2
    printed = lines(bench, capsys, 1, limit + 3, limit + 5)
    assert f"(at most {limit} runs fit into a pack)" in printed
    assert " min" in row(printed, f"packed {limit}")
    assert not any("refused" in line for line in printed)
    batches = [bench.collate(task.splits["train"], bench.np.arange(16), 0)]
    with pytest.raises(SeedlabError, match=f"at most {limit} fit"):
        candidates.packed("tiny", task, batches, limit + 1, 1, CPU, stack=1, graphs=False)


def test_widths(bench: Any) -> None:
    assert bench.fitting([5, 13], 25) == [5, 13]
    assert bench.fitting([5, 13], 11) == [5, 11]
    assert bench.fitting([13, 5], 3) == [3]
    assert bench.fitting([5, 13], 0) == []


def test_nothing_is_filled_while_the_baselines_are_timed(
    bench: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    filled: list[bool] = []

    def loop(*_: Any) -> float:
        filled.append(torch.utils.deterministic.fill_uninitialized_memory)  # type: ignore[attr-defined]
        assert torch.are_deterministic_algorithms_enabled()
        return 1.0

    monkeypatch.setattr(bench, "loop", loop)
    lines(bench, capsys, 1)
    assert filled == [False]


def test_models_are_made_on_their_device(bench: Any) -> None:
    """No weight is drawn on the host: a device without memory stands in for a GPU."""
    large: list[str] = []

    class Callbacks(TorchDispatchMode):
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            out = func(*args, **(kwargs or {}))
            for tensor in tree_leaves(out):
                if isinstance(tensor, torch.Tensor) and tensor.device == CPU:
                    large.extend([str(func)] if tensor.numel() > 1000 else [])
            return out

    with Callbacks():
        model = sys.modules["gpu_candidates"].make_model("tiny", torch.device("meta"))
    assert not large
    assert {parameter.device.type for parameter in model.parameters()} == {"meta"}
