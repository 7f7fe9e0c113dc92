"""The sentences of `seedlab plan`."""

import pytest

from analysis.errors import OptionError
from analysis.planning.grid_size import SeedVariances, grid_for_power, grid_for_width
from analysis.planning.sample_size import runs_for_power, runs_for_width
from analysis.report import Questions, plan_answers
from analysis.variance.henderson import cell_table, components
from tests.suites.made_studies import curved, plain


def test_plan_without_a_pilot():
    words = plan_answers(Questions(width=0.02, effect=0.02, sd=0.069))
    assert f"takes {runs_for_width(0.02, 0.069)} runs" in words[0]
    assert f"takes {runs_for_power(0.02, 0.069)} runs of each" in words[1]


def test_plan_from_a_pilot():
    study = curved(a=5, b=5)
    words = plan_answers(Questions(target=0.7, budget=4), study)
    assert words[0].startswith("pilot of 25 runs, accuracy")
    assert "the best of n runs reaches 0.7 with a chance of" in words[1]
    assert words[2].startswith("a budget of 4 full trainings is best spent")
    assert words == plan_answers(Questions(target=0.7, budget=4), study)


def test_the_runs_of_a_pilots_grid_share_seeds():
    """N runs stands for runs that share no seed; a grid is named beside it."""
    study = curved(a=5, b=5)
    found = components(cell_table(study.complete_runs()), "pool")
    spread = SeedVariances(*(max(value, 0.0) for value in found.values()))
    width, effect = plan_answers(Questions(width=0.02, effect=0.02, paired=True), study)[1:]
    size = grid_for_width(0.02, spread)
    assert f"takes {runs_for_width(0.02, spread.sd)} runs that share no seed" in width
    assert width.endswith(f", or a grid of {size} x {size} seeds.")
    pairs = runs_for_power(0.02, 2**0.5 * spread.sd, paired=True)
    assert f"takes {pairs} pairs of runs, no two of which share a seed (if the recipes'" in effect
    size = grid_for_power(0.02, spread.doubled())
    assert effect.endswith(f"or the same grid of {size} x {size} seeds for both (crossed test).")


def test_plan_says_what_the_pilot_cannot_tell():
    assert "needs evaluations" in plan_answers(Questions(budget=4), plain())[1]
    assert "more than the pilot's runs" in plan_answers(Questions(budget=400), curved())[1]
    assert "no number of runs can be given" in plan_answers(Questions(target=2.0), plain())[1]
    assert "fewer than two runs" in plan_answers(Questions(width=0.1), plain(1, 1))[0]


def test_groups_are_named_where_there_are_several():
    words = plan_answers(Questions(width=0.05), curved(recipes=("a", "b")))
    assert [w.split(":")[0] for w in words] == ["rte, a", "rte, a", "rte, b", "rte, b"]


def test_refusals():
    with pytest.raises(OptionError, match=r"nothing to plan; give a width \(--width\)"):
        plan_answers(Questions())
    with pytest.raises(OptionError, match="needs runs to plan from"):
        plan_answers(Questions(budget=3, sd=0.1))
    with pytest.raises(OptionError, match="standard deviation of a run's score is unknown"):
        plan_answers(Questions(width=0.1))
    with pytest.raises(OptionError, match="width is -1"):
        plan_answers(Questions(width=-1.0, sd=0.1))
