"""`FrozenTrunk`: the stages below the first trained one, computed once for all runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from seedlab.engines.packed.dropout_masks import Drawn, Key
from seedlab.engines.packed.encoder.context import ForwardContext, NamedTensors
from seedlab.engines.packed.encoder.encoder import StackedEncoder
from seedlab.engines.packed.encoder.ragged_batch import Ragged
from seedlab.engines.packed.thread_pool import ThreadPool, WorkBuffers


@dataclass(frozen=True)
class FrozenTrunk:
    """Computes the stages of the encoder that are frozen in all runs of a column.

    If these stages contain dropout, there is one output per dropout key. Otherwise all runs share
    one output.

    Parameters
    ----------
    encoder : StackedEncoder
    parameters : mapping of name to tensor
        Frozen parameters.
    has_dropout : bool
        Whether these stages contain dropout sites.
    thread_pool : ThreadPool
    """

    encoder: StackedEncoder
    parameters: NamedTensors
    has_dropout: bool
    thread_pool: ThreadPool

    def __bool__(self) -> bool:
        """Whether any stage is frozen."""
        return self.encoder.first > 0

    def train(
        self, batches: Sequence[Ragged], masks: Sequence[Drawn], keys: Sequence[Key]
    ) -> list[list[torch.Tensor]]:
        """Return the outputs for training, by part and run; runs with one key share a tensor.

        Parameters
        ----------
        batches : sequence of Ragged
            The parts of an update's batch.
        masks : sequence of mappings of key to masks by site
            Masks of every part.
        keys : sequence of Key
            Dropout keys of the runs.
        """
        own = [key if self.has_dropout else None for key in keys]
        jobs = [(part, key) for part in range(len(batches)) for key in dict.fromkeys(own)]
        found = self._map([(batches[part], masks[part].get(key, {})) for part, key in jobs])
        by_job = dict(zip(jobs, found, strict=True))
        return [[by_job[part, key] for key in own] for part in range(len(batches))]

    def score(self, batches: Sequence[Ragged]) -> list[torch.Tensor]:
        """Return the outputs for evaluation, by batch: without dropout."""
        return self._map([(batch, {}) for batch in batches])

    def nbytes(self, batch: Ragged, width: int) -> int:
        """Return the size in bytes of a batch's output, in a model of `width` hidden features."""
        all_tokens = self.encoder.first <= len(self.encoder.layers)
        lines = batch.n_tokens if all_tokens else batch.n_rows
        return lines * width * self.parameters[self.encoder.architecture.words].element_size()

    def _map(self, jobs: Sequence[tuple[Ragged, NamedTensors]]) -> list[torch.Tensor]:
        def compute(job: tuple[Ragged, NamedTensors], memory: WorkBuffers) -> torch.Tensor:
            out = self.encoder.frozen_trunk(ForwardContext(self.parameters, *job, memory.work))
            assert out is not None  # callers check that a stage is frozen
            return out

        return self.thread_pool.map(compute, jobs)


def stack_outputs(outputs: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the outputs of a stack's runs as one tensor, with a run axis for more than one."""
    if len(outputs) == 1:
        return outputs[0]
    if all(out is outputs[0] for out in outputs):
        return outputs[0].expand(len(outputs), *outputs[0].shape)
    return torch.stack(list(outputs))
