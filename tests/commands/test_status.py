from __future__ import annotations

import dataclasses
import os

import pytest

from seedlab.commands.study.status import format_status, status
from seedlab.durations import duration
from seedlab.gpu_use import GpuUse
from seedlab.store.study import StudyFolder
from tests.suites.store_cases import make_result, make_spec, make_task


@pytest.fixture
def half_done(study: StudyFolder) -> StudyFolder:
    """Six cells planned: one good, one failed, one diverged, one stopped, two to go."""
    task = make_task()
    study.begin([make_spec(init) for init in range(6)])
    study.write(make_result(task, 0, scores=(0.5, 0.9, 0.8)), task)
    study.write(make_result(task, 1, scores=(0.5, 0.7, 0.4)), task)
    study.write(make_result(task, 2, scores=(0.5,), status="diverged"), task)
    study.write(make_result(task, 3, scores=(0.5,), status="stopped"), task)
    return study


def test_every_cell_is_counted_once(half_done):
    with half_done.claim(make_spec(4).run_id):
        state = status(half_done)
    assert (state.planned, state.done, state.running, state.left) == (6, 4, 1, 1)
    assert (state.failed, state.diverged, state.stopped) == (2, 1, 1)
    assert (state.corrupt, state.workers) == (0, 1)
    # Seconds of the runs that were trained to their end: 1.5, 2.5, 3.5.
    assert state.seconds_per_run == 2.5
    assert state.seconds_left == 5.0


def test_scores_leave_out_early_stopped_runs_and_keep_failed_ones(half_done):
    (summary,) = status(half_done).scores
    assert (summary.runs, summary.failed) == (3, 2)
    assert (summary.best, summary.median) == (0.9, 0.7)
    # Finals: 0.8, 0.4, and the diverged run at chance, 0.6.
    assert summary.median_final == pytest.approx(0.6)


def test_the_best_of_a_metric_that_is_better_low_is_its_smallest(study):
    task = make_task(n_labels=1, metric="rmse")
    for init, final in enumerate((0.3, 0.2, 0.5)):
        study.write(make_result(task, init, scores=(2.0, final)), task)
    (summary,) = status(study).scores
    assert (summary.direction, summary.best, summary.median) == ("min", 0.2, 0.3)


def test_a_damaged_folder_counts_as_left(half_done):
    path = half_done.run_folder(make_spec(0).run_id) / "record.json"
    path.write_bytes(path.read_bytes()[:100])
    state = status(half_done)
    assert (state.planned, state.done, state.left, state.corrupt) == (6, 3, 3, 1)


def test_workers_share_the_time_left(half_done, monkeypatch):
    ids = [make_spec(init).run_id for init in (4, 5)]
    monkeypatch.setattr(StudyFolder, "owners", lambda self: {ids[0]: "a 1", ids[1]: "b 1"})
    state = status(half_done)
    assert (state.workers, state.running, state.left) == (2, 2, 0)
    assert state.seconds_left == 2.5


def test_a_study_without_runs_has_a_status(study):
    study.begin([make_spec()])
    state = status(study)
    assert (state.planned, state.done, state.left) == (1, 0, 1)
    assert state.seconds_left is None
    assert format_status(state) == [
        "study grid: 0 of 1 cells done (0 failed), 0 running, 1 left",
    ]


def test_a_stopped_run_that_is_trained_on_is_running(study, task):
    result = make_result(task, status="stopped")
    study.write(result, task)
    assert (status(study).stopped, status(study).running) == (1, 0)
    claim = study.claim(result.spec.run_id)
    assert claim is not None
    with claim:
        state = status(study)
        assert (state.planned, state.done, state.stopped, state.running) == (1, 0, 0, 1)


def test_gpus_are_shown_while_a_worker_of_this_machine_trains(half_done, monkeypatch):
    uses = (
        GpuUse("0", "GPU-aa11", "NVIDIA H200", 97, 61 * 2**30, 140 * 2**30, (os.getpid(), 1)),
        GpuUse("1", "MIG-cc33", "NVIDIA A100 MIG 3g.40gb", None, 2**30, 40 * 2**30),
    )
    monkeypatch.setattr("seedlab.commands.study.status.gpu_uses", lambda: uses)
    task = make_task()
    for init, name in ((5, "NVIDIA H200"), (6, "NVIDIA H200"), (7, "NVIDIA A100")):
        result = make_result(task, init)
        origin = {**result.provenance, "device": "cuda:0", "device_name": name}
        half_done.write(dataclasses.replace(result, provenance=origin), task)
    assert status(half_done).gpus == ()
    with half_done.claim(make_spec(4).run_id):
        lines = format_status(status(half_done))
    assert lines[2:5] == [
        "trained on: NVIDIA H200 (2), NVIDIA A100 (1)",
        "gpu 0: NVIDIA H200, 97 % busy, 61.0 of 140.0 GiB, 1 worker of this study",
        "gpu MIG-cc33: NVIDIA A100 MIG 3g.40gb, 1.0 of 40.0 GiB",
    ]


def test_the_status_is_readable(half_done):
    lines = format_status(status(half_done))
    assert lines[0] == (
        "study grid: 4 of 6 cells done (2 failed, 1 of them diverged; 1 stopped early), "
        "0 running, 2 left"
    )
    assert lines[1] == "time: 2.5 s per run (median), about 5.0 s left with one worker"
    assert lines[3].split() == [
        "task",
        "model",
        "recipe",
        "metric",
        "runs",
        "failed",
        "best",
        "median",
        "final",
    ]
    assert lines[4].split()[-5:] == ["3", "2", "0.9000", "0.7000", "0.6000"]
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize(
    ("keep", "text"),
    [
        ("final", "final: median after training"),
        ("best", "final: median of the weights that runs keep (evaluation.keep)"),
    ],
)
def test_the_final_score_is_that_of_the_kept_weights(study, task, keep, text):
    spec = make_spec()
    evaluation = dataclasses.replace(spec.evaluation, keep=keep)
    study.write(make_result(task, spec=dataclasses.replace(spec, evaluation=evaluation)), task)
    assert format_status(status(study))[-1].endswith(f"; {text}")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (4.24, "4.2 s"),
        (59.99, "1 min"),
        (200, "3 min 20 s"),
        (3900, "1 h 5 min"),
        (7200, "2 h"),
        (97200, "1 d 3 h"),
    ],
)
def test_durations_are_for_people(seconds, text):
    assert duration(seconds) == text


def test_every_setting_has_its_own_row_and_step_0_is_never_the_best(study, task):
    for rate, scores in ((2e-5, (0.9, 0.5, 0.7)), (3e-4, (0.5, 0.6, 0.8))):
        spec = make_spec()
        optimizer = dataclasses.replace(spec.recipe.optimizer, learning_rate=rate)
        recipe = dataclasses.replace(spec.recipe, optimizer=optimizer)
        result = make_result(task, scores=scores, spec=dataclasses.replace(spec, recipe=recipe))
        study.write(result, task)
    found = status(study).scores
    assert [(s.recipe, s.runs, s.best, s.median) for s in found] == [
        ("devlin, learning_rate=2e-05", 1, 0.7, 0.7),
        ("devlin, learning_rate=0.0003", 1, 0.8, 0.8),
    ]
    assert format_status(status(study))[-1].startswith(
        "best, median: of each run's best evaluation after step 0;"
    )
