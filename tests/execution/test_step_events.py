"""The updates of a pack are reported from the first one on, for all runs of its column."""

from __future__ import annotations

import pytest

from seedlab.execution import train as module
from seedlab.execution.events import Event
from seedlab.execution.train import train
from seedlab.inputs.loaded import load_task_of
from seedlab.spec.pack import EngineSpec
from tests.suites.stopping_cohort import cells


@pytest.mark.parametrize(("pause", "reported"), [(1e9, [1]), (0.0, [1, 3, 5, 7])])
def test_every_run_reports_the_first_update_and_then_one_after_each_pause(
    pause: float, reported: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are eight updates, and an evaluation after every second one."""
    monkeypatch.setattr(module, "_EVENT_SECONDS", pause)
    runs = cells(3, 1)
    events: list[Event] = []
    engine = EngineSpec("packed", width=3, threads=1, device="cpu")
    list(train(runs, load_task_of(runs[0]), engine, events.append))
    found = [(event.step, event.run_id) for event in events if event.kind == "stepped"]
    assert found == [(step, run.run_id) for step in reported for run in runs]
    assert {event.total_steps for event in events} == {8}
