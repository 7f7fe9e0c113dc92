"""The runs of a column in training: shared batches and masks, a stack for every few runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from transformers import PreTrainedModel

from seedlab.engines.crew import Crew
from seedlab.engines.memory import Shape, check_fits, free_bytes
from seedlab.engines.stack import Gradients, Part, Stack
from seedlab.models.family import describe
from seedlab.models.flat import make_layout
from seedlab.models.ragged import Ragged, make_tables
from seedlab.models.ragged_dropout import draw_mask, sites_of
from seedlab.models.stacked import StackedEncoder
from seedlab.models.weights import Weights
from seedlab.seeds import philox_key
from seedlab.spec import RunSpec
from seedlab.tasks.encoded import EncodedTask, Split
from seedlab.train.batches import Batch, collate, evaluation_batches
from seedlab.train.loop import Floats
from seedlab.train.plan import Plan
from seedlab.train.rates import learning_rates
from seedlab.train.stacked_optim import Rule


class PackedTrainee:
    """The runs of a column in training: a `seedlab.train.loop.Trainee`.

    Parameters
    ----------
    runs : sequence of RunSpec
        Of one order seed, with plans of the same length.
    plans : sequence of Plan
    task : EncodedTask
    weights : Weights
    crew : Crew
        The threads that stacks are given to.
    stack : int or None
        Runs per stack; None: all of them.
    """

    def __init__(
        self,
        runs: Sequence[RunSpec],
        plans: Sequence[Plan],
        task: EncodedTask,
        weights: Weights,
        crew: Crew,
        stack: int | None,
    ) -> None:
        self.runs, self.plans, self.task, self.crew = list(runs), list(plans), task, crew
        model = weights.model
        self.device = model.device
        family = self.family = describe(model)
        used = np.unique(np.concatenate([split.ids for split in task.splits.values()]))
        longest = max(int(split.lengths.max()) for split in task.splits.values())
        table = model.get_parameter(family.words)
        self.tables, words, positions = make_tables(
            torch.from_numpy(used.astype(np.int64)),
            len(table),
            longest,
            family.padding,
            family.positions_count_tokens,
        )
        self.layout = make_layout(model, family, {family.words: words, family.positions: positions})
        embedded, hidden = table.shape[1], model.get_parameter(f"{family.dense}.weight").shape[1]
        widths = dict.fromkeys(family.dropout, hidden)
        widths[family.embedding_site] = embedded
        for layer in family.layers:
            widths.pop(layer.attention_site, None)
        self.sites = sites_of(family, widths)
        at_once = None if stack is None else stack * crew.size
        check_fits(self._shape(model, longest), len(self.runs), free_bytes(self.device), at_once)
        encoder = StackedEncoder(family, self.tables)
        dtype = next(model.parameters()).dtype
        product = torch.bfloat16 if runs[0].model.dtype == "bfloat16" else dtype
        size = len(self.runs) if stack is None else stack
        self.stacks = []
        for start in range(0, len(self.runs), size):
            chosen = self.runs[start : start + size]
            flat = torch.zeros(len(chosen), self.layout.size, dtype=dtype, device=self.device)
            for row, run in zip(flat, chosen, strict=True):
                self.layout.fill(row, weights.start(run.seeds.init))
            self.stacks.append(Stack(encoder, self.layout, flat, [rule(run) for run in chosen]))
        self.dtype = dtype
        self.rates = [
            learning_rates(run.recipe, plan, len(family.layers))
            for run, plan in zip(runs, plans, strict=True)
        ]
        crew.equip(lambda: Gradients(self.layout, size, flat, product))
        self._evaluation: dict[int, list[tuple[npt.NDArray[np.int64], Ragged]]] = {}

    def _shape(self, model: PreTrainedModel, longest: int) -> Shape:
        """Return what decides how much memory the column takes."""
        family = self.family
        up = model.get_parameter(f"{family.layers[0].up}.weight")
        recipe = self.runs[0].recipe
        return Shape(
            size=self.layout.size,
            hidden=up.shape[1],
            feed_forward=up.shape[0],
            heads=family.heads,
            layers=len(family.layers),
            rows=-(-recipe.batch_size // recipe.accumulation),
            longest=longest,
            evaluation_rows=self.runs[0].evaluation.batch_size,
            itemsize=up.element_size(),
        )

    def update(self, batch: Batch, step: int, by_depth: bool = False) -> tuple[Floats, Floats]:
        """Make one update of every run; each follows the schedule of its own recipe."""
        parts = self._parts(batch)
        masks = self._masks(parts, step)
        jobs, slot = [], 0
        for stack in self.stacks:
            slots = range(slot, slot + len(stack))
            slot += len(stack)
            jobs.append(
                (
                    stack,
                    [[of_part[self._key(s, step)] for s in slots] for of_part in masks],
                    [float(self.rates[s][step, 0]) for s in slots],
                )
            )
        results = self.crew.map(
            lambda job, memory: job[0].update(parts, job[1], step, job[2], memory), jobs
        )
        losses, norms = zip(*results, strict=True)
        return _floats(losses), _floats(norms)

    def logits(self, split: Split, averaged: bool = False) -> npt.NDArray[np.float32]:
        """Return the (slot, example, class) logits of a split."""
        batches = self._evaluation_batches(split)
        out = np.empty((len(self.runs), len(split), self.task.n_labels), dtype=np.float32)
        starts = np.cumsum([0] + [len(stack) for stack in self.stacks])

        def score(job: tuple[int, Stack], memory: Gradients) -> None:
            start, stack = job
            for indices, batch in batches:
                out[start : start + len(stack), indices] = stack.logits(batch, memory)

        self.crew.map(score, list(zip(starts.tolist(), self.stacks, strict=False)))
        return out

    def drop(self, slots: list[int]) -> None:
        """Stop computing these slots and free their memory."""
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
        self.rates = [self.rates[slot] for slot in kept]

    def state(self, slot: int) -> dict[str, torch.Tensor]:
        """Return a copy on the host of all that changes while the run in this slot trains."""
        stack, place = self._place(slot)
        return stack.state(place)

    def load(self, slot: int, tensors: Mapping[str, torch.Tensor]) -> None:
        """Let the run in this slot go on from what `state` returned."""
        stack, place = self._place(slot)
        stack.load(place, tensors)

    def restore(self, weights: Weights, slot: int) -> None:
        """Put the run in this slot back into the model it was started from."""
        stack, place = self._place(slot)
        weights.start(self.runs[slot].seeds.init)
        optimizer = stack.optimizer
        self.layout.restore(optimizer.weights[place], weights.model, optimizer.decayed[place])

    def distances(self) -> Floats:
        """Not computed here; see `seedlab.engines.choice.unpackable`."""
        raise NotImplementedError

    def representations(self, split: Split, n: int) -> npt.NDArray[np.float32]:
        """Not computed here; see `seedlab.engines.choice.unpackable`."""
        raise NotImplementedError

    def _place(self, slot: int) -> tuple[Stack, int]:
        """Return the stack that a slot is in, and its place there."""
        for stack in self.stacks:
            if slot < len(stack):
                return stack, slot
            slot -= len(stack)
        raise IndexError(slot)

    def _parts(self, batch: Batch) -> list[Part]:
        """Return the batch without padding, cut as the recipe says."""
        rows = len(batch.labels)
        size = -(-rows // self.runs[0].recipe.accumulation)
        parts = []
        for start in range(0, rows, size):
            part = batch.part(start, start + size)
            tokens = self.tables.ragged(part.ids, part.types, part.mask, start)
            parts.append((tokens.to(self.device), part.labels.to(self.device)))
        return parts

    def _key(self, slot: int, step: int) -> tuple[int, int] | None:
        """Return the key of a run's dropout, None where it has none at this step."""
        run = self.runs[slot]
        first = step % self.plans[slot].steps_per_epoch == 0
        if run.recipe.dropout_active != "always" and not first:
            return None
        seed = run.seeds.resolved().dropout
        assert seed is not None  # `resolved` fills it in
        return philox_key("dropout", seed)

    def _masks(
        self, parts: Sequence[Part], step: int
    ) -> list[dict[tuple[int, int] | None, dict[str, torch.Tensor]]]:
        """Draw every mask that some run needs, once; by part and key."""
        keys = {self._key(slot, step) for slot in range(len(self.runs))}
        masks: list[dict[tuple[int, int] | None, dict[str, torch.Tensor]]] = [
            {key: {} for key in keys} for _ in parts
        ]
        jobs = [
            (part, key, site)
            for part in range(len(parts))
            for key in keys
            if key is not None
            for site in self.sites
        ]
        length = self.task.max_length
        drawn = self.crew.map(
            lambda job, _: draw_mask(job[2], parts[job[0]][0], job[1], step, length, self.dtype),
            jobs,
        )
        for (part, key, site), mask in zip(jobs, drawn, strict=True):
            masks[part][key][site.name] = mask
        return masks

    def _evaluation_batches(self, split: Split) -> list[tuple[npt.NDArray[np.int64], Ragged]]:
        """Return a split's batches without padding; they are the same at every evaluation."""
        if id(split) not in self._evaluation:
            self._evaluation[id(split)] = [
                (indices, self.tables.ragged(b.ids, b.types, b.mask).to(self.device))
                for indices in evaluation_batches(split, self.runs[0].evaluation.batch_size)
                for b in [collate(split, indices, self.task.pad_id)]
            ]
        return self._evaluation[id(split)]


def rule(run: RunSpec) -> Rule:
    """Return how a run is updated."""
    optimizer, clip = run.recipe.optimizer, run.recipe.clip
    return Rule(
        optimizer.beta1,
        optimizer.beta2,
        optimizer.eps,
        optimizer.weight_decay,
        optimizer.bias_correction,
        clip.mode,
        clip.norm,
    )


def _floats(tensors: Sequence[torch.Tensor]) -> Floats:
    return np.asarray(torch.cat(list(tensors)).double().cpu().numpy())
