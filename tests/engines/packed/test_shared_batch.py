"""What a column's runs are fed: batches that stay their owner's."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from seedlab.engines.packed.column import ColumnModel
from seedlab.engines.packed.cuda_graphs import ComputeOptions
from seedlab.engines.packed.thread_pool import ThreadPool
from seedlab.training.batches import collate
from seedlab.training.step_plan import make_plan
from tests.suites.runs import make_run
from tests.suites.tape import Tape
from tests.suites.tiny import tiny_task, tiny_weights


def test_recorded_steps_leave_the_batches_of_earlier_ones_alone(tmp_path: Path) -> None:
    """A recording is of fixed memory, which every step fills: that must not be the caller's."""
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
        # All of them went through the same memory.
        assert len(pack_model.batch_builder._examples) == 1
    # Nor the numbers that the batches were made of, which they may share.
    for batch, of_batch, start in zip(batches, rows, starts, strict=True):
        assert batch.examples.tolist() == of_batch.tolist() == list(range(start, start + 8))
