"""A search that was killed, at any write or in a round, continues to the same result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from optuna.storages.journal import JournalFileBackend

from tests.suites.search_bench import Bench


class Killed(BaseException):
    """Stands for kill -9."""


KILLED = {"trials": 6, "trials_at_once": 3, "seeds": 8, "startup_trials": 2}


@pytest.mark.parametrize("part", range(5))
def test_a_search_killed_at_a_write_continues_to_the_same_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    """At every fifth of the storage's writes."""
    whole, writes = searched_whole(tmp_path, monkeypatch)
    check_kill(tmp_path, monkeypatch, whole, part * writes // 5 + part)


@pytest.mark.slow
def test_a_search_killed_at_any_write_continues_to_the_same_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, writes = searched_whole(tmp_path, monkeypatch)
    assert writes > 50
    for kill_at in range(writes):
        check_kill(tmp_path, monkeypatch, whole, kill_at)


def searched_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Bench, int]:
    whole = Bench(tmp_path / "whole" / "study")
    with monkeypatch.context() as patch:
        count = count_writes(patch, None)
        whole.search(**KILLED)
    return whole, count()


def count_writes(patch: pytest.MonkeyPatch, kill_at: int | None) -> Callable[[], int]:
    """Count the storage's writes; the one of that number is not made, and kills."""
    written = 0
    append = JournalFileBackend.append_logs

    def append_or_die(backend: JournalFileBackend, logs: list[dict[str, Any]]) -> None:
        nonlocal written
        written += 1
        if written - 1 == kill_at:
            raise Killed
        append(backend, logs)

    patch.setattr(JournalFileBackend, "append_logs", append_or_die)
    return lambda: written


def check_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: Bench, kill_at: int) -> None:
    bench = Bench(tmp_path / f"killed-{kill_at}" / "study")
    with monkeypatch.context() as patch:
        count_writes(patch, kill_at)
        with pytest.raises(Killed):
            bench.search(**KILLED)
    bench.search(**KILLED)
    assert bench.facts() == whole.facts()
    assert bench.trained == whole.trained


@pytest.mark.parametrize("kill_at", [0, 14, 25])
def test_a_search_killed_in_a_round_trains_nothing_twice(tmp_path: Path, kill_at: int) -> None:
    values = {"trials": 6, "trials_at_once": 3, "seeds": 8}
    whole = Bench(tmp_path / "whole" / "study")
    whole.search(**values)
    bench = Bench(tmp_path / "killed" / "study")

    def die() -> None:
        if len(bench.trained) == kill_at:
            raise Killed

    bench.before_run = die
    with pytest.raises(Killed):
        bench.search(**values)
    bench.before_run = lambda: None
    bench.search(**values)
    assert bench.facts() == whole.facts()
    assert bench.trained == whole.trained


def test_a_finished_search_trains_nothing_and_a_longer_one_what_is_new(bench: Bench) -> None:
    bench.search(trials=4, trials_at_once=2)
    before = bench.facts()
    runs = len(bench.trained)
    bench.search(trials=4, trials_at_once=2)
    assert len(bench.trained) == runs
    bench.search(trials=6, trials_at_once=2)
    assert bench.facts()[:4] == before
    assert len(bench.facts()) == 6
