"""Packs: every run once, columns together."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedlab.errors import SeedlabError
from seedlab.spec.pack import EngineSpec, cell, cut_evenly, form_packs, shape_key
from seedlab.spec.recipe import RecipeSpec
from seedlab.spec.run import RunSpec, Seeds


def grid(n_init: int, n_order: int, **changes: object) -> list[RunSpec]:
    return [
        dataclasses.replace(RunSpec(seeds=Seeds(init, order).resolved()), **changes)
        for init in range(n_init)
        for order in range(n_order)
    ]


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 8))
def test_every_run_is_in_one_pack_and_columns_stay_together(a: int, b: int, width: int) -> None:
    runs = grid(a, b)
    packs = form_packs(runs, EngineSpec(width=width))
    packed = [run for pack in packs for run in pack.runs]
    assert sorted(map(cell, packed)) == sorted(map(cell, runs))
    assert all(len(pack.runs) <= width for pack in packs)
    orders = [run.seeds.order for run in packed]
    assert orders == sorted(orders)  # a column ends before the next begins
    assert all(len({run.seeds.order for run in pack.runs}) == 1 for pack in packs)


def test_runs_of_other_shapes_never_share_a_pack() -> None:
    other = grid(2, 1, recipe=RecipeSpec(batch_size=8))
    packs = form_packs(grid(2, 1) + other, EngineSpec(width=10))
    assert len(packs) == 2
    assert all(len({shape_key(run) for run in pack.runs}) == 1 for pack in packs)


def test_a_run_named_twice_is_refused() -> None:
    with pytest.raises(SeedlabError, match=r"names one run twice \(init seed 0, order seed 0"):
        form_packs(grid(1, 1) * 2, EngineSpec())


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 7), st.integers(1, 5))
def test_no_worker_waits_for_the_end_of_a_whole_pack(
    inits: int, orders: int, width: int, workers: int
) -> None:
    """All runs stay, in their order; only packs of an unfilled last round are cut, evenly."""
    packs = form_packs(grid(inits, orders), EngineSpec(width=width))
    even = cut_evenly(packs, workers)
    assert [run for pack in even for run in pack.runs] == [run for p in packs for run in p.runs]
    full = len(packs) // workers * workers
    assert even[:full] == packs[:full]
    last = even[full:]
    if len(packs) > full:
        assert all(len({run.seeds.order for run in pack.runs}) == 1 for pack in last)
        # Nobody trains more than the longest of these packs, shared by as many as it can be.
        left = len(packs) - full
        longest = max(len(pack.runs) for pack in packs[full:])
        assert max(len(pack.runs) for pack in last) <= -(-longest * left // workers)
