"""Cost of a grid of seeds on one GPU: a plain loop, graphed runs on streams, and packs.

    python experiments/benchmarks/gpu_engines.py --minutes 9

One command makes all measurements. It needs only torch, transformers and numpy: no network, and
random weights of BERT's shapes instead of trained ones. For BERT-large and BERT-base and the length
distributions of RTE, MRPC and CoLA it times an update of

- `loop`: transformers' model, bf16 autocast, padded to the batch's longest example, fused AdamW;
- `graphed`: k such runs on k streams, each step a CUDA graph of its length bucket;
- `side by side`: seedlab's packed engine with stacks of one run, as CUDA graphs on k streams;
- `packed`: one stack of several runs, without and with CUDA graphs,

and prints seconds per run, the extrapolated time of a 625-run grid, scoring time and peak memory.
It compares the model's FLOP/s on real tokens with the measured ceiling of matrix products, and the
optimiser's bytes per second with those of a copy. Packs have the requested width, or the widest that fits. Candidates
that fail or are refused are reported, and the others continue. `--device cpu --tiny` checks the
script without a GPU; its numbers mean nothing.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from gpu_candidates import (
    LONGEST,
    ROWS,
    SHAPES,
    WORDS,
    configure_torch,
    graphed,
    loop,
    packed,
    timed,
    widest,
)

from seedlab.errors import SeedlabError
from seedlab.tasks.encoded import EncodedTask, Split
from seedlab.training.batches import Batch, collate, training_batches

LENGTHS = {"rte": (67.0, 35.0, 2490), "mrpc": (53.0, 14.0, 3668), "cola": (11.3, 4.0, 8551)}
"""Mean and standard deviation of word pieces per example, and training examples (rough)."""
CELLS, EPOCHS, BATCHES = 625, 3, 40


def make_task(name: str, n: int) -> EncodedTask:
    """Return random tokens whose lengths are distributed like a task's (gamma, cut at 128)."""
    mean, sd, _ = LENGTHS[name]
    generator = np.random.Generator(np.random.Philox(0))
    shape = (mean / sd) ** 2
    lengths = np.clip(np.rint(generator.gamma(shape, mean / shape, n)), 4, LONGEST).astype(int)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    ids = generator.integers(1000, WORDS, offsets[-1]).astype(np.int32)
    split = Split(ids, np.zeros(len(ids), np.int8), offsets, generator.integers(0, 2, n))
    return EncodedTask(
        name=name,
        splits={"train": split, "dev": split},
        n_labels=2,
        label_names=("0", "1"),
        metrics=("accuracy",),
        pad_id=0,
        max_length=LONGEST,
    )


def ceilings(device: torch.device, tiny: bool) -> tuple[float, float]:
    """Return the machine's bf16 products in FLOP/s (8192 cubed) and its copies in bytes/s."""
    n = 256 if tiny else 8192
    a = torch.randn(n, n, device=device, dtype=torch.bfloat16)
    product = timed(lambda _: torch.mm(a, a), 20, device)
    source = torch.empty((1 << 20) if tiny else (1 << 30), device=device, dtype=torch.uint8)
    target = torch.empty_like(source)
    copy = timed(lambda _: target.copy_(source), 20, device)
    return 2.0 * n**3 / product, 2.0 * source.numel() / copy


def fitting(asked: Sequence[int], limit: int) -> list[int]:
    """Return the requested widths; the widest that fits replaces those that do not fit."""
    return sorted({min(width, limit) for width in asked} - {0})


def candidates(
    shape: str,
    task: EncodedTask,
    batches: list[Batch],
    widths: Sequence[int],
    options: argparse.Namespace,
) -> list[tuple[str, Callable[[], float | tuple[float, float]]]]:
    """Return the candidates by label."""
    device, steps = torch.device(options.device), options.steps

    def pack(width: int, stack: int, graphs: bool) -> Callable[[], tuple[float, float]]:
        return lambda: packed(
            shape, task, batches, width, steps, device, stack=stack, graphs=graphs
        )

    found: list[tuple[str, Callable[[], float | tuple[float, float]]]] = [
        ("loop", lambda: loop(shape, batches, steps, device))
    ]
    if device.type == "cpu":
        return [*found, *((f"packed {w}", pack(w, 1, False)) for w in widths)]
    for k in (1, 4):
        found.append((f"graphed, {k}", lambda k=k: graphed(shape, batches, k, steps, device)))  # type: ignore[misc]
    found += [(f"side by side, {k}", pack(k, 1, True)) for k in (1, 4)]
    for w in widths:
        found += [(f"packed, {w}", pack(w, w, False)), (f"packed, {w}, graphs", pack(w, w, True))]
    return found


def report(shape: str, name: str, options: argparse.Namespace, ends: float) -> None:
    """Measure one model on one task and print a line per candidate."""
    device = torch.device(options.device)
    flops_ceiling, bytes_ceiling = options.ceilings
    task = make_task(name, BATCHES * ROWS)
    order = training_batches(len(task.splits["train"]), ROWS, 0)
    batches = [collate(task.splits["train"], next(order), 0) for _ in range(BATCHES)]
    tokens = float(np.mean([int(batch.mask.sum()) for batch in batches]))
    hidden, layers, _, wide = SHAPES[shape]
    size = layers * (4 * hidden**2 + 2 * hidden * wide)
    total = size + WORDS * hidden
    per_run = EPOCHS * -(-LENGTHS[name][2] // ROWS)
    print(f"\nBERT-{shape}, {name}-like: {tokens:.0f} tokens per step, {per_run} steps per run")
    print(
        f"{'':22}{'ms/step':>9}{'s/run':>8}{'625 runs':>11}{'ratio':>7}{'FLOP':>7}{'bytes':>7}"
        f"{'us/scored':>11}{'GiB':>7}"
    )
    limit = widest(shape, task, device)
    if limit < max(options.widths):
        print(f"(at most {limit} runs fit into a pack)")
    first, widths = 0.0, fitting(options.widths, limit)
    for label, measure in candidates(shape, task, batches, widths, options):
        if time.perf_counter() > ends:
            print(f"{label:22}  (out of time)")
            continue
        try:
            found = measure()
        except SeedlabError as refusal:
            print(f"{label:22}  refused: {refusal}")
            continue
        except (RuntimeError, MemoryError) as error:
            print(f"{label:22}  {type(error).__name__}: {str(error).splitlines()[0][:90]}")
            continue
        finally:
            gc.collect()
            held = 0.0
            if device.type == "cuda":
                held = torch.cuda.max_memory_reserved(device) / 2**30
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats(device)
        seconds, scored = found if isinstance(found, tuple) else (found, float("nan"))
        first = first or seconds
        run = seconds * per_run
        print(
            f"{label:22}{seconds * 1e3:9.2f}{run:8.1f}{run * CELLS / 60:7.0f} min"
            f"{first / seconds:7.2f}{6 * size * tokens / seconds / flops_ceiling:7.0%}"
            f"{30 * total / seconds / bytes_ceiling:7.0%}{scored * 1e6:11.1f}{held:7.1f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--widths", type=int, nargs="+", default=[5, 13])
    parser.add_argument("--tiny", action="store_true", help="check the script itself")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch sees no CUDA device; --device cpu --tiny checks the script itself")
    ends = time.perf_counter() + 60 * options.minutes
    device = torch.device(options.device)
    configure_torch(device)
    options.ceilings = ceilings(device, options.tiny)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    flops, moved = options.ceilings
    print(f"{name}, torch {torch.__version__}: {flops / 1e12:.1f} TFLOP/s, {moved / 1e12:.2f} TB/s")
    print("FLOP: products on real tokens, share of the ceiling; bytes: AdamW's 30 per parameter")
    for shape in ("tiny",) if options.tiny else ("large", "base"):
        for task in LENGTHS:
            report(shape, task, options, ends)


if __name__ == "__main__":
    main()
