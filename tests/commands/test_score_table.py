from __future__ import annotations

import dataclasses

import pytest

from seedlab.commands.study.score_table import score_grid
from seedlab.spec.run import RunSpec
from seedlab.store.chosen import ScoredRun, scored_runs
from seedlab.store.make_record import make_record
from seedlab.tasks.encoded import EncodedTask
from seedlab.training.result import RunResult
from tests.suites.store_cases import make_result, make_spec, make_task

TASK = make_task()


def record(init: int, order: int, best: float, final: float, status: str = "finished") -> ScoredRun:
    result = make_result(TASK, init, order, scores=(0.5, best, final), status=status)
    return scored_run(result)


def scored_run(result: RunResult, task: EncodedTask = TASK) -> ScoredRun:
    made = make_record(result, task)
    return ScoredRun(made, made.best_score, made.best_step)


def with_rate(spec: RunSpec, rate: float) -> RunSpec:
    optimizer = dataclasses.replace(spec.recipe.optimizer, learning_rate=rate)
    return dataclasses.replace(spec, recipe=dataclasses.replace(spec.recipe, optimizer=optimizer))


def grid(size: int) -> list[ScoredRun]:
    base = record(0, 0, 0.9, 0.75)
    return [
        dataclasses.replace(
            base,
            record=dataclasses.replace(
                base.record, seeds=base.record.seeds | {"init": init, "order": order}
            ),
        )
        for init in range(size)
        for order in range(size)
    ]


def test_a_small_grid_shows_cells_means_and_marks():
    table = score_grid([record(0, 0, 0.9, 0.8), record(0, 1, 0.7, 0.5), record(1, 0, 0.8, 0.7)])
    assert table.splitlines() == [
        "acceptability / embedded / devlin: best accuracy on dev (higher is better)",
        "init\\order     0      1   mean",
        "         0 0.900  0.700* 0.800",
        "         1 0.800      -  0.800",
        "      mean 0.850  0.700  0.800",
        "majority: 0.600; * failed: 1 of 3",
    ]


def test_the_final_scores_can_be_shown_and_early_stopped_runs_are_marked():
    """Its best until then is shown, and no mean: the others were chosen by their scores."""
    table = score_grid([record(0, 0, 0.9, 0.8), record(0, 1, 0.7, 0.65, "stopped")], "final")
    assert "final accuracy on dev" in table
    assert "         0 0.800  0.700~     -\n      mean     -      -      -" in table
    assert table.endswith("majority: 0.600; ~ stopped early: 1, best score until then")


def test_a_5_by_5_grid_fits_into_80_columns_whole():
    lines = score_grid(grid(5)).splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) == 9
    assert "..." not in "".join(lines)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_25_by_25_grid_is_abbreviated_to_the_width(width):
    lines = score_grid(grid(25), width=width).splitlines()
    assert max(map(len, lines[1:])) <= width
    assert "..." in lines[1]
    assert lines[1].split()[-2:] == ["24", "mean"]


def test_a_long_grid_leaves_rows_out_and_says_so():
    lines = score_grid(grid(40)).splitlines()
    assert len(lines) == 2 + 25 + 2
    assert lines[-4].split()[0] == "..."
    assert lines[-3].split()[0] == "39"


def test_every_task_and_recipe_has_its_own_table():
    other = scored_run(make_result(TASK, spec=make_spec(recipe="mosbach2021")))
    tables = score_grid([record(0, 0, 0.9, 0.8), other]).split("\n\n")
    assert [table.split(":")[0].split(" / ")[2] for table in tables] == ["devlin", "mosbach2021"]


def test_several_runs_of_a_cell_are_averaged_and_said_so():
    table = score_grid([record(0, 0, 0.9, 0.8), record(0, 0, 0.7, 0.7)])
    assert "0 0.800  0.800" in table
    assert "cells with several runs show their mean" in table


def test_no_runs_are_said_to_be_none():
    assert score_grid([]) == "no runs yet"


def test_every_setting_has_its_own_table_headed_by_what_differs():
    """Another learning rate, another validation set: two tables with a majority value each."""
    small, large = make_spec(), with_rate(make_spec(), 3e-4)
    other_task = make_task(n_labels=2, dev=40)
    halved = dataclasses.replace(
        small, task=dataclasses.replace(small.task, dev_split="halved"), data_hash="f" * 32
    )
    runs = [
        scored_run(make_result(TASK, 0, 0, scores=(0.5, 0.9), spec=large)),
        scored_run(make_result(TASK, 0, 0, scores=(0.5, 0.8), spec=small)),
        scored_run(make_result(other_task, 0, 0, scores=(0.5, 0.7), spec=halved), other_task),
    ]
    heads, bodies = zip(*(t.split("\n", 1) for t in score_grid(runs).split("\n\n")), strict=True)
    assert heads == tuple(
        "acceptability / embedded / devlin, task.dev_split="
        f"{split}, learning_rate={rate}: best accuracy on dev (higher is better)"
        for split, rate in (("given", "2e-05"), ("given", "0.0003"), ("halved", "2e-05"))
    )
    for body, score, majority in zip(bodies, (0.8, 0.9, 0.7), (0.6, 0.6, 0.625), strict=True):
        assert f"         0 {score:.3f}" in body
        assert body.splitlines()[-1].startswith(f"majority: {majority:.3f}")


def test_a_moved_folder_is_no_setting_and_other_content_is():
    there, here = (
        dataclasses.replace(make_spec(), task=dataclasses.replace(make_spec().task, path=path))
        for path in ("/there", "/here")
    )
    moved = [scored_run(make_result(TASK, i, 0, spec=s)) for i, s in enumerate((there, here))]
    assert len(score_grid(moved).split("\n\n")) == 1
    changed = dataclasses.replace(here, data_hash="f" * 32)
    tables = score_grid([*moved, scored_run(make_result(TASK, 2, 0, spec=changed))]).split("\n\n")
    assert [table.partition(":")[0].rpartition(", ")[2] for table in tables] == [
        "data_hash=dddddddd",
        "data_hash=ffffffff",
    ]
    other = dataclasses.replace(there, data_hash="f" * 32)
    tables = score_grid([moved[1], scored_run(make_result(TASK, 2, 0, spec=other))]).split("\n\n")
    assert [table.partition(":")[0].rpartition(", ")[2] for table in tables] == [
        "task.path=/here",
        "task.path=/there",
    ]


def test_the_best_of_a_table_is_never_that_of_the_untrained_model(study):
    study.write(make_result(TASK, scores=(0.9, 0.5, 0.7, 0.65)), TASK)
    assert "         0 0.700  0.700" in score_grid(scored_runs(study))
