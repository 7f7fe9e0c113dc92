"""Shared batches: graphs do not overwrite the caller's batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from seedlab.engines.packed.column import ColumnModel
from seedlab.engines.packed.options import ComputeOptions
from seedlab.engines.packed.thread_pool import ThreadPool
from seedlab.training.batches import collate
from seedlab.training.step_plan import make_plan
from tests.suites.runs import make_run
from tests.suites.tape import Tape
from tests.suites.tiny import tiny_task, tiny_weights


def test_replayed_steps_do_not_change_earlier_batches(tmp_path: Path) -> None:
    """Every replay fills the same memory, which must not be the caller's."""
    task, run = tiny_task(), make_run(0)
    plan = make_plan(run.recipe, run.evaluation, 38)
    how = ComputeOptions(1, buckets=True, capturer=Tape)
    starts = (0, 8, 16)
    rows = [np.arange(start, start + 8) for start in starts]
    batches = [collate(task.splits["train"], of_batch, task.pad_id) for of_batch in rows]
    with ThreadPool(1) as thread_pool:
        pack_model = ColumnModel([run], [plan], task, tiny_weights(tmp_path), thread_pool, how)
        for step, batch in enumerate(batches):
            pack_model.update(batch, step)
        # All of them used the same memory.
        assert len(pack_model.batch_builder._examples) == 1
    # The arrays behind the batches did not change either.
    for batch, of_batch, start in zip(batches, rows, starts, strict=True):
        assert batch.examples.tolist() == of_batch.tolist() == list(range(start, start + 8))
