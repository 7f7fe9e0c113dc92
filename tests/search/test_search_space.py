"""Search spaces in Hydra's grammar: what is read, what is refused, what goes back to Hydra."""

from __future__ import annotations

from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from seedlab.errors import SeedlabError
from seedlab.search.space import read_search_space


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("interval(0,0.2)", FloatDistribution(0.0, 0.2)),
        ("interval(1,10)", FloatDistribution(1.0, 10.0)),
        ("tag(log,interval(1e-5,1e-3))", FloatDistribution(1e-5, 1e-3, log=True)),
        ("int(interval(1,8))", IntDistribution(1, 8)),
        ("tag(log,int(interval(1,128)))", IntDistribution(1, 128, log=True)),
        ("range(1,5)", IntDistribution(1, 4)),
        ("range(0,10,3)", IntDistribution(0, 9, step=3)),
        ("range(10,0,-3)", IntDistribution(1, 10, step=3)),
        ("range(0,1,0.25)", FloatDistribution(0.0, 0.75, step=0.25)),
        ("choice(linear,constant)", CategoricalDistribution(["linear", "constant"])),
        ("a,b", CategoricalDistribution(["a", "b"])),
        ("1e-5,2e-5", CategoricalDistribution(["1e-05", "2e-05"])),
    ],
)
def test_distributions(text: str, expected: BaseDistribution) -> None:
    assert read_search_space({}, [f"x={text}"]).distributions == {"x": expected}
    assert read_search_space({"x": text}, []).distributions == {"x": expected}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("interval(0,1)", 0.1 + 0.2),
        ("tag(log,interval(1e-9,1))", 1.2345678901234567e-07),
        ("range(0,1000000)", 123456),
    ],
)
def test_hydra_reads_back_the_number_that_was_proposed(text: str, value: float) -> None:
    [line] = read_search_space({}, [f"x={text}"]).overrides({"x": value})
    assert OverridesParser.create().parse_override(line).value() == value


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("choice('two words',b)", ["two words", "b"]),
        ("choice('a,b',c)", ["a,b", "c"]),
        ("[1,2],[3]", [[1, 2], [3]]),
        ("true,false", [True, False]),
        ("1e-5,3", [1e-5, 3]),
    ],
)
def test_hydra_reads_back_the_choice_that_was_proposed(text: str, values: list[Any]) -> None:
    space = read_search_space({}, [f"x={text}"])
    parsed = []
    for choice in space.distributions["x"].choices:  # type: ignore[attr-defined]
        [line] = space.overrides({"x": choice})
        override = OverridesParser.create().parse_override(line)
        assert not override.is_sweep_override()
        value = override.value()
        parsed.append(value if isinstance(value, list | bool | int | float) else str(value))
    assert parsed == values


def test_the_rest_is_fixed_and_the_command_line_wins() -> None:
    space = read_search_space({"x": "interval(0,1)", "y": "1,2"}, ["y=3", "+z.a=b", "study=s"])
    assert list(space.distributions) == ["x"]
    assert space.fixed == ("y=3", "+z.a=b", "study=s")
    assert space.identity() == {"space": {"x": "interval(0,1)"}, "fixed": ["+z.a=b", "y=3"]}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["seed.init=range(0,5)", "x=1,2"],
            "seed.init is swept, but a search must not choose a seed",
        ),
        (["seed.dropout=1,2", "x=1,2"], r"luckiest one.*leave the seeds \(and grid=\.\.\.\) out"),
        (["+seed.order=1,2", "x=1,2"], "seed.order is swept"),
        (
            ["seed.init=3", "x=1,2"],
            r"seed.init is fixed, but replicates.*seed.init=r and seed.order=r",
        ),
        (["y=3"], "nothing to search"),
        (["x=tag(fast,interval(0,1))"], "has the tag fast; allowed: the tag log"),
        (["x=interval(1,0)"], "is no range to search"),
        (["x=tag(log,interval(0,1))"], "is no range to search"),
        (["x=tag(log,range(0,1,0.1))"], "log scale has no steps"),
        (["x=range(1,1)"], "holds no value"),
    ],
)
def test_refusals(lines: list[str], message: str) -> None:
    with pytest.raises(SeedlabError, match=message):
        read_search_space({}, lines)


def test_a_fixed_seed_of_another_stream_is_allowed() -> None:
    assert read_search_space({}, ["x=1,2", "seed.subsample=4"]).fixed == ("seed.subsample=4",)


def test_the_middle_lies_in_the_space() -> None:
    space = read_search_space({}, ["a=interval(0,1)", "b=range(1,9,3)", "c=u,v"])
    assert space.middle == {"a": 0.5, "b": 4, "c": "u"}
