"""`BatchSizes`: tokens and places of the largest batches of a column."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from seedlab.engines.packed.encoder.device_split import PLACES, TOKENS
from seedlab.spec.run import RunSpec
from seedlab.tasks.encoded import EncodedTask
from seedlab.training.batches import evaluation_batches, training_batches

_BATCHES = 1000
"""Training batches that are looked at; a buffer's reserve covers larger ones after them."""


@dataclass(frozen=True)
class BatchSizes:
    """Sizes of a column's largest batches.

    Parameters
    ----------
    rows : int
        Examples of the largest part of a training batch.
    tokens : int
        Tokens of the largest part, with those that fill it up.
    room : int
        Tokens that a buffer has room for after these batches.
    places : int
        Places per example in attention.
    evaluation_rows, evaluation_tokens, evaluation_places : int
        The same of the largest evaluation batch.
    evaluation_room : int
        Tokens that a buffer has room for after all evaluation batches.
    evaluation_lines, evaluation_pairs : int
        Places, and pairs of places of one example, that a buffer has room for then.
    """

    rows: int
    tokens: int
    room: int
    places: int
    evaluation_rows: int
    evaluation_tokens: int
    evaluation_places: int
    evaluation_room: int
    evaluation_lines: int
    evaluation_pairs: int

    @classmethod
    def of(cls, run: RunSpec, steps: int, task: EncodedTask, on_host: bool) -> BatchSizes:
        """Return the sizes of a column's batches.

        Parameters
        ----------
        run : RunSpec
            A run of the column.
        steps : int
            Updates of the run.
        task : EncodedTask
        on_host : bool
            Batches are built on the host. Every one then counts as the longest examples together.
            On a device the order of training decides.
        """
        train, size = task.splits["train"].lengths, run.recipe.batch_size
        others = [split for name, split in task.splits.items() if name != "train"]
        rows = -(-size // run.recipe.accumulation)
        places = int(train.max()) + 1
        if on_host:
            tokens = room = rows * places
            room += room // 4
        else:
            places = _up(places, PLACES)
            order = training_batches(len(train), size, run.seeds.order)
            parts = [
                _up(int(train[batch[start : start + rows]].sum()), TOKENS)
                for batch in islice(order, max(1, min(steps, _BATCHES)))
                for start in range(0, len(batch), rows)
            ]
            tokens, room = max(parts), with_reserve(parts)
        scored = run.evaluation.batch_size
        lengths = [
            split.lengths[batch] for split in others for batch in evaluation_batches(split, scored)
        ] or [train[:1]]
        return cls(
            rows,
            tokens,
            room,
            places,
            max(map(len, lengths)),
            max(int(own.sum()) for own in lengths),
            max(int(own.max()) for own in lengths),
            with_reserve(int(own.sum()) for own in lengths),
            with_reserve(len(own) * int(own.max()) for own in lengths),
            with_reserve(len(own) * int(own.max()) ** 2 for own in lengths),
        )


def with_reserve(sizes: Iterable[int]) -> int:
    """Return the size of a buffer after these uses; see `seedlab.engines.packed.encoder.ops.Workspace`."""
    held = 0
    for size in sizes:
        if size > held:
            held = size + size // 4
    return held


def _up(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple
