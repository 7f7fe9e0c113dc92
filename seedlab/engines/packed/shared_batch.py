"""`SharedBatchBuilder`: what the runs of a column share at an update: tokens, masks, outputs from below."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import torch

from seedlab.engines.packed.cuda_graphs import GraphCache, GraphCapturer
from seedlab.engines.packed.dropout_masks import Drawn, Key, Masks, Part, dropout_key, mixout_key
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
from seedlab.training.step_plan import StepPlan

_ROUND = 16
"""Multiple to which tokens per batch are rounded up on the host. oneDNN prepares a product for its
sizes once and keeps a thousand of them: texts of all lengths would make it prepare for ever."""


@dataclass(frozen=True)
class SharedBatch:
    """What the runs of a column get at an update.

    Parameters
    ----------
    parts : sequence of Part
        The batch, cut as the recipe says.
    masks : sequence over parts of masks by key and site
    keys : sequence over runs of Key
    below : sequence over parts of sequences over runs of tensors
        Outputs of the part that is not trained; empty where there is none.
    mixout : sequence over runs of masks by weight
    place : hashable or None
        Names the memory that all this lies in, where it is the same at the next such update.
    version : int
        Of the recordings that made it.
    """

    parts: Sequence[Part]
    masks: Sequence[Drawn]
    keys: Sequence[Key]
    below: Sequence[Sequence[torch.Tensor]]
    mixout: Sequence[dict[str, torch.Tensor]]
    place: Hashable | None = None
    version: int = 0

    def of(self, own: slice) -> SharedBatch:
        """Return what some of the runs get."""
        below = [of_part[own] for of_part in self.below]
        mixout, keys = self.mixout[own], self.keys[own]
        return replace(self, keys=keys, below=below, mixout=mixout)

    def anew(self) -> SharedBatch:
        """Return the same without what was derived from the tokens: it is derived again."""
        parts = [(tokens.anew(), labels) for tokens, labels in self.parts]
        return replace(self, parts=parts)


class SharedBatchBuilder:
    """Makes what the runs of a column share.

    Parameters
    ----------
    anatomy : ModelPartition
    split : Split
        Of the training examples.
    masks : Masks
    lower : FrozenTrunk
    scored : EvaluationBatches
    crew : ThreadPool
    buckets : bool
        Make batches on the device, in a few shapes (see `seedlab.engines.packed.encoder.device_split`).
    recorder : GraphCapturer or None
        Record how a batch is made, where all of it can be made on the device.
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

    def serve(
        self, batch: Batch, step: int, runs: Sequence[RunSpec], plans: Sequence[StepPlan]
    ) -> SharedBatch:
        """Return what the runs get at update number `step`."""
        keys = [dropout_key(run, plan, step) for run, plan in zip(runs, plans, strict=True)]
        if self._graphs is not None:
            return self._repeat(self._graphs, batch, step, runs, keys)
        parts = self._parts(batch, runs[0].recipe.accumulation)
        masks = self.masks.draw(parts, set(keys), step)
        below = self._below(batch, parts, masks, keys)
        return SharedBatch(parts, masks, keys, below, self._mixout(step, runs))

    def _repeat(
        self,
        graphs: GraphCache,
        batch: Batch,
        step: int,
        runs: Sequence[RunSpec],
        keys: Sequence[Key],
    ) -> SharedBatch:
        """Make a batch as one of its shape was made before."""
        assert self._device_dataset is not None  # nothing is recorded of what the host makes
        device_dataset = self._device_dataset
        cuts, shapes = _cut(device_dataset, batch, runs[0].recipe.accumulation)
        place = (tuple(shapes), tuple(sorted({key or () for key in keys})))
        if place[0] not in self._examples:
            # A copy on any device: the caller's batch must not change with the next one.
            device = self.partition.device
            self._examples[place[0]] = [cut.to(device, copy=True) for cut in cuts]
        inputs = self._examples[place[0]]
        for given, cut in zip(inputs, cuts, strict=True):
            given.copy_(cut)
        self._step.fill_(step)

        def make() -> tuple[list[Part], list[Drawn]]:
            parts = [device_dataset.part(*pair) for pair in zip(inputs, shapes, strict=True)]
            return parts, self.masks.record(parts, set(keys), self._step, self._memory)

        parts, masks = self.thread_pool.map(lambda work, _: graphs.run(place, work), [make])[0]
        nothing: list[dict[str, torch.Tensor]] = [{}] * len(runs)
        return SharedBatch(parts, masks, keys, [], nothing, place, graphs.version)

    def _parts(self, batch: Batch, accumulation: int) -> list[Part]:
        """Return the batch without padding, cut as the recipe says."""
        device = self.partition.device
        if self._device_dataset is not None:
            cuts, shapes = _cut(self._device_dataset, batch, accumulation)
            return [
                self._device_dataset.part(cut.to(device), shape)
                for cut, shape in zip(cuts, shapes, strict=True)
            ]
        parts, tables = [], self.partition.encoder.tables
        for start, stop in _bounds(len(batch.labels), accumulation):
            part = batch.part(start, stop)
            tokens = tables.ragged(part.ids, part.types, part.mask, start).filled(_ROUND)
            parts.append((tokens.to(device), part.labels.to(device)))
        return parts

    def _below(
        self, batch: Batch, parts: Sequence[Part], masks: Sequence[Drawn], keys: Sequence[Key]
    ) -> list[list[torch.Tensor]]:
        """Return the outputs of what is below the trained part, by part and run."""
        if not self.frozen_trunk:
            return []
        if not self.partition.keeps_features:
            return self.frozen_trunk.train([tokens for tokens, _ in parts], masks, keys)
        features = self.evaluation_batches.features(self.split)
        cuts = torch.split(batch.examples, [len(labels) for _, labels in parts])
        return [[features[examples.to(features.device)]] * len(keys) for examples in cuts]

    def _mixout(self, step: int, runs: Sequence[RunSpec]) -> list[dict[str, torch.Tensor]]:
        """Return every run's masks of mixout, drawn once for the runs that share them."""
        parametrization = self.partition.parametrization
        if not isinstance(parametrization, MixoutParametrization):
            return [{}] * len(runs)
        keys = [mixout_key(run) for run in runs]
        drawn = self.masks.draw_mixout(
            set(keys), runs[0].recipe.mixout, parametrization.layout, step
        )
        return [drawn[key] for key in keys]


def _cut(
    device_dataset: DeviceDataset, batch: Batch, accumulation: int
) -> tuple[list[torch.Tensor], list[BatchShape]]:
    """Return the numbers of every part's examples, and the shapes of their buckets."""
    bounds = _bounds(len(batch.labels), accumulation)
    cuts = [batch.examples[start:stop] for start, stop in bounds]
    shapes = [
        device_dataset.shape(cut.numpy(), start)
        for cut, (start, _) in zip(cuts, bounds, strict=True)
    ]
    return cuts, shapes


def _bounds(rows: int, accumulation: int) -> list[tuple[int, int]]:
    """Return where the parts of a batch begin and end."""
    size = -(-rows // accumulation)
    return [(start, min(start + size, rows)) for start in range(0, rows, size)]
