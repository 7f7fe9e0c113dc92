"""The launching process keeps little per run: a launch may have ten thousand of them."""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hydra.core.utils import JobReturn

from seedlab.launch.display.base import Display
from seedlab.launch.jobs.work import WorkItem
from tests.examples.executor.inline import InlineExecutor
from tests.suites.toy_bench import Toy, grid

# Containers that Python's collector knows. Measured: 160 in launches of 2 and 8 runs, with the rest of the
# caches. It was 1,010 when each job kept its composed configurations.
MOST_OBJECTS = 400
held: list[int] = []


class MeasuringExecutor(InlineExecutor):
    """Counts the objects in memory when all work is done; the launch still holds everything then."""

    def run(self, work_items: Sequence[WorkItem], display: Display) -> Mapping[int, JobReturn]:
        returns = super().run(work_items, display)
        gc.collect()
        held.append(len(gc.get_objects()))
        return returns


@pytest.mark.slow
@pytest.mark.usefixtures("hydra_restore_singletons")
def test_a_launch_keeps_no_configuration_per_run(tmp_path: Path) -> None:
    held.clear()
    # The first launch fills caches.
    for runs in (2, 8):
        toy = Toy(tmp_path / f"{runs}", f"{__name__}:{MeasuringExecutor.__name__}")
        returns = toy.launch(grid(runs, 1), "engine.width=2")
        assert len(returns) == runs
    assert (held[1] - held[0]) / 6 < MOST_OBJECTS
    # They are composed when they are asked for, from one template.
    assert returns[7].cfg.seed.init == 7
    assert returns[7].hydra_cfg.hydra.job.num == 7
