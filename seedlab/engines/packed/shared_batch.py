"""`SharedBatchBuilder`: builds the tokens, masks and frozen-trunk outputs that a column shares."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import torch

from seedlab.engines.packed.cuda_graphs import GraphCache, GraphCapturer
from seedlab.engines.packed.dropout_masks import Drawn, Key, Masks, Part, dropout_key
from seedlab.engines.packed.encoder.device_split import BatchShape, DeviceDataset
from seedlab.engines.packed.encoder.ops import Workspace
from seedlab.engines.packed.encoder.parametrizations import MixoutParametrization
from seedlab.engines.packed.evaluation_batches import EvaluationBatches
from seedlab.engines.packed.frozen_trunk import FrozenTrunk
from seedlab.engines.packed.partition import ModelPartition
from seedlab.engines.packed.thread_pool import ThreadPool
from seedlab.spec.run import RunSpec
from seedlab.tasks.encoded import Split
from seedlab.training.batches import Batch
from seedlab.training.parameter_plan import stream_key
from seedlab.training.step_plan import StepPlan
from seedlab.training.techniques.mixout import STREAM

_ROUND = 16
"""On the host, tokens per batch are rounded up to a multiple of this. oneDNN sets up a matrix
product once per size and caches a thousand sizes; without rounding, the cache would overflow."""


@dataclass(frozen=True)
class SharedBatch:
    """Inputs of one update for the runs of a column or of a stack.

    Parameters
    ----------
    parts : sequence of Part
        The batch, in as many parts as the recipe's `accumulation`.
    masks : sequence over parts of masks by key and site
    keys : sequence over runs of Key
        Dropout keys.
    trunk_outputs : sequence over parts of sequences over runs of tensors
        Outputs of the frozen trunk; empty without one.
    mixout : sequence over runs of masks by weight
    graph_key : hashable or None
        Batches with one key lie in the same memory, so a captured graph can read them. None: newly
        allocated memory.
    version : int
        Version of the graph cache that made the batch.
    """

    parts: Sequence[Part]
    masks: Sequence[Drawn]
    keys: Sequence[Key]
    trunk_outputs: Sequence[Sequence[torch.Tensor]]
    mixout: Sequence[dict[str, torch.Tensor]]
    graph_key: Hashable | None = None
    version: int = 0

    def of(self, own: slice) -> SharedBatch:
        """Return the inputs of some of the runs."""
        trunk_outputs = [outputs[own] for outputs in self.trunk_outputs]
        mixout, keys = self.mixout[own], self.keys[own]
        return replace(self, keys=keys, trunk_outputs=trunk_outputs, mixout=mixout)

    def uncached(self) -> SharedBatch:
        """Return the same batch without the cached index vectors of its tokens."""
        parts = [(tokens.uncached(), labels) for tokens, labels in self.parts]
        return replace(self, parts=parts)


class SharedBatchBuilder:
    """Builds the training batches of a column.

    Parameters
    ----------
    partition : ModelPartition
    split : Split
        Training examples.
    masks : Masks
    frozen_trunk : FrozenTrunk
    evaluation_batches : EvaluationBatches
    thread_pool : ThreadPool
    buckets : bool
        Build batches on the device, in a few shapes
        (see `seedlab.engines.packed.encoder.device_split`).
    capturer : GraphCapturer or None
        Captures the building of batches. It is not used with mixout or a frozen trunk, which need
        the host.
    """

    def __init__(
        self,
        partition: ModelPartition,
        split: Split,
        masks: Masks,
        frozen_trunk: FrozenTrunk,
        evaluation_batches: EvaluationBatches,
        thread_pool: ThreadPool,
        buckets: bool,
        capturer: GraphCapturer | None,
    ) -> None:
        self.partition, self.split, self.masks = partition, split, masks
        self.frozen_trunk, self.evaluation_batches, self.thread_pool = (
            frozen_trunk,
            evaluation_batches,
            thread_pool,
        )
        self._device_dataset: DeviceDataset | None = None
        self._graphs: GraphCache | None = None
        if buckets:
            arrays = (split.ids, split.types, split.offsets, split.labels)
            self._device_dataset = DeviceDataset(
                *arrays, partition.encoder.tables, partition.device
            )
        if (
            capturer is not None
            and not frozen_trunk
            and not isinstance(partition.parametrization, MixoutParametrization)
        ):
            self._memory = Workspace(partition.device, partition.dtype, partition.dtype)
            self._graphs = GraphCache(capturer, [self._memory])
            self._step = torch.zeros((), dtype=torch.long, device=partition.device)
            self._examples: dict[tuple[BatchShape, ...], list[torch.Tensor]] = {}

    def build(
        self, batch: Batch, step: int, runs: Sequence[RunSpec], plans: Sequence[StepPlan]
    ) -> SharedBatch:
        """Return the inputs of update number `step` for all runs."""
        keys = [dropout_key(run, plan, step) for run, plan in zip(runs, plans, strict=True)]
        if self._graphs is not None:
            return self._replay(self._graphs, batch, step, runs, keys)
        parts = self._parts(batch, runs[0].recipe.accumulation)
        masks = self.masks.draw(parts, set(keys), step)
        trunk_outputs = self._trunk_outputs(batch, parts, masks, keys)
        return SharedBatch(parts, masks, keys, trunk_outputs, self._mixout(step, runs))

    def _replay(
        self,
        graphs: GraphCache,
        batch: Batch,
        step: int,
        runs: Sequence[RunSpec],
        keys: Sequence[Key],
    ) -> SharedBatch:
        """Build a batch by replaying the graph of its shape."""
        assert self._device_dataset is not None  # graphs require `buckets`
        device_dataset = self._device_dataset
        examples, shapes = _split(device_dataset, batch, runs[0].recipe.accumulation)
        shape = tuple(shapes)
        graph_key = (shape, tuple(sorted({key or () for key in keys})))
        if shape not in self._examples:
            # A copy even on the CPU: the next batch must not overwrite the caller's.
            device = self.partition.device
            self._examples[shape] = [part.to(device, copy=True) for part in examples]
        inputs = self._examples[shape]
        for static, part in zip(inputs, examples, strict=True):
            static.copy_(part)
        self._step.fill_(step)

        def make() -> tuple[list[Part], list[Drawn]]:
            parts = [device_dataset.part(*pair) for pair in zip(inputs, shapes, strict=True)]
            return parts, self.masks.draw_for_graph(parts, set(keys), self._step, self._memory)

        parts, masks = self.thread_pool.map(lambda work, _: graphs.run(graph_key, work), [make])[0]
        mixout: list[dict[str, torch.Tensor]] = [{}] * len(runs)
        return SharedBatch(parts, masks, keys, [], mixout, graph_key, graphs.version)

    def _parts(self, batch: Batch, accumulation: int) -> list[Part]:
        """Return the batch without padding, in `accumulation` parts."""
        device = self.partition.device
        if self._device_dataset is not None:
            examples, shapes = _split(self._device_dataset, batch, accumulation)
            return [
                self._device_dataset.part(numbers.to(device), shape)
                for numbers, shape in zip(examples, shapes, strict=True)
            ]
        parts, tables = [], self.partition.encoder.tables
        for start, stop in _bounds(len(batch.labels), accumulation):
            part = batch.part(start, stop)
            tokens = tables.ragged(part.ids, part.types, part.mask, start).filled(_ROUND)
            parts.append((tokens.to(device), part.labels.to(device)))
        return parts

    def _trunk_outputs(
        self, batch: Batch, parts: Sequence[Part], masks: Sequence[Drawn], keys: Sequence[Key]
    ) -> list[list[torch.Tensor]]:
        """Return the outputs of the frozen trunk, by part and run; empty without one."""
        if not self.frozen_trunk:
            return []
        if not self.partition.keeps_features:
            return self.frozen_trunk.train([tokens for tokens, _ in parts], masks, keys)
        features = self.evaluation_batches.features(self.split)
        by_part = torch.split(batch.examples, [len(labels) for _, labels in parts])
        return [[features[examples.to(features.device)]] * len(keys) for examples in by_part]

    def _mixout(self, step: int, runs: Sequence[RunSpec]) -> list[dict[str, torch.Tensor]]:
        """Return every run's masks of mixout; runs with one key share them."""
        parametrization = self.partition.parametrization
        if not isinstance(parametrization, MixoutParametrization):
            return [{}] * len(runs)
        keys = [stream_key(run, STREAM) for run in runs]
        mixout = parametrization.effect.settings
        drawn = self.masks.draw_mixout(set(keys), mixout, parametrization.layout, step)
        return [drawn[key] for key in keys]


def _split(
    device_dataset: DeviceDataset, batch: Batch, accumulation: int
) -> tuple[list[torch.Tensor], list[BatchShape]]:
    """Return the numbers of every part's examples, and the shapes of the parts."""
    bounds = _bounds(len(batch.labels), accumulation)
    examples = [batch.examples[start:stop] for start, stop in bounds]
    shapes = [
        device_dataset.shape(part.numpy(), start)
        for part, (start, _) in zip(examples, bounds, strict=True)
    ]
    return examples, shapes


def _bounds(rows: int, accumulation: int) -> list[tuple[int, int]]:
    """Return the first row, and one past the last row, of every part of a batch."""
    size = -(-rows // accumulation)
    return [(start, min(start + size, rows)) for start in range(0, rows, size)]
