"""Masks of dropout and mixout for a column; a mask that several runs share is drawn once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from seedlab.engines.packed.encoder.flat_layout import FlatLayout
from seedlab.engines.packed.encoder.ops import Workspace
from seedlab.engines.packed.encoder.ragged_batch import Ragged
from seedlab.engines.packed.encoder.ragged_dropout import Site, draw_mask
from seedlab.engines.packed.thread_pool import ThreadPool, WorkBuffers
from seedlab.models.keyed_dropout import site_number
from seedlab.spec.run import RunSpec
from seedlab.techniques.mixout import MixoutSpec
from seedlab.training.parameter_plan import stream_key
from seedlab.training.step_plan import StepPlan
from seedlab.training.techniques.mixout import keep_mask

Part = tuple[Ragged, torch.Tensor]
"""Tokens and (row,) labels of a part of a batch."""
Key = tuple[int, int] | None
"""Key of the dropout or mixout stream; None: no masks."""
Drawn = Mapping[Key, dict[str, torch.Tensor]]
"""Masks by key and site (or weight, for mixout)."""
_Job = tuple[int, tuple[int, int], Site]
"""A mask to draw: number of the part, key and site."""


def dropout_key(run: RunSpec, plan: StepPlan, step: int) -> Key:
    """Return the key of a run's dropout; None without dropout at this step."""
    first = step % plan.steps_per_epoch == 0
    if run.recipe.dropout_active != "always" and not first:
        return None
    return stream_key(run, "dropout")


@dataclass(frozen=True)
class Masks:
    """Draws the masks of a column's updates.

    Parameters
    ----------
    sites : tuple of Site
        Dropout sites.
    max_length : int
        Configured maximum length in tokens.
    dtype : torch.dtype
        Type of the masks.
    device : torch.device
    thread_pool : ThreadPool
    """

    sites: tuple[Site, ...]
    max_length: int
    dtype: torch.dtype
    device: torch.device
    thread_pool: ThreadPool

    def draw(self, parts: Sequence[Part], keys: set[Key], step: int) -> list[Drawn]:
        """Return every part's masks, by key and site."""
        jobs = self._jobs(parts, keys)
        drawn = self.thread_pool.map(lambda job, _: self._draw(job, parts, step), jobs)
        return _by_part(jobs, drawn, parts, keys)

    def draw_for_graph(
        self, parts: Sequence[Part], keys: set[Key], step: torch.Tensor, memory: Workspace
    ) -> list[Drawn]:
        """Return the masks of `draw` in buffers of `memory`; a CUDA graph can capture this.

        It uses no threads. `step` is a () tensor of int64 on the device.
        """
        jobs, kept = self._jobs(parts, keys), []
        for job in jobs:
            mask = self._draw(job, parts, step)
            name = f"{job[0]}.{job[1]}.{job[2].name}"
            kept.append(memory.buffer(name, *mask.shape).copy_(mask))
        return _by_part(jobs, kept, parts, keys)

    def _jobs(self, parts: Sequence[Part], keys: set[Key]) -> list[_Job]:
        return [
            (part, key, site)
            for part in range(len(parts))
            for key in keys
            if key is not None
            for site in self.sites
        ]

    def _draw(self, job: _Job, parts: Sequence[Part], step: int | torch.Tensor) -> torch.Tensor:
        part, key, site = job
        return draw_mask(site, parts[part][0], key, step, self.max_length, self.dtype)

    def draw_mixout(
        self, keys: set[Key], mixout: MixoutSpec, layout: FlatLayout, step: int
    ) -> Drawn:
        """Return scaled masks of the linear maps of a layout, by key and weight.

        They are drawn on the device.
        """
        masks: dict[Key, dict[str, torch.Tensor]] = {key: {} for key in keys}
        jobs = [(key, name) for key in keys if key is not None for name in layout.pieces]
        # At p = 1 no weight is kept.
        scale = 0.0 if mixout.p == 1.0 else 1.0 / (1.0 - mixout.p)

        def draw(job: tuple[tuple[int, int], str], _: WorkBuffers) -> torch.Tensor:
            key, name = job
            shape, site = layout.pieces[name].shape, site_number(name.removesuffix(".weight"))
            kept = keep_mask(
                (shape[0], shape[1]), mixout.p, mixout.granularity, site, key, step, self.device
            )
            return kept.to(self.dtype).mul_(scale)

        for (key, name), mask in zip(jobs, self.thread_pool.map(draw, jobs), strict=True):
            masks[key][name] = mask
        return masks


def _by_part(
    jobs: Sequence[_Job], drawn: Sequence[torch.Tensor], parts: Sequence[Part], keys: set[Key]
) -> list[Drawn]:
    """Return masks by part, key and site."""
    masks: list[dict[Key, dict[str, torch.Tensor]]] = [{key: {} for key in keys} for _ in parts]
    for (part, key, site), mask in zip(jobs, drawn, strict=True):
        masks[part][key][site.name] = mask
    return list(masks)
