"""What a grid of seeds costs on one GPU: a plain loop, graphed runs side by side, packs.

    python experiments/benchmarks/gpu_engines.py --minutes 9

One command, everything measured in it, and nothing needed but torch, transformers and numpy (no
network, no weights: random ones of BERT's shapes do). For BERT-base and BERT-large and the length
distributions of RTE, MRPC and CoLA it times an update of

- `loop`: transformers' model, bf16 autocast, padded to the longest of the batch, fused AdamW;
- `graphs`: k such runs, each step a CUDA graph of its own length bucket, on k streams;
- `packed`: seedlab's packed engine at several widths,

and prints seconds per run, the extrapolated 625-run grid, model FLOP/s on real tokens against
the measured ceiling of matrix products, and the optimiser's bytes per second against that of a copy.
`--device cpu --tiny` checks the script itself where there is no GPU; its numbers mean nothing.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from transformers import BertConfig, BertForSequenceClassification

from seedlab.engines.column import PackedTrainee
from seedlab.engines.crew import Crew
from seedlab.models.dropout import install
from seedlab.models.weights import Weights
from seedlab.recipe_spec import RecipeSpec
from seedlab.spec import EvaluationSpec, ModelSpec, RunSpec, Seeds
from seedlab.tasks.encoded import EncodedTask, Split
from seedlab.train.batches import Batch, collate, training_batches
from seedlab.train.plan import make_plan

SHAPES = {"base": (768, 12, 12, 3072), "large": (1024, 24, 16, 4096), "tiny": (64, 2, 2, 128)}
LENGTHS = {"rte": (67.0, 35.0, 2490), "mrpc": (53.0, 14.0, 3668), "cola": (11.3, 4.0, 8551)}
"""Mean and standard deviation of word pieces per example, and training examples (rough)."""
CELLS, EPOCHS, ROWS, LONGEST, WORDS = 625, 3, 16, 128, 30522


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


def make_model(shape: str, device: torch.device) -> BertForSequenceClassification:
    """Return a model of BERT's shape with random weights (the values cost nothing)."""
    hidden, layers, heads, wide = SHAPES[shape]
    config = BertConfig(
        vocab_size=WORDS,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=wide,
        num_labels=2,
    )
    with torch.random.fork_rng():
        return BertForSequenceClassification(config).to(device)


def timed(step: Callable[[int], None], steps: int, device: torch.device) -> float:
    """Return seconds per call, after a few that don't count."""
    for number in range(4):
        step(number)
    wait(device)
    start = time.perf_counter()
    for number in range(4, 4 + steps):
        step(number)
    wait(device)
    return (time.perf_counter() - start) / steps


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def on_device(batches: list[Batch], device: torch.device) -> list[dict[str, torch.Tensor]]:
    """Return batches as transformers' models take them."""
    return [
        {"input_ids": b.ids, "attention_mask": b.mask, "labels": b.labels}
        for b in (batch.to(device) for batch in batches)
    ]


def train_step(model: Any, optimizer: torch.optim.Optimizer, inputs: dict[str, Any]) -> None:
    """Make one update as a plain loop does."""
    kind = inputs["input_ids"].device.type
    with torch.autocast(kind, dtype=torch.bfloat16):
        loss = model(**inputs).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=False)


def loop(shape: str, batches: list[Batch], steps: int, device: torch.device) -> float:
    """Return seconds per update of one run in a plain loop."""
    model = make_model(shape, device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5, fused=True)
    inputs = on_device(batches, device)
    return timed(lambda n: train_step(model, optimizer, inputs[n % len(inputs)]), steps, device)


def graphs(shape: str, batches: list[Batch], k: int, steps: int, device: torch.device) -> float:
    """Return seconds per update and run of k graphed runs on k streams."""
    runs = [GraphedRun(shape, batches, device) for _ in range(k)]

    def step(number: int) -> None:
        for run in runs:
            run.replay(number)

    return timed(step, steps, device) / k


class GraphedRun:
    """A run whose update is a CUDA graph, one for every length bucket (multiples of 32)."""

    def __init__(self, shape: str, batches: list[Batch], device: torch.device) -> None:
        self.stream = torch.cuda.Stream(device)
        self.model = make_model(shape, device).train()
        parameters = self.model.parameters()
        self.optimizer = torch.optim.AdamW(parameters, lr=2e-5, fused=True, capturable=True)
        self.batches = [padded(batch) for batch in batches if len(batch.labels) == ROWS]
        self.inputs = on_device(self.batches, device)
        self.static: dict[int, dict[str, torch.Tensor]] = {}
        self.graphs: dict[int, torch.cuda.CUDAGraph] = {}
        pool = torch.cuda.graph_pool_handle()
        for inputs in self.inputs:
            width = inputs["input_ids"].shape[1]
            if width in self.graphs:
                continue
            self.static[width] = {name: tensor.clone() for name, tensor in inputs.items()}
            self.stream.wait_stream(torch.cuda.current_stream(device))
            with torch.cuda.stream(self.stream):
                for _ in range(3):
                    train_step(self.model, self.optimizer, self.static[width])
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=pool, stream=self.stream):
                train_step(self.model, self.optimizer, self.static[width])
            self.graphs[width] = graph

    def replay(self, number: int) -> None:
        """Make update `number` on this run's stream."""
        inputs = self.inputs[number % len(self.inputs)]
        width = inputs["input_ids"].shape[1]
        with torch.cuda.stream(self.stream):
            for name, tensor in inputs.items():
                self.static[width][name].copy_(tensor)
            self.graphs[width].replay()


def padded(batch: Batch) -> Batch:
    """Return the batch padded to a multiple of 32 tokens."""
    missing = -batch.ids.shape[1] % 32
    ids, types, mask = (
        torch.nn.functional.pad(tensor, (0, missing))
        for tensor in (batch.ids, batch.types, batch.mask)
    )
    return Batch(ids, types, mask, batch.labels, batch.examples)


def packed(
    shape: str,
    task: EncodedTask,
    batches: list[Batch],
    width: int,
    steps: int,
    device: torch.device,
) -> float:
    """Return seconds per update and run of seedlab's packed engine."""
    model = make_model(shape, device)
    state = install(model, LONGEST)
    pretrained = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    weights = Weights(model, pretrained, ("classifier.weight", "classifier.bias"), state)
    recipe = RecipeSpec(max_steps=steps + 4)
    like = RunSpec(
        model=ModelSpec(dtype="bfloat16"),
        recipe=recipe,
        evaluation=EvaluationSpec(per_epoch=0, at_start=False),
    )
    runs = [
        RunSpec(like.task, like.model, recipe, like.evaluation, Seeds(init, 0).resolved())
        for init in range(width)
    ]
    plan = make_plan(recipe, like.evaluation, len(task.splits["train"]))
    with Crew(1) as crew:
        stack = 1 if device.type == "cpu" else None
        trainee = PackedTrainee(runs, [plan] * width, task, weights, crew, stack)
        each = timed(lambda n: _update(trainee, batches[n % len(batches)], n), steps, device)
    return each / width


def _update(trainee: PackedTrainee, batch: Batch, step: int) -> None:
    trainee.update(batch, step, by_depth=False)


def ceilings(device: torch.device, tiny: bool) -> tuple[float, float]:
    """Return the machine's bf16 products in FLOP/s (8192 cubed) and its copies in bytes/s."""
    n = 256 if tiny else 8192
    a = torch.randn(n, n, device=device, dtype=torch.bfloat16)
    product = timed(lambda _: torch.mm(a, a), 20, device)
    source = torch.empty((1 << 20) if tiny else (1 << 30), device=device, dtype=torch.uint8)
    target = torch.empty_like(source)
    copy = timed(lambda _: target.copy_(source), 20, device)
    return 2.0 * n**3 / product, 2.0 * source.numel() / copy


def report(shape: str, name: str, options: argparse.Namespace, ends: float) -> None:
    """Measure one model on one task and print a line per candidate."""
    device = torch.device(options.device)
    flops_ceiling, bytes_ceiling = options.ceilings
    task = make_task(name, 40 * ROWS)
    order = training_batches(len(task.splits["train"]), ROWS, 0)
    batches = [collate(task.splits["train"], next(order), 0) for _ in range(40)]
    tokens = float(np.mean([int(batch.mask.sum()) for batch in batches]))
    hidden, layers, _, wide = SHAPES[shape]
    size = layers * (4 * hidden**2 + 2 * hidden * wide)
    total = size + WORDS * hidden
    per_run = EPOCHS * -(-LENGTHS[name][2] // ROWS)
    print(
        f"\nBERT-{shape}, {name}-like lengths: {tokens:.0f} tokens per step, {per_run} steps a run"
    )
    print(f"{'':20}{'ms/step':>9}{'s/run':>8}{'625 runs':>11}{'ratio':>7}{'FLOP':>7}{'bytes':>7}")
    cases: list[tuple[str, Callable[[], float]]] = [
        ("loop", lambda: loop(shape, batches, options.steps, device))
    ]
    if device.type == "cuda":
        cases += [
            (f"graphs, {k} streams", lambda k=k: graphs(shape, batches, k, options.steps, device))  # type: ignore[misc]
            for k in (1, 2, 4)
        ]
    cases += [
        (f"packed, width {w}", lambda w=w: packed(shape, task, batches, w, options.steps, device))  # type: ignore[misc]
        for w in options.widths
    ]
    first = 0.0
    for label, measure in cases:
        if time.perf_counter() > ends:
            print(f"{label:20}  (out of time)")
            continue
        try:
            seconds = measure()
        except (RuntimeError, MemoryError) as error:
            print(f"{label:20}  {type(error).__name__}: {str(error).splitlines()[0][:90]}")
            continue
        finally:
            gc.collect()
            if device.type == "cuda":
                torch.cuda.empty_cache()
        first = first or seconds
        run = seconds * per_run
        print(
            f"{label:20}{seconds * 1e3:9.2f}{run:8.1f}{run * CELLS / 60:7.0f} min"
            f"{first / seconds:7.2f}{6 * size * tokens / seconds / flops_ceiling:7.0%}"
            f"{30 * total / seconds / bytes_ceiling:7.0%}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--widths", type=int, nargs="+", default=[1, 5, 13])
    parser.add_argument("--tiny", action="store_true", help="check the script itself")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch sees no CUDA device; --device cpu --tiny checks the script itself")
    ends = time.perf_counter() + 60 * options.minutes
    device = torch.device(options.device)
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
