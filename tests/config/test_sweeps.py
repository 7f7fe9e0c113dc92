"""Grids by their size, and refusals of sweeps that show how to write one."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser

from seedlab.config.overrides import rewrite
from seedlab.config.sweeps import MOST_RUNS, grid_sweeps
from seedlab.errors import SeedlabError
from seedlab.launch.launcher import launch
from seedlab.paths import conf_folder


@pytest.mark.parametrize("name", ["3x3", "5x5", "25x25"])
def test_a_size_means_what_the_file_of_that_name_means(name: str) -> None:
    stored = yaml.safe_load((conf_folder() / "grid" / f"{name}.yaml").read_text())
    assert stored["hydra"]["sweeper"]["params"] == grid_sweeps(name)


def test_any_size_is_a_grid_and_named_seeds_win() -> None:
    assert rewrite(["-m", "study=s", "grid=2x7"]) == [
        *("-m", "seed.init=range(0,2)", "seed.order=range(0,7)", "study=s", "grid=single")
    ]
    words = rewrite(["-m", "study=s", "grid=2x7", "seed.init=range(4,9)"])
    assert words == [
        "-m",
        "seed.order=range(0,7)",
        "study=s",
        "grid=single",
        "seed.init=range(4,9)",
    ]
    # The last of two grids counts, as with any key.
    assert rewrite(["-m", "grid=2x7", "study=s", "grid=3x3"])[-1] == "grid=3x3"
    assert "+demo=study" in rewrite(["-m", "experiment=demo", "grid=1x1"])


def test_a_key_that_a_shell_repeated_is_refused() -> None:
    """Of seed.init={0..4} a shell makes five words, and Hydra would train the last seed alone."""
    message = (
        "seed.init is given twice in a row, as 0 and as 1, and Hydra would take the last. Give it once; "
        "a sweep is -m seed.init=0,1, and seeds 0 to 4 are 'range(0,5)'."
    )
    with pytest.raises(SeedlabError) as refused:
        rewrite(["study=s", *(f"seed.init={seed}" for seed in range(5))])
    assert str(refused.value) == message
    # A script appends the words of its user.
    assert rewrite(["seed.init=0", "study=s", "seed.init=3"])[-1] == "seed.init=3"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("0x3", "grid=0x3 is not the size of a grid; write grid=AxB with whole numbers from 1"),
        ("5x", "for instance grid=5x5: 5 weight-init seeds x 5 data-order seeds"),
        ("-1x3", "is not the size of a grid"),
        ("3x3,5x5", "is not the size of a grid"),
        ("singel", "Did you mean 'single'?"),
        ("1000x1000", f"asks for 1,000,000 runs; at most {MOST_RUNS:,} can be planned at a time."),
    ],
)
def test_other_grids_are_refused(name: str, message: str) -> None:
    with pytest.raises(SeedlabError) as caught:
        rewrite(["-m", f"grid={name}"])
    assert message in str(caught.value)


def test_a_sweep_needs_multirun() -> None:
    with pytest.raises(SeedlabError, match=r"seed.init=0,1 is a sweep.*add -m"):
        rewrite(["study=s", "seed.init=0,1"])
    assert rewrite(["study=s", "seed.init=0,1", "hydra.mode=MULTIRUN"])


def test_a_grid_of_any_size_needs_multirun() -> None:
    with pytest.raises(SeedlabError, match=r"grid=2x2 is a sweep.*add -m"):
        rewrite(["grid=2x2"])


@pytest.mark.parametrize(
    "text",
    [
        *("0..5", "0...5", "0-4", "0:5", "[0:5]", "{0..5}", "0–4", "0 to 4"),
        *("range[0,5]", "range{0,5}", "range(0,5", "range 0 5", "range 0,5", "Range(0,5)"),
        *("range(0;5)", "range(0,5))", "(0,5)", "'range(0,5)'", "0,1,..,4", "0,...,4"),
    ],
)
def test_a_misspelt_range_is_answered_with_the_right_one(text: str) -> None:
    with pytest.raises(SeedlabError) as caught:
        rewrite(["-m", f"seed.init={text}"])
    message = str(caught.value)
    assert message.startswith(f"seed.init={text} ")
    assert (
        "write 'seed.init=range(0,5)' for 0, 1, 2, 3, 4 (the end of a range is left out" in message
    )
    assert message.endswith(".")


@pytest.mark.parametrize("text", ["[0,1,2]", "0 1 2", "{0,1,2}", "0;1;2"])
def test_a_list_is_answered_with_a_sweep(text: str) -> None:
    with pytest.raises(SeedlabError, match=r"write .seed\.order=0,1,2. for these values"):
        rewrite(["-m", f"seed.order={text}"])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("seed.init=range(5,0)", "has no values.*for instance seed.init=range\\(0,5\\)."),
        ("seed.init=range(3,3)", "has no values, so that nothing would be trained.*above a.$"),
        ("seed.init=range(0,5,-1)", "has no values"),
        ("recipe.optimizer.learning_rate=range(2e-5,1e-5,1e-6)", "has no values"),
        ("seed.init=range(0,5,0)", "never ends"),
        ("seed.init=range(0,1000000)", "has 1,000,000 seeds; at most 100,000"),
        ("study=x(", r"the bracket '\(' is not closed; write KEY=VALUE"),
        ("seed.init=0,1,,2", "a comma has no value on one side"),
        ("seed.init=choice()", r"choice\(\) has no values"),
        ("recipe.epochs=rage(1,2)", "'rage' is no function of Hydra; there are range, choice"),
    ],
)
def test_sweeps_without_an_end_or_a_value_are_refused(line: str, message: str) -> None:
    with pytest.raises(SeedlabError, match=message):
        rewrite(["-m", "study=s", "dry=true", line])


@pytest.mark.parametrize(
    "line",
    [
        *("seed.init=range(0,5)", "seed.init=range(5)", "seed.init=range(5,0,-1)", "seed.init=7"),
        *("seed.init=0,1,2", "seed.init=choice(0,1)", "seed.init=shuffle(range(0,3))"),
        *("recipe.optimizer.learning_rate=1e-5,2e-5", "recipe.optimizer.learning_rate=2e-5"),
        *("seed.dropout=null", "study=0-4", "task.path=0..5", "model.path=a:b"),
        *("recipe=choice(devlin,mosbach2021)", "recipe=glob(zhang*)"),
        "seed.init=${seed.order}",
    ],
)
def test_other_overrides_pass_unchanged(line: str) -> None:
    OverridesParser.create().parse_override(line)
    assert line in rewrite(["-m", "study=s", "dry=true", line])


def test_a_sweep_without_jobs_is_refused_wherever_it_was_written() -> None:
    """The launcher sees what the command line does not show: files of experiments, and globs."""
    nothing: Any = None
    with pytest.raises(SeedlabError, match=r"the sweep is empty, so that nothing would be trained"):
        launch(nothing, nothing, nothing, nothing, [], 0)
