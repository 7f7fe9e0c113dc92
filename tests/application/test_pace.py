"""The estimate of a dry run: its arithmetic with a clock of the tests' own, and its engine."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest

from seedlab.application import pace as module
from seedlab.application.dry_run import describe
from seedlab.application.pace import Pace, Stopwatch, elapsed, measure_pace
from seedlab.engines.packed.memory import PackMemoryError
from seedlab.inputs.loaded import load_task_of
from seedlab.spec.pack import EngineSpec, form_packs
from seedlab.spec.run import RunSpec
from seedlab.training.loop import Callbacks
from seedlab.training.result import RunResult
from seedlab.training.step_plan import StepPlan
from tests.suites.stopping_cohort import cells
from tests.suites.store_cases import make_spec, make_task

RUNS = ("a", "b", "c", "d")
CPU = EngineSpec("packed", width=3, threads=1, device="cpu")


def with_test_curve(run: RunSpec, keep: str) -> RunSpec:
    return dataclasses.replace(
        run,
        evaluation=dataclasses.replace(run.evaluation, keep=keep),
        diagnostics=dataclasses.replace(run.diagnostics, test_curve=True),
    )


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def train(watch: Stopwatch, clock: Clock, update: float, scoring: float, updates: int) -> None:
    """Play the callbacks of a column of four runs, scored after every third update."""
    clock.now += 100.0  # the first update prepares everything
    for step in range(1, updates + 1):
        clock.now += update
        value = None
        if step % 3 == 0:
            # The first evaluation takes ten times as long.
            clock.now += scoring * (10 if step == 3 else 1)
            value = 0.5
        for run in RUNS:
            watch.observe(run, step, value)


@pytest.mark.parametrize(("updates", "first"), [(7, False), (4, True)])
def test_updates_and_evaluations_are_told_apart(updates: int, first: bool) -> None:
    clock = Clock()
    watch = Stopwatch(clock, seconds=1e9)
    train(watch, clock, 0.5, 0.125, updates)
    width, update, scoring = watch.column()
    assert (width, update) == (4, 0.5)
    assert scoring == pytest.approx(1.25 if first else 0.125)


def test_a_fast_pack_is_measured_for_the_time_and_a_slow_one_for_four_updates() -> None:
    for update, made in ((0.25, 11), (60.0, 4)):
        clock = Clock()
        watch = Stopwatch(clock, seconds=2.5)
        with pytest.raises(module._EnoughError):
            train(watch, clock, update, 0.0, 1000)
        assert watch._step == made


@pytest.mark.parametrize(
    ("seconds", "workers", "expected"),
    [
        ([4.0], 3, 4.0),
        ([4.0, 4.0, 4.0], 2, 8.0),
        # The second worker takes 1 + 2 + 2 while the first is busy with 5.
        ([5.0, 1.0, 2.0, 2.0], 2, 5.0),
        ([1.0, 1.0, 6.0], 2, 7.0),
    ],
)
def test_each_pack_goes_to_the_worker_that_is_free_first(
    seconds: list[float], workers: int, expected: float
) -> None:
    assert elapsed(seconds, workers) == expected


def test_a_run_takes_its_updates_and_scores_every_set() -> None:
    """20 dev examples at 3 evaluations, one of them twice (averaged weights); 21 test examples."""
    plan = StepPlan(5, 10, 1, (1.0,) * 10, (0, 5, 10), averaging_start=7)
    measured = Pace(2.0, 0.5, "packed", 4, 1)
    run, task = make_spec(), make_task(test=True)
    assert measured.run_seconds(run, plan, task) == 10 * 2.0 + (20 * 4 + 21) * 0.5
    plain = dataclasses.replace(plan, averaging_start=None)
    assert measured.run_seconds(run, plain, make_task()) == 10 * 2.0 + 20 * 3 * 0.5


@pytest.mark.parametrize(("keep", "times"), [("final", 3), ("best", 4)])
def test_a_test_curve_scores_the_test_set_at_every_evaluation(keep: str, times: int) -> None:
    """20 dev and 21 test examples at 3 evaluations; kept weights are scored once more."""
    plan, measured = StepPlan(5, 10, 1, (1.0,) * 10, (0, 5, 10)), Pace(2.0, 0.5, "packed", 4, 1)
    run = with_test_curve(make_spec(), keep)
    expected = 10 * 2.0 + (20 * 3 + 21 * times) * 0.5
    assert measured.run_seconds(run, plan, make_task(test=True)) == expected


def test_a_plan_names_the_workers_and_what_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six runs of eight updates: packs of three runs, a second for each update of a run."""
    measured: list[tuple[int, str]] = []

    def measure(runs: tuple[object, ...], task: object, engine: EngineSpec) -> Pace:
        measured.append((len(runs), engine.name))
        return Pace(1.0, 0.0, "packed", len(runs), 1)

    monkeypatch.setattr("seedlab.application.dry_run.measure_pace", measure)
    runs = cells(3, 2)
    text = describe(runs, form_packs(runs, CPU), set(), workers=2)
    assert measured == [(3, "packed")]
    assert "8.0 s per run (1000.0 ms per update" in text
    assert "engine packed, 3 runs together, 1 thread)" in text
    assert "about 24.0 s for the runs still to train, 48.0 s of work shared by 2 workers" in text
    assert "An estimate" in text
    assert "Not counted: the start of workers" in text
    left = describe(runs, form_packs(runs[:1], CPU), {run.run_id for run in runs[1:]}, workers=2)
    assert "about 8.0 s for the runs still to train\n" in left
    assert "no run is left to train" in describe(runs, [], {run.run_id for run in runs}, 2)


def test_the_packs_own_engine_and_width_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SECONDS", 0.0)
    # Of the sets, the measured sample has no test set.
    runs = [with_test_curve(run, "best") for run in cells(3, 1)]
    task = load_task_of(runs[0])
    found = measure_pace(runs, task, CPU)
    assert (found.engine, found.width, found.threads) == ("packed", 3, 1)
    assert found.step_seconds > 0
    serial = measure_pace(runs, task, dataclasses.replace(CPU, name="serial"))
    assert (serial.engine, serial.width) == ("serial", 1)


def test_a_pack_that_does_not_fit_is_halved_as_a_launch_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Small:
        def train(
            self, runs: list[object], task: object, weights: object, callbacks: Callbacks
        ) -> Iterator[RunResult]:
            if len(runs) > 1:
                raise PackMemoryError(f"no room for {len(runs)}")
            for step in range(1, 8):
                callbacks.observe("a", step, 0.5 if step % 3 == 0 else None)
            yield from ()

    monkeypatch.setattr(module, "make_engine", lambda engine: Small())
    runs = cells(3, 1)
    assert measure_pace(runs, load_task_of(runs[0]), CPU).width == 1


def test_the_scored_sample_is_spread_over_the_set() -> None:
    split = make_task(dev=20).splits["dev"]
    sample = module._sample(split, 3)
    starts = split.offsets[[0, 10, 19]]
    ends = split.offsets[[1, 11, 20]]
    expected = [split.ids[a:b] for a, b in zip(starts, ends, strict=True)]
    np.testing.assert_array_equal(sample.ids, np.concatenate(expected))
    np.testing.assert_array_equal(sample.lengths, ends - starts)
    np.testing.assert_array_equal(sample.labels, split.labels[[0, 10, 19]])
    assert len(module._sample(split, 99)) == 20
