from __future__ import annotations

import dataclasses

import pytest

from seedlab.commands.study.score_table import score_grid
from seedlab.store.make_record import make_record
from seedlab.store.record import Record
from tests.suites.store_cases import make_result, make_spec, make_task

TASK = make_task()


def record(init: int, order: int, best: float, final: float, status: str = "finished") -> Record:
    return make_record(make_result(TASK, init, order, scores=(best, final), status=status), TASK)


def grid(size: int) -> list[Record]:
    base = record(0, 0, 0.9, 0.75)
    return [
        dataclasses.replace(base, seeds=base.seeds | {"init": init, "order": order})
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
    other = make_record(make_result(TASK, spec=make_spec(recipe="mosbach2021")), TASK)
    tables = score_grid([record(0, 0, 0.9, 0.8), other]).split("\n\n")
    assert [table.split(":")[0].split(" / ")[2] for table in tables] == ["devlin", "mosbach2021"]


def test_several_runs_of_a_cell_are_averaged_and_said_so():
    table = score_grid([record(0, 0, 0.9, 0.8), record(0, 0, 0.7, 0.7)])
    assert "0 0.800  0.800" in table
    assert "cells with several runs show their mean" in table


def test_no_runs_are_said_to_be_none():
    assert score_grid([]) == "no runs yet"
