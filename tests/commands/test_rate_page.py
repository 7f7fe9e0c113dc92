"""The page of a dry run's learning rates: labels, refusals, content."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from seedlab.application.collected_rates import collect, collected_rates, labelled
from seedlab.commands.study.rate_page import MARK, write_page
from seedlab.commands.verbs.run import VERB
from seedlab.errors import SeedlabError
from seedlab.spec.recipe import OptimizerSpec, RecipeSpec

RATES = np.array([[1.0], [0.5]])


def rated(rate):
    return RecipeSpec(optimizer=OptimizerSpec(learning_rate=rate))


def test_schedules_are_named_by_what_differs_and_stand_once():
    by_depth = np.array([[0.5, 0.5, 1.0], [0.25, 0.25, 0.5]])
    with collected_rates() as found:
        collect("cola", [(rated(1.0), RATES), (rated(2.0), 2 * RATES)], (5, 5, 5))
        collect("rte", [(rated(1.0), RATES)], (5, 5, 5))
        collect("rte", [(dataclasses.replace(rated(1.0), name="low"), by_depth)], (0, 5, 5))
    collect("rte", [(rated(3.0), RATES)], (5,))  # outside the block
    (one, two, low) = labelled(found)
    assert one[0] == "cola, devlin, learning_rate=1.0; rte, devlin, learning_rate=1.0"
    assert two[0] == "cola, devlin, learning_rate=2.0"
    assert low[0] == "rte, low"
    np.testing.assert_array_equal(one[1], RATES)
    np.testing.assert_array_equal(low[1], [[0.0, 0.5, 1.0], [0.0, 0.25, 0.5]])


def test_the_page_holds_every_rate_and_can_be_written_again(tmp_path, monkeypatch):
    # Making the library's bundle takes a second.
    monkeypatch.setattr("analysis.report.html.figure_page.vega_script", lambda: "")
    path = tmp_path / "rates.html"
    for _ in range(2):
        write_page([("rte, <devlin>", RATES)], path)
    text = path.read_text(encoding="utf-8")
    assert text.startswith(MARK)
    assert "rte, &lt;devlin&gt;" in text
    assert (
        json.dumps([{"step": 1, "r0": 1.0}, {"step": 2, "r0": 0.5}], separators=(",", ":")) in text
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--rates"], r"--rates needs a file, for example --rates rates\.html\."),
        (["dry=true", "--rates", "-m"], r"--rates needs a file"),
        (["--rates", "a.html"], r"--rates a\.html belongs to a dry run; add dry=true\."),
        (["dry=false", "--rates=a.html"], r"belongs to a dry run"),
        (["dry=true", "--rates", "a.txt"], r"must end in \.html"),
        (["dry=true", "--rates", "no/a.html"], r"the folder no does not exist; make it"),
        (["dry=true", "--rates", "mine.html"], r"no dry run has written it; name another file"),
    ],
)
def test_bad_places_are_refused_before_anything_is_measured(tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    Path("mine.html").write_text("mine")
    with pytest.raises(SeedlabError, match=message):
        VERB.act(type("Options", (), {"overrides": words})())
    assert Path("mine.html").read_text() == "mine"
