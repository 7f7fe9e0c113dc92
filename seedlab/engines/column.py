"""The runs of a column in training: shared batches and masks, a stack for every few runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from transformers import PreTrainedModel

from seedlab.engines.crew import Crew
from seedlab.engines.masks import Masks, dropout_key
from seedlab.engines.member import Setting, member_of
from seedlab.engines.memory import Shape, check_fits, free_bytes
from seedlab.engines.origin import Origin
from seedlab.engines.scratch import Gradients
from seedlab.engines.stack import Part, Stack
from seedlab.models.family import describe
from seedlab.models.flat import make_layout
from seedlab.models.ragged import Ragged, make_tables
from seedlab.models.ragged_dropout import Site, sites_of
from seedlab.models.stacked import StackedEncoder
from seedlab.models.stacked_pass import Named
from seedlab.models.weights import Weights
from seedlab.spec import RunSpec
from seedlab.tasks.encoded import EncodedTask, Split
from seedlab.train.batches import Batch, collate, evaluation_batches
from seedlab.train.loop import Floats
from seedlab.train.plan import Plan
from seedlab.train.treatment import treat


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
        self.treatments = [
            treat(run, plan, model, weights.new) for run, plan in zip(runs, plans, strict=True)
        ]
        at_once = None if stack is None else stack * crew.size
        check_fits(self._shape(model, longest), len(self.runs), free_bytes(self.device), at_once)
        dtype = next(model.parameters()).dtype
        self.masks = Masks(self._sites(model), task.max_length, dtype, crew)
        product = torch.bfloat16 if runs[0].model.dtype == "bfloat16" else dtype
        size = len(self.runs) if stack is None else stack
        self._setting = Setting(
            StackedEncoder(family, self.tables),
            self.layout,
            runs[0].recipe.loss == "rmse",
            plans[0].averaging_start,
            self._beyond(weights),
        )
        shared = self._shared_origin(weights)
        self.stacks = []
        for start in range(0, len(self.runs), size):
            stop = min(start + size, len(self.runs))
            flat = torch.zeros(stop - start, self.layout.size, dtype=dtype, device=self.device)
            for slot in range(start, stop):
                self.layout.fill(flat[slot - start], self._start(weights, slot))
            self.stacks.append(self._stack(flat, range(start, stop), shared, weights.new))
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
            vectors=3 if self.plans[0].averaging_start is None else 4,
            shared=self.layout.size * up.element_size() if self._needs_origin else 0,
        )

    def update(self, batch: Batch, step: int, by_depth: bool = False) -> tuple[Floats, Floats]:
        """Make one update of every run; each follows the schedule of its own recipe."""
        parts = self._parts(batch)
        keys = [
            dropout_key(run, plan, step) for run, plan in zip(self.runs, self.plans, strict=True)
        ]
        masks = self.masks.draw(parts, set(keys), step)
        jobs, slot = [], 0
        for stack in self.stacks:
            own = keys[slot : slot + len(stack)]
            slot += len(stack)
            jobs.append((stack, [[of_part[key] for key in own] for of_part in masks]))
        results = self.crew.map(
            lambda job, memory: job[0].update(parts, job[1], step, memory, by_depth), jobs
        )
        losses, norms = zip(*results, strict=True)
        return _floats(losses), _floats(norms)

    def logits(self, split: Split, averaged: bool = False) -> npt.NDArray[np.float32]:
        """Return the (slot, example, class) logits of a split, of live or averaged weights."""
        batches = self._evaluation_batches(split)
        out = np.empty((len(self.runs), len(split), self.task.n_labels), dtype=np.float32)
        starts = np.cumsum([0] + [len(stack) for stack in self.stacks])

        def score(job: tuple[int, Stack], memory: Gradients) -> None:
            start, stack = job
            for indices, batch in batches:
                out[start : start + len(stack), indices] = stack.logits(batch, memory, averaged)

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
        self.treatments = [self.treatments[slot] for slot in kept]

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
        self._start(weights, slot)
        optimizer = stack.optimizer
        self.layout.restore(optimizer.weights[place], weights.model, optimizer.decayed[place])

    def distances(self) -> Floats:
        """Return the (slot, depth) L2 distances of the weights from where they started."""
        return _floats(self.crew.map(lambda stack, _: stack.distances(), self.stacks))

    def representations(self, split: Split, n: int) -> npt.NDArray[np.float32]:
        """Return (slot, depth, example, feature) first tokens of the first `n` examples."""
        n, size = min(n, len(split)), self.runs[0].evaluation.batch_size
        batches = [
            self._ragged(split, np.arange(start, min(start + size, n)))
            for start in range(0, n, size)
        ]

        def read(stack: Stack, memory: Gradients) -> npt.NDArray[np.float32]:
            return np.concatenate([stack.first_tokens(batch, memory) for batch in batches], 2)

        return np.concatenate(self.crew.map(read, self.stacks))

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

    def _evaluation_batches(self, split: Split) -> list[tuple[npt.NDArray[np.int64], Ragged]]:
        """Return a split's batches without padding; they are the same at every evaluation."""
        if id(split) not in self._evaluation:
            self._evaluation[id(split)] = [
                (indices, self._ragged(split, indices))
                for indices in evaluation_batches(split, self.runs[0].evaluation.batch_size)
            ]
        return self._evaluation[id(split)]

    def _ragged(self, split: Split, indices: npt.NDArray[np.int64]) -> Ragged:
        """Return the named examples without padding."""
        batch = collate(split, indices, self.task.pad_id)
        return self.tables.ragged(batch.ids, batch.types, batch.mask).to(self.device)

    def _sites(self, model: PreTrainedModel) -> tuple[Site, ...]:
        """Return the places at which something is dropped."""
        family = self.family
        hidden = model.get_parameter(f"{family.dense}.weight").shape[1]
        widths = dict.fromkeys(family.dropout, hidden)
        widths[family.embedding_site] = model.get_parameter(family.words).shape[1]
        for layer in family.layers:
            widths.pop(layer.attention_site, None)
        return sites_of(family, widths)

    def _start(self, weights: Weights, slot: int) -> PreTrainedModel:
        """Return the model as the run in this slot starts from it."""
        return weights.start(self.runs[slot].seeds.init, self.treatments[slot].fresh)

    def _stack(
        self, flat: torch.Tensor, slots: range, shared: Named | None, new: Sequence[str]
    ) -> Stack:
        """Return the stack of some runs, from the weights that they start with."""
        members = [member_of(self.runs[slot], self.treatments[slot]) for slot in slots]
        origin = None
        if shared is not None:
            fresh = {name for slot in slots for name in (*new, *self.treatments[slot].fresh)}
            views = self.layout.views(flat)
            origin = Origin(shared, {n: views[n].clone() for n in self.layout.pieces if n in fresh})
        return Stack(self._setting, members, flat, origin)

    @property
    def _needs_origin(self) -> bool:
        """Whether something asks for where the weights started."""
        anchored = any(treatment.anchored for treatment in self.treatments)
        return anchored or self.runs[0].diagnostics.distances

    def _shared_origin(self, weights: Weights) -> Named | None:
        """Return the pre-trained weights by name, where something asks for them."""
        if not self._needs_origin:
            return None
        model = self._start(weights, 0)
        row = torch.zeros(self.layout.size, dtype=self.masks.dtype, device=self.device)
        self.layout.fill(row, model)
        return self.layout.views(row)

    def _beyond(self, weights: Weights) -> float:
        """Return the sum of squares of the embedding rows that are out of the task's reach."""
        total = 0.0
        for name, rows in self.layout.rows.items():
            out = torch.ones(len(weights.pretrained[name]), dtype=torch.bool)
            out[rows] = False
            total += float(weights.pretrained[name][out.to(self.device)].double().square().sum())
        return total


def _floats(tensors: Sequence[torch.Tensor]) -> Floats:
    return np.asarray(torch.cat(list(tensors)).double().cpu().numpy())
