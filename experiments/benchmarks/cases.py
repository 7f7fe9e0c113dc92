"""The grids of seeds that the benchmarks train, and the arithmetic that they need."""

from __future__ import annotations

import os
import time
from pathlib import Path

import torch

from seedlab.inputs.content import load_encoded
from seedlab.spec.run import ModelSpec, RunSpec, Seeds, TaskSpec

CELLS = 25
CASES = {"embedded": "embedded task and encoder", "sst2": "MiniLM on 512 sentences of SST-2"}


def available() -> list[str]:
    """Return the cases whose data are available; SST-2 needs the folder SEEDLAB_DATA."""
    have = Path(os.environ.get("SEEDLAB_DATA", "")) / "models" / "minilm-l6"
    return list(CASES) if "SEEDLAB_DATA" in os.environ and have.is_dir() else ["embedded"]


def overrides(case: str) -> list[str]:
    """Return a case's overrides for seedlab's command line."""
    if case == "embedded":
        return ["task=acceptability", "task.examples=1000"]
    folder = Path(os.environ["SEEDLAB_DATA"])
    return [
        "task=sst2",
        f"task.path={folder / 'data' / 'glue' / 'SST-2'}",
        "task.train_size=512",
        "model=minilm-l6",
        f"model.path={folder / 'models' / 'minilm-l6'}",
    ]


def specs(n: int, orders: int = 5, case: str = "embedded") -> list[RunSpec]:
    """Return `n` runs of a case: init seeds within order seeds."""
    task, model = TaskSpec(), ModelSpec()
    if case == "sst2":
        folder = Path(os.environ["SEEDLAB_DATA"])
        path = str(folder / "data" / "glue" / "SST-2")
        task = TaskSpec(name="sst2", reader="glue", path=path, train_size=512)
        model = ModelSpec(name="minilm-l6", path=str(folder / "models" / "minilm-l6"))
    cells = [(init, order) for order in range(orders) for init in range(-(-n // orders))]
    return [
        RunSpec(task=task, model=model, seeds=Seeds(init, order).resolved())
        for init, order in cells[:n]
    ]


def ceiling(threads: int) -> dict[str, float]:
    """Return the best rates of a 1024-cubed float32 product, in GFLOP/s, by library."""
    torch.set_num_threads(threads)
    a = torch.ones(1024, 1024)
    kinds = {"torch": lambda: torch.mm(a, a)}
    if hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        kinds["oneDNN"] = lambda: torch.ops.mkldnn._linear_pointwise(a, a, None, "none", [], "")
    best = dict.fromkeys(kinds, 0.0)
    for _ in range(8):
        for name, multiply in kinds.items():
            start = time.perf_counter()
            for _ in range(4):
                multiply()
            best[name] = max(best[name], 8 * 1024**3 / (time.perf_counter() - start) / 1e9)
    return best


def work_per_step(case: str) -> tuple[float, float]:
    """Return the GFLOP of an average step: of the whole model, and what is computed.

    It counts matrix products of linear layers on real tokens, forward and backward (6 FLOP per
    weight and token). The last layer computes queries, and everything after, for first tokens only.
    """
    run = specs(1, case=case)[0]
    lengths = load_encoded(run.task, run.model, 0).splits["train"].lengths
    layers, width = (2, 128) if case == "embedded" else (6, 384)
    rows, tokens, square = run.recipe.batch_size, run.recipe.batch_size * lengths.mean(), width**2
    whole = layers * 12 * tokens + 2 * rows
    computed = (layers - 1) * 12 * tokens + 2 * tokens + 10 * rows + 2 * rows
    return 6 * square * whole / 1e9, 6 * square * computed / 1e9
