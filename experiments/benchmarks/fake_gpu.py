"""Kernels, bytes, memory and predicted time of an update, counted on a GPU that is not there.

    PYTHONPATH=. python experiments/benchmarks/fake_gpu.py

The packed engine runs at published sizes on a fake GPU (tests/suites/fake_gpu), in bfloat16, on RTE's lengths
with 16 examples per batch. Counts are exact for the code as it is. Times are a PREDICTION by a
roofline: every kind of operation takes as long as its bytes at 88 % of 4.3 TB/s, its products at 75 % of
790 TFLOP/s, or its kernels at 2 us each, whichever is longest. Nothing is measured.
"""

from __future__ import annotations

import argparse
import platform

import torch
import transformers

from tests.suites.fake_gpu.accounts import PRODUCTS, Totals
from tests.suites.fake_gpu.sizes import MODELS, pack_on_fake_gpu

BANDWIDTH, FLOPS, KERNEL = 0.88 * 4.3e12, 0.75 * 790e12, 2e-6
"""Bytes and floating-point operations per second of an H200, and seconds per kernel."""
GIB = 2**30
HEADER = (
    "| model | width | tokens | kernels: masks | passes | optimiser | per run | GB per run | "
    "peak, GiB | planned, GiB | predicted ms per update | per run |"
)


def predicted(work: Totals) -> float:
    """Return the predicted seconds of some work."""
    products = sum(moved for name, moved in work.bytes.items() if name in PRODUCTS)
    total = 0.0
    for name, kernels in work.kernels.items():
        moved = work.bytes[name]
        flops = work.flops * moved / products if name in PRODUCTS else 0.0
        total += max(moved / BANDWIDTH, flops / FLOPS, kernels * KERNEL)
    return total


def row(model: str, width: int, rows: int) -> str:
    """Return the line of the table for a pack."""
    with pack_on_fake_gpu(model, width, rows=rows) as pack:
        pack.update()
        costs = pack.update()
        pack.score()
        # The largest temporaries of a training step come on top of the buffers of scoring.
        pack.update()
        peak, planned = pack.peak / GIB, pack.shape.needed(width) / GIB
    kernels = [sum(phase.kernels.values()) for phase in costs.phases.values()]
    seconds = sum(predicted(phase) for phase in costs.phases.values())
    cells = [
        *(model, width, costs.tokens, *kernels, round(costs.kernels / width)),
        *(f"{costs.bytes / width / 1e9:.1f}", f"{peak:.1f}", f"{planned:.1f}"),
        *(f"{seconds * 1e3:.1f}", f"{seconds * 1e3 / width:.1f}"),
    ]
    return "| " + " | ".join(map(str, cells)) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--widths", type=int, nargs="+", default=[1, 5, 13])
    parser.add_argument("--rows", type=int, default=16, help="examples per batch")
    options = parser.parse_args()
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    print(f"{platform.machine()}, {versions}, transformers {transformers.__version__}")
    print("No GPU was used. Times are predictions by a roofline.\n")
    print(HEADER)
    print("|" + " --- |" * (HEADER.count("|") - 1))
    for model in options.models:
        for width in options.widths:
            print(row(model, width, options.rows), flush=True)


if __name__ == "__main__":
    main()
