"""`ColumnModel`: the runs of a column in training, as stacks that share batches and masks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from transformers import PreTrainedModel

from seedlab.engines.packed.cuda_graphs import GraphCapturer, GraphStream
from seedlab.engines.packed.dropout_masks import Masks
from seedlab.engines.packed.encoder.context import NamedTensors
from seedlab.engines.packed.evaluation_batches import Batches, EvaluationBatches
from seedlab.engines.packed.frozen_trunk import FrozenTrunk
from seedlab.engines.packed.initial_weights import InitialWeights
from seedlab.engines.packed.memory import check_fits, free_bytes
from seedlab.engines.packed.options import ComputeOptions, StackOptions, run_options_of
from seedlab.engines.packed.partition import partition_model
from seedlab.engines.packed.planning.batch_sizes import BatchSizes
from seedlab.engines.packed.shared_batch import SharedBatch, SharedBatchBuilder
from seedlab.engines.packed.stack import Stack
from seedlab.engines.packed.thread_pool import ThreadPool, WorkBuffers
from seedlab.models.lora import peft_names
from seedlab.models.pretrained import Weights
from seedlab.spec.run import RunSpec
from seedlab.tasks.encoded import EncodedTask, Split
from seedlab.training.batches import Batch
from seedlab.training.pack_model import Floats
from seedlab.training.parameter_plan import plan_parameters
from seedlab.training.step_plan import StepPlan

_ROOM = 0.05
"""Share of the free memory for cached outputs of the frozen trunk."""


class ColumnModel:
    """The runs of a column in training; a `seedlab.training.pack_model.PackModel`.

    Parameters
    ----------
    runs : sequence of RunSpec
        They have one order seed, and plans of the same length.
    plans : sequence of StepPlan
        One per run.
    task : EncodedTask
    weights : Weights
    thread_pool : ThreadPool
        Computes the stacks.
    options : ComputeOptions
    """

    def __init__(
        self,
        runs: Sequence[RunSpec],
        plans: Sequence[StepPlan],
        task: EncodedTask,
        weights: Weights,
        thread_pool: ThreadPool,
        options: ComputeOptions,
    ) -> None:
        self.runs, self.plans = list(runs), list(plans)
        self.task, self.thread_pool = task, thread_pool
        self.parameter_plans = [
            plan_parameters(run, plan, weights.model, weights.new)
            for run, plan in zip(runs, plans, strict=True)
        ]
        partition = partition_model(weights, task, runs[0], self.parameter_plans[0])
        self.partition = partition
        free = free_bytes(partition.device)
        room = int(free * _ROOM) if partition.encoder.first else 0
        if partition.keeps_features:
            room = sum(map(len, task.splits.values())) * partition.hidden * partition.dtype.itemsize
        buffers = max(len(plan.steps.buffers) for plan in self.parameter_plans)
        sizes = BatchSizes.of(runs[0], plans[0].total_steps, task, not options.buckets)
        needs, stacked = self._needs_initial_weights, min(options.stack, len(runs)) > 1
        captured = options.capturer is not None
        shape = partition.shape(runs, sizes, room, buffers, needs, stacked, captured)
        by_turns = options.stack < len(runs) and options.capturer is None
        check_fits(shape, len(runs), free, options.stack * thread_pool.size if by_turns else None)
        frozen_vector = partition.vector(partition.frozen)
        partition.frozen.fill(frozen_vector, self._start(weights, 0))
        frozen = partition.frozen.views(
            frozen_vector,
            None if partition.copy_dtype is None else frozen_vector.to(partition.copy_dtype),
        )
        sites, device = partition.sites, partition.device
        masks = Masks(sites, task.max_length, partition.dtype, device, thread_pool)
        dropout = partition.trunk_has_dropout
        frozen_trunk = FrozenTrunk(partition.encoder, frozen, dropout, thread_pool)
        self.evaluation_batches = EvaluationBatches(
            partition.encoder.tables,
            task.pad_id,
            runs[0].evaluation.batch_size,
            device,
            frozen_trunk,
            partition.hidden,
            room,
            partition.keeps_features,
        )
        split, capturer = task.splits["train"], options.capturer and options.capturer()
        self.batch_builder = SharedBatchBuilder(
            partition,
            split,
            masks,
            frozen_trunk,
            self.evaluation_batches,
            thread_pool,
            options.buckets,
            capturer,
        )
        self._stack_options = StackOptions(
            partition.encoder,
            partition.trained,
            runs[0].recipe.loss == "rmse",
            frozen,
            partition.parametrization,
            partition.unused_squares(weights.pretrained),
            partition.copy_dtype,
        )
        self.stacks = self._fill(weights, min(options.stack, len(runs)), options.capturer)

    def _fill(
        self, weights: Weights, size: int, capturer: Callable[[], GraphCapturer] | None
    ) -> list[Stack]:
        """Return stacks of up to `size` runs, with their initial weights."""
        partition, shared, stacks = self.partition, self._shared_initial_weights(weights), []
        for start in range(0, len(self.runs), size):
            slots = range(start, min(start + size, len(self.runs)))
            flat = partition.vector(partition.trained, len(slots))
            for slot, row in zip(slots, flat, strict=True):
                partition.trained.fill(row, self._start(weights, slot))
            stacks.append(self._stack(flat, slots, shared, weights))

        def memory() -> WorkBuffers:
            return WorkBuffers(
                partition.trained, size, flat, partition.product_dtype, partition.parametrization
            )

        if capturer is None:
            self.thread_pool.use_buffers(memory)
            return stacks
        graph_streams = [
            GraphStream(memory(), capturer(), concurrent=len(stacks) > 1) for _ in stacks
        ]
        for stack, graph_stream in zip(stacks, graph_streams, strict=True):
            stack.graph_stream = graph_stream
        # Evaluation computes one stack at a time, in the first stack's memory.
        first = graph_streams[0].memory
        self.thread_pool.use_buffers(lambda: first)
        return stacks

    def update(self, batch: Batch, step: int, by_depth: bool = False) -> tuple[Floats, Floats]:
        """Make one update of every run; see `seedlab.training.pack_model.PackModel`."""
        column_batch = self.batch_builder.build(batch, step, self.runs, self.plans)
        jobs, slot = [], 0
        for stack in self.stacks:
            jobs.append((stack, column_batch.of(slice(slot, slot + len(stack)))))
            slot += len(stack)

        def update(job: tuple[Stack, SharedBatch], memory: WorkBuffers) -> tuple[torch.Tensor, ...]:
            stack, shared = job
            if stack.graph_stream is None:
                return stack.update(shared, step, memory, by_depth)
            with stack.graph_stream.open() as own:
                return stack.update(shared, step, own, by_depth)

        results = self.thread_pool.map(update, jobs)
        for stack in self.stacks:
            if stack.graph_stream is not None:
                stack.graph_stream.join()
        losses, norms = zip(*results, strict=True)
        return _floats(losses), _floats(norms)

    def logits(self, split: Split, averaged: bool = False) -> npt.NDArray[np.float32]:
        """Return the (slot, example, class) logits of a split, for live or averaged weights."""
        out = np.empty((len(self.runs), len(split), self.task.n_labels), dtype=np.float32)
        starts = np.cumsum([0] + [len(stack) for stack in self.stacks])
        jobs = list(zip(starts.tolist(), self.stacks, strict=False))
        for batches in self.evaluation_batches.batches(split):

            def score(
                job: tuple[int, Stack], memory: WorkBuffers, batches: Batches = batches
            ) -> None:
                start, stack = job
                for indices, logits in stack.logits(batches, memory, averaged):
                    out[start : start + len(stack), indices] = logits

            self.thread_pool.map(score, jobs)
        return out

    def drop(self, slots: list[int]) -> None:
        """Remove these slots. A stack's memory is freed with its last run."""
        kept = [slot for slot in range(len(self.runs)) if slot not in slots]
        start, stacks = 0, []
        for stack in self.stacks:
            size = len(stack)
            inside = [slot - start for slot in kept if start <= slot < start + size]
            start += size
            if inside:
                if len(inside) < size:
                    stack.keep(inside)
                stacks.append(stack)
        self.stacks = stacks
        self.runs = [self.runs[slot] for slot in kept]
        self.plans = [self.plans[slot] for slot in kept]
        self.parameter_plans = [self.parameter_plans[slot] for slot in kept]

    def state(self, slot: int) -> dict[str, torch.Tensor]:
        """Return the state of the run in this slot, copied to the host."""
        stack, place = self._place(slot)
        return stack.state(place)

    def load(self, slot: int, tensors: Mapping[str, torch.Tensor]) -> None:
        """Set the state of the run in this slot to the tensors that `state` returned."""
        stack, place = self._place(slot)
        stack.load(place, tensors)

    def restore(self, weights: Weights, slot: int) -> None:
        """Copy the weights of the run in this slot that were scored last into the model."""
        stack, place = self._place(slot)
        values, untouched = stack.scored_last(place)
        self.partition.trained.restore(values, self._start(weights, slot), untouched)

    def scored_weights(self, slot: int) -> dict[str, torch.Tensor]:
        """Return the weights of the run in this slot that were scored last, on the host."""
        stack, place = self._place(slot)
        return stack.scored_weights(place)

    def put_back(self, slot: int, weights: Mapping[str, torch.Tensor]) -> None:
        """Make weights that `scored_weights` returned those of the run in this slot."""
        stack, place = self._place(slot)
        stack.put_back(place, weights)

    def distances(self) -> Floats:
        """Return the (slot, depth) L2 distances of the weights from their initial values."""
        return _floats(self.thread_pool.map(lambda stack, _: stack.distances(), self.stacks))

    def representations(self, split: Split, n: int) -> npt.NDArray[np.float32]:
        """Return the (slot, depth, example, feature) first tokens of the first `n` examples."""
        n, size = min(n, len(split)), self.runs[0].evaluation.batch_size
        batches = [
            self.evaluation_batches.ragged(split, np.arange(start, min(start + size, n)))
            for start in range(0, n, size)
        ]
        found = self.thread_pool.map(
            lambda stack, memory: stack.first_tokens(batches, memory), self.stacks
        )
        return np.concatenate(found)

    def _place(self, slot: int) -> tuple[Stack, int]:
        """Return the stack that contains a slot, and the run's index in the stack."""
        for stack in self.stacks:
            if slot < len(stack):
                return stack, slot
            slot -= len(stack)
        raise IndexError(slot)

    def _start(self, weights: Weights, slot: int) -> PreTrainedModel:
        """Return the model with the initial weights of the run in this slot."""
        return weights.start(self.runs[slot].seeds.init, self.parameter_plans[slot].fresh)

    def _stack(
        self, flat: torch.Tensor, slots: range, shared: NamedTensors | None, weights: Weights
    ) -> Stack:
        """Return the stack of some runs; `flat` holds their initial weights."""
        run_options = [
            run_options_of(self.runs[slot], self.parameter_plans[slot]) for slot in slots
        ]
        initial_weights = None
        if shared is not None:
            fresh = {name for slot in slots for name in self.parameter_plans[slot].fresh}
            fresh.update(weights.new, *map(peft_names, weights.low_rank_maps))
            views, names = self.partition.trained.views(flat), self.partition.trained.pieces
            initial_weights = InitialWeights(
                shared, {n: views[n].clone() for n in names if n in fresh}
            )
        return Stack(self._stack_options, run_options, flat, initial_weights)

    @property
    def _needs_initial_weights(self) -> bool:
        """Whether a technique or diagnostic needs the initial weights."""
        parametrization = self.partition.parametrization
        parametrized = parametrization is not None and parametrization.needs_start
        in_steps = any(plan.steps.need_start for plan in self.parameter_plans)
        return parametrized or in_steps or self.runs[0].diagnostics.distances

    def _shared_initial_weights(self, weights: Weights) -> NamedTensors | None:
        """Return the pre-trained weights by name; None if nothing needs them."""
        if not self._needs_initial_weights:
            return None
        layout = self.partition.trained
        row = self.partition.vector(layout)
        layout.fill(row, self._start(weights, 0))
        return layout.views(row)


def _floats(tensors: Sequence[torch.Tensor]) -> Floats:
    return np.asarray(torch.cat(list(tensors)).double().cpu().numpy())
