"""Float32 matrix products on a CPU: torch's default (MKL) against oneDNN, on one thread.

    OMP_NUM_THREADS=1 python experiments/benchmarks/bench_products.py

The first table measures a linear map and its two gradients at several numbers of tokens. The
second measures batches of many different numbers of tokens: oneDNN sets up a product once per
size and caches a thousand sizes. `--compile` also compiles the optimiser's pass and compares it
with torch's fused operator.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch

MAPS = ((128, 384), (128, 128), (128, 512), (512, 128), (128, 256))
"""(inputs, outputs) of the embedded encoder's linear maps."""


def onednn(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    result: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return result


def seconds(work: Callable[[], object], calls: int, repeats: int = 5) -> float:
    """Return the best seconds per call."""
    work()
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        for _ in range(calls):
            work()
        best = min(best, (time.perf_counter() - start) / calls)
    return best


def rates(tokens: int, inputs: int, outputs: int) -> list[float]:
    """Return GFLOP/s of a map and its two gradients, for torch and for oneDNN."""
    x, grad = torch.randn(tokens, inputs), torch.randn(tokens, outputs)
    w, b = torch.randn(outputs, inputs), torch.randn(outputs)
    out, dw, dx = torch.empty(tokens, outputs), torch.empty_like(w), torch.empty_like(x)
    gflop = 2 * tokens * inputs * outputs / 1e9
    works: list[Callable[[], object]] = [
        lambda: torch.addmm(b, x, w.t(), out=out),
        lambda: onednn(x, w, b),
        lambda: torch.mm(grad.t(), x, out=dw),
        lambda: dw.copy_(onednn(grad.t(), x.t())),
        lambda: torch.mm(grad, w, out=dx),
        lambda: onednn(grad, w.t()),
    ]
    return [gflop / seconds(work, max(3, int(0.02 / gflop))) for work in works]


def by_size() -> None:
    print(f"\n{'GFLOP/s':>18}{'forwards':>18}{'weight gradient':>18}{'input gradient':>18}")
    print(f"{'tokens x in x out':>18}" + f"{'torch':>9}{'oneDNN':>9}" * 3)
    for inputs, outputs in ((128, 512), (384, 1536)):
        for tokens in (16, 64, 256, 1024):
            name = f"{tokens} x {inputs} x {outputs}"
            found = rates(tokens, inputs, outputs)
            print(f"{name:>18}" + "".join(f"{rate:9.0f}" for rate in found))


def by_variety() -> None:
    print(f"\n{'numbers of tokens':>18}{'first pass':>12}{'later':>8}   GFLOP/s by oneDNN")
    for every in (100, 16, 4, 1):
        maps = [(torch.randn(n, k), torch.randn(n)) for k, n in MAPS]
        batches = list(range(200, 300, every))
        found = []
        for _ in range(4):
            flop, spent = 0, 0.0
            for tokens in batches:
                for weight, bias in maps:
                    outputs, inputs = weight.shape
                    x, grad = torch.ones(tokens, inputs), torch.ones(tokens, outputs)
                    start = time.perf_counter()
                    onednn(x, weight, bias)
                    onednn(grad, weight.t())
                    onednn(grad.t(), x.t())
                    spent += time.perf_counter() - start
                    flop += 6 * tokens * inputs * outputs
            found.append(flop / spent / 1e9)
        print(f"{len(batches):18}{found[0]:12.0f}{max(found[1:]):8.0f}")


def compiled() -> None:
    n = 542_180
    weights, grads = torch.randn(1, n) * 0.02, torch.randn(1, n) * 1e-3
    first, second, low = torch.zeros(1, n), torch.zeros(1, n), weights.bfloat16()
    scale, rate = torch.full((1, 1), 0.5), torch.full((1, 1), 1e-4)

    def one_pass(
        w: torch.Tensor, g: torch.Tensor, m: torch.Tensor, v: torch.Tensor, copy: torch.Tensor
    ) -> None:
        g = g * scale
        w.mul_(1 - rate * 0.01)
        m.lerp_(g, 0.1)
        v.mul_(0.999).addcmul_(g, g, value=0.001)
        w.sub_(rate / 0.1 * m / ((v / 0.001).sqrt() + 1e-6))
        copy.copy_(w)

    step = torch.tensor(5.0)

    def fused() -> None:
        grads.mul_(0.999999)
        torch._fused_adamw_(
            [weights[0]],
            [grads[0]],
            [first[0]],
            [second[0]],
            [],
            [step],
            lr=1e-4,
            beta1=0.9,
            beta2=0.999,
            weight_decay=0.01,
            eps=1e-6,
            amsgrad=False,
            maximize=False,
        )
        low.copy_(weights)

    start = time.perf_counter()
    work = torch.compile(one_pass, fullgraph=True)
    work(weights, grads, first, second, low)
    print(
        f"\noptimiser's pass over {n} parameters: compiled in {time.perf_counter() - start:.0f} s,"
    )
    ms = 1e3 * seconds(lambda: work(weights, grads, first, second, low), 100)
    print(
        f"{ms:.2f} ms; fused operator, clipping and copy beside it {1e3 * seconds(fused, 100):.2f} ms"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with torch.inference_mode():
        by_size()
        by_variety()
    if options.compile:
        compiled()


if __name__ == "__main__":
    main()
