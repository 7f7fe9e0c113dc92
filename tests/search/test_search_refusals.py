"""What a search refuses, and what it lets pass."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seedlab.commands.cli import main
from seedlab.errors import SeedlabError
from tests.suites.search_bench import Bench


@pytest.mark.parametrize(
    ("first", "then", "message"),
    [
        ({}, {"seeds": 5}, "seeds: 4 then, 5 now"),
        ({}, {"alpha": 0.2}, r"alpha: 0\.1 then, 0\.2 now"),
        ({}, {"objective": "median"}, r"objectives: \['mean'\] then, \['median'\] now"),
        ({"lines": ["a=1"]}, {"lines": ["a=2"]}, r"fixed: \['a=1'\] then, \['a=2'\] now"),
        ({}, {"lines": ["engine.score=final"]}, r"fixed: \[\] then, \['engine.score=final'\] now"),
        ({"lines": []}, {"lines": ["x=interval(0,2)"]}, r"space: .*interval\(0,2\)"),
    ],
)  # fmt: skip
def test_another_search_in_the_same_place_is_refused(
    bench: Bench, first: dict[str, Any], then: dict[str, Any], message: str
) -> None:
    values: dict[str, Any] = {"trials": 2, "seeds": 4}
    bench.search("x=interval(0,1)", *first.pop("lines", []), **values | first)
    runs = len(bench.trained)
    with pytest.raises(SeedlabError, match=message):
        bench.search("x=interval(0,1)", *then.pop("lines", []), **values | then)
    assert len(bench.trained) == runs


def test_where_and_how_it_is_trained_may_change(bench: Bench) -> None:
    bench.search("x=interval(0,1)", "engine.width=1", trials=2, seeds=2)
    bench.search("x=interval(0,1)", "engine.width=4", "dry=false", trials=2, seeds=2)


def test_a_second_process_is_refused(bench: Bench) -> None:
    def inside() -> None:
        bench.before_run = lambda: None
        with pytest.raises(SeedlabError, match="another process is searching in"):
            bench.search()

    bench.before_run = inside
    bench.search(trials=1, seeds=1)


def test_failure_rate_needs_to_know_failures(bench: Bench) -> None:
    with pytest.raises(SeedlabError, match="only seedlab's own tasks record them"):
        bench.search(objective="failure_rate")
    assert not bench.trained


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"trials": 0}, "hydra.sweeper.trials is 0; it must be a whole number from 1 on"),
        ({"seeds": 0}, "hydra.sweeper.seeds is 0"),
        ({"alpha": 1.0}, r"alpha is 1\.0; it must lie between 0 and 1"),
        ({"pruner": "sequentia"}, "pruner is 'sequentia'; allowed: .* Did you mean 'sequential'"),
        ({"statistic": "z"}, "statistic is 'z'; allowed: t, signed_rank"),
        ({"direction": "up"}, "direction is 'up'; allowed: maximize, minimize"),
        ({"storage": "file"}, "storage is 'file'; allowed: sqlite, journal"),
        ({"objective": "best"}, "objective 'best' is not known; allowed: mean, median"),
        ({"objective": ["mean"] * 2}, "allowed: one objective, or a list of two"),
        ({"objective": []}, "allowed: one objective, or a list of two"),
        (
            {"objective": "expected_best(9)"},
            "needs 9 seeds per setting and hydra.sweeper.seeds is 8",
        ),
    ],
)
def test_values_out_of_range_are_refused(
    bench: Bench, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(SeedlabError, match=message):
        bench.search(**values)


def test_settings_are_kept_as_json(bench: Bench) -> None:
    bench.search(trials=1, seeds=1)
    begun = bench.study().user_attrs["search"]
    assert json.loads(json.dumps(begun)) == begun
    assert begun["space"] == {"x": "interval(0,1)"}


def test_a_policy_that_drops_seeds_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:

    monkeypatch.chdir(tmp_path)
    command = [
        "run", "-m", "hydra/sweeper=seedlab_optuna", "study=search", "task.examples=100",
        "recipe.optimizer.learning_rate=interval(0,1)", "early_stopping=start_many",
        "early_stopping.continued=1",
    ]  # fmt: skip
    assert main(command) == 2
    assert "a setting would be judged by its lucky ones" in capsys.readouterr().err
    assert not (tmp_path / "studies" / "search" / "optuna.db").exists()


@pytest.mark.parametrize(
    ("storage", "file", "damage"),
    [
        ("sqlite", "optuna.db", lambda content: content[:9000] + bytes(40_000) + content[49_000:]),
        ("journal", "optuna.log", lambda content: content.replace(b'"op_code"', b'"opcode"', 1)),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                ("sqlite", "optuna.db", lambda content: b"no database" * 400),
                ("sqlite", "optuna.db", lambda content: content[: len(content) // 2]),
                ("journal", "optuna.log", lambda content: b'{"op_code": 99\n' + content),
            )
        ),
    ],
    ids=["zeroed pages", "another key", "other content", "truncated", "no JSON"],
)
def test_a_damaged_storage_is_refused_and_left_as_it_is(
    bench: Bench, storage: str, file: str, damage: Callable[[bytes], bytes]
) -> None:
    bench.search(trials=2, seeds=2, storage=storage)
    path = bench.folder / file
    damaged = damage(path.read_bytes())
    path.write_bytes(damaged)
    runs = len(bench.trained)
    with pytest.raises(
        SeedlabError, match=rf"the storage of the search, .*{file}, can't be used .*begins anew"
    ):
        bench.search(trials=3, seeds=2, storage=storage)
    assert path.read_bytes() == damaged
    assert len(bench.trained) == runs
