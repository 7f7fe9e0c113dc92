"""Ways to train runs on a GPU, which `gpu_engines.py` compares: seconds per update and run."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import torch
from transformers import BertConfig, BertForSequenceClassification

from seedlab.engines.packed.column import ColumnModel
from seedlab.engines.packed.cuda_graphs import CudaGraphCapturer
from seedlab.engines.packed.memory import fitting_width, free_bytes
from seedlab.engines.packed.options import ComputeOptions
from seedlab.engines.packed.partition import partition_model
from seedlab.engines.packed.planning.batch_sizes import BatchSizes
from seedlab.engines.packed.thread_pool import ThreadPool
from seedlab.models.keyed_dropout import install
from seedlab.models.pretrained import Weights
from seedlab.spec.recipe import RecipeSpec
from seedlab.spec.run import EvaluationSpec, ModelSpec, RunSpec, Seeds
from seedlab.tasks.encoded import EncodedTask
from seedlab.training.batches import Batch
from seedlab.training.parameter_plan import plan_parameters
from seedlab.training.step_plan import make_plan

SHAPES = {"base": (768, 12, 12, 3072), "large": (1024, 24, 16, 4096), "tiny": (64, 2, 2, 128)}
ROWS, LONGEST, WORDS = 16, 128, 30522


def configure_torch(device: torch.device) -> None:
    """Configure torch for all candidates as the packed engine does.

    Deterministic algorithms also fill all new memory. No candidate reads uninitialised memory, so
    filling would only slow all of them down, the baselines most.
    """
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def make_model(shape: str, device: torch.device) -> BertForSequenceClassification:
    """Return a model of BERT's shape with random weights, drawn on the device."""
    hidden, layers, heads, wide = SHAPES[shape]
    config = BertConfig(
        vocab_size=WORDS,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=wide,
        num_labels=2,
    )
    with torch.random.fork_rng(), device:
        return BertForSequenceClassification(config)


def make_weights(shape: str, device: torch.device) -> Weights:
    """Return such a model as the packed engine's `Weights`."""
    model = make_model(shape, device)
    state = install(model, LONGEST)
    pretrained = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    return Weights(model, pretrained, ("classifier.weight", "classifier.bias"), state)


def make_run(init: int, steps: int) -> RunSpec:
    """Return a run of a pack; the runs differ only in their initialisation."""
    like = RunSpec(
        model=ModelSpec(dtype="bfloat16"),
        recipe=RecipeSpec(max_steps=steps),
        evaluation=EvaluationSpec(per_epoch=0, at_start=False, batch_size=128),
    )
    seeds = Seeds(init, 0).resolved()
    return RunSpec(like.task, like.model, like.recipe, like.evaluation, seeds)


def widest(shape: str, task: EncodedTask, device: torch.device) -> int:
    """Return the widest pack that the packed engine accepts with the memory that is free now.

    The estimate needs only shapes, so the model here has no memory. The memory that the model and
    its pre-trained weights will take before the engine's own check is subtracted.
    """
    weights, run = make_weights(shape, torch.device("meta")), make_run(0, 1)
    plan = make_plan(run.recipe, run.evaluation, len(task.splits["train"]))
    partition = partition_model(
        weights, task, run, plan_parameters(run, plan, weights.model, weights.new)
    )
    batches = BatchSizes.of(run, plan.total_steps, task, device.type == "cpu")
    planned = partition.shape([run], batches, stacked=device.type != "cpu")
    taken = 2 * sum(tensor.nbytes for tensor in weights.pretrained.values())
    free = max(0, free_bytes(device) - taken)
    return fitting_width(planned, free, 1 if device.type == "cpu" else None)


def timed(step: Callable[[int], None], steps: int, device: torch.device, warm: int = 4) -> float:
    """Return seconds per call, after a few calls to warm up."""
    for number in range(warm):
        step(number)
    wait(device)
    start = time.perf_counter()
    for number in range(warm, warm + steps):
        step(number)
    wait(device)
    return (time.perf_counter() - start) / steps


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def loop(shape: str, batches: list[Batch], steps: int, device: torch.device) -> float:
    """Time a plain loop: bf16 autocast, padding to the batch's longest example, fused AdamW."""
    model = make_model(shape, device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5, fused=True)
    inputs = _on_device(batches, device)
    return timed(lambda n: _train_step(model, optimizer, inputs[n % len(inputs)]), steps, device)


def graphed(shape: str, batches: list[Batch], k: int, steps: int, device: torch.device) -> float:
    """Time the same on k streams; each step of a run is a CUDA graph of its length bucket."""
    runs = [_GraphedRun(shape, batches, device) for _ in range(k)]

    def step(number: int) -> None:
        for run in runs:
            run.replay(number)

    return timed(step, steps, device) / k


def packed(
    shape: str,
    task: EncodedTask,
    batches: list[Batch],
    width: int,
    steps: int,
    device: torch.device,
    *,
    stack: int,
    graphs: bool,
) -> tuple[float, float]:
    """Time seedlab's packed engine; also return seconds per example and run for scoring.

    With stacks of one run and graphs, runs are computed concurrently on streams.
    """
    weights = make_weights(shape, device)
    warm = len(batches) if graphs else 4
    runs = [make_run(init, warm + steps) for init in range(width)]
    plan = make_plan(runs[0].recipe, runs[0].evaluation, len(task.splits["train"]))
    how = ComputeOptions(stack, device.type == "cuda", CudaGraphCapturer if graphs else None)
    with ThreadPool(1) as thread_pool:
        pack_model = ColumnModel(runs, [plan] * width, task, weights, thread_pool, how)

        def step(number: int) -> None:
            pack_model.update(batches[number % len(batches)], number)

        each = timed(step, steps, device, warm) / width
        dev = task.splits["dev"]
        score = timed(lambda _: pack_model.logits(dev).sum(), 2, device, 1) / width / len(dev)
    return each, score


class _GraphedRun:
    """A run whose update is a CUDA graph, one for every length bucket (multiples of 32)."""

    def __init__(self, shape: str, batches: list[Batch], device: torch.device) -> None:
        self.stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self.model = make_model(shape, device).train()
        parameters = self.model.parameters()
        self.optimizer = torch.optim.AdamW(parameters, lr=2e-5, fused=True, capturable=True)
        full = [_padded(batch) for batch in batches if len(batch.labels) == ROWS]
        self.inputs = _on_device(full, device)
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
                    _train_step(self.model, self.optimizer, self.static[width])
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=pool, stream=self.stream):
                _train_step(self.model, self.optimizer, self.static[width])
            self.graphs[width] = graph

    def replay(self, number: int) -> None:
        """Make update `number` on this run's stream."""
        inputs = self.inputs[number % len(self.inputs)]
        width = inputs["input_ids"].shape[1]
        with torch.cuda.stream(self.stream):
            for name, tensor in inputs.items():
                self.static[width][name].copy_(tensor)
            self.graphs[width].replay()


def _on_device(batches: list[Batch], device: torch.device) -> list[dict[str, torch.Tensor]]:
    """Return batches as inputs of transformers' models."""
    return [
        {"input_ids": b.ids, "attention_mask": b.mask, "labels": b.labels}
        for b in (batch.to(device) for batch in batches)
    ]


def _train_step(model: Any, optimizer: torch.optim.Optimizer, inputs: dict[str, Any]) -> None:
    """Make one update as a plain loop does."""
    kind = inputs["input_ids"].device.type
    with torch.autocast(kind, dtype=torch.bfloat16):
        loss = model(**inputs).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=False)


def _padded(batch: Batch) -> Batch:
    """Return the batch padded to a multiple of 32 tokens."""
    missing = -batch.ids.shape[1] % 32
    ids, types, mask = (
        torch.nn.functional.pad(tensor, (0, missing))
        for tensor in (batch.ids, batch.types, batch.mask)
    )
    return Batch(ids, types, mask, batch.labels, batch.examples)
