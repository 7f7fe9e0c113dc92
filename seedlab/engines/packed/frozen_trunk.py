"""`FrozenTrunk`: the part of the model below what is trained, computed once for all runs."""

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
    """Computes what is the same for all runs of a column.

    Runs with another dropout seed drop other elements; there is one output per key then, and
    one for all where nothing is dropped in this part.

    Parameters
    ----------
    encoder : StackedEncoder
    parameters : mapping of name to tensor
        The frozen ones.
    drops : bool
        Whether there are dropout sites in this part.
    crew : ThreadPool
    """

    encoder: StackedEncoder
    parameters: NamedTensors
    drops: bool
    thread_pool: ThreadPool

    def __bool__(self) -> bool:
        """Whether there is such a part."""
        return self.encoder.first > 0

    def train(
        self, batches: Sequence[Ragged], masks: Sequence[Drawn], keys: Sequence[Key]
    ) -> list[list[torch.Tensor]]:
        """Return every part's outputs, by run; those of one key are one tensor.

        Parameters
        ----------
        batches : sequence of Ragged
            The parts of an update's batch.
        masks : sequence of mappings of key to masks by site
            By part.
        keys : sequence of Key
            Of the runs' dropout.
        """
        own = [key if self.drops else None for key in keys]
        jobs = [(part, key) for part in range(len(batches)) for key in dict.fromkeys(own)]
        found = self._map([(batches[part], masks[part].get(key, {})) for part, key in jobs])
        by_job = dict(zip(jobs, found, strict=True))
        return [[by_job[part, key] for key in own] for part in range(len(batches))]

    def score(self, batches: Sequence[Ragged]) -> list[torch.Tensor]:
        """Return the outputs of batches without dropout."""
        return self._map([(batch, {}) for batch in batches])

    def nbytes(self, batch: Ragged, width: int) -> int:
        """Return how large the output of a batch is, in a model of this width."""
        whole = self.encoder.first <= len(self.encoder.layers)
        lines = batch.n_tokens if whole else batch.n_rows
        return lines * width * self.parameters[self.encoder.architecture.words].element_size()

    def _map(self, jobs: Sequence[tuple[Ragged, NamedTensors]]) -> list[torch.Tensor]:
        def compute(job: tuple[Ragged, NamedTensors], memory: WorkBuffers) -> torch.Tensor:
            out = self.encoder.frozen_trunk(ForwardContext(self.parameters, *job, memory.work))
            assert out is not None  # asked only where there is such a part
            return out

        return self.thread_pool.map(compute, jobs)


def for_stack(outputs: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the outputs for a stack's runs together, with a run axis for more than one."""
    if len(outputs) == 1:
        return outputs[0]
    if all(out is outputs[0] for out in outputs):
        return outputs[0].expand(len(outputs), *outputs[0].shape)
    return torch.stack(list(outputs))
