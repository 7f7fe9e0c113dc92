"""The report on what runs cost, and on the noise of late evaluations: figures, sentences, notes."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from analysis.best_of_n.compute_table import COLUMNS
from analysis.best_of_n.expected_max_table import expected_max_table
from analysis.data.early_stopped import is_selected
from analysis.data.study import Study
from analysis.report.contents import CONTENTS
from analysis.report.panels.best_of import BestOfCompute, cost_text
from analysis.report.panels.tasks import SignalToNoise, signal_caption
from analysis.report.results.group_results import GroupResults
from analysis.report.results.report_results import ReportResults
from analysis.report.sections.part import Entry, Missing, PageTable, Panel, TableFile
from tests.suites.made_studies import unread, unread_curves

SCORES = {"dear": [0.70, 0.72, 0.74, 0.76], "cheap": [0.60, 0.70, 0.80, 0.90]}


def table(**columns: object) -> pd.DataFrame:
    """Two recipes of four runs; a run of the dear one costs four of the other."""
    frames = [
        pd.DataFrame(
            {
                "task": "rte",
                "recipe": name,
                "seed": range(4),
                "score": scores,
                "steps": 400 if name == "dear" else 100,
            }
        )
        for name, scores in SCORES.items()
    ]
    return pd.concat(frames, ignore_index=True).assign(**columns)


def entries(frame: pd.DataFrame, **options: object) -> list[Entry]:
    study = unread(frame.assign(**options))
    groups = []
    for key, part in study.groups():
        group = GroupResults(key, f"rte, {key.recipe}", key.recipe, part)
        if not is_selected(group.recorded):
            lower = not group.up
            runs = group.runs.drop(columns="model")
            group.tables["expected_max"] = expected_max_table(runs, lower_is_better=lower)
        groups.append(group)
    return list(BestOfCompute().entries(groups, ReportResults(study, groups)))


def noise(study: Study) -> list[Entry]:
    groups = [GroupResults(key, key.recipe, key.recipe, part) for key, part in study.groups()]
    return list(SignalToNoise().entries(groups, ReportResults(study, groups)))


def test_the_cost_of_a_dear_run_buys_four_cheap_ones() -> None:
    file, panel = entries(table())
    assert isinstance(file, TableFile)
    assert (file.name, file.frame.columns.tolist()) == ("best_of_compute", list(COLUMNS))
    assert isinstance(panel, Panel)
    assert panel.stem == "best-of-compute-rte"
    assert panel.caption == (
        "At the cost of 1 run of dear (400 updates), the expected best is 0.900 with 4 runs of cheap, "
        "0.730 with 1 run of dear."
    )
    assert "vconcat" not in panel.spec
    assert "updates in all runs (logarithmic)" in json.dumps(panel.spec)


def test_lower_is_better_and_equal_prices_are_said() -> None:
    _, panel = entries(table(steps=50), higher_is_better=False)
    assert isinstance(panel, Panel)
    assert panel.caption == (
        "At the cost of 2 runs of dear (100 updates), the expected best is 0.667 with 2 runs of cheap, "
        "0.713 with 2 runs of dear. A run costs the same with every recipe, so equal costs are equal "
        "numbers of runs. Lines that cross within overlapping bands show no budget at which the lead "
        "changes (dear and cheap)."
    )


@pytest.mark.parametrize(
    ("device", "axis"), [("cuda:0", "GPU-hours of all runs"), ("cpu", "time of all runs (hours")]
)
def test_time_is_a_panel_of_its_own_and_gpu_hours_take_its_place(device: str, axis: str) -> None:
    seconds = [7200.0] * 4 + [3600.0] * 4
    _, updates, panel = entries(table(seconds=seconds, device=device))
    assert isinstance(updates, Panel)
    assert isinstance(panel, Panel)
    name = "seconds" if device == "cpu" else "gpu_hours"
    assert (updates.stem, panel.stem) == ("best-of-compute-rte", f"best-of-compute-rte-{name}")
    spec = json.dumps(panel.spec)
    # A concatenated chart has a fixed width and is wider than a phone.
    assert "vconcat" not in panel.spec
    assert axis in spec
    assert ("GPU-hours" in spec) == (device != "cpu")
    unit = "hours" if device == "cpu" else "GPU-hours"
    assert panel.caption.startswith(
        f"At the cost of 2 runs of dear (4 {unit}), the expected best is"
    )


def test_a_study_that_stopped_early_is_a_diamond() -> None:
    status = ["finished"] * 4 + ["stopped", "stopped", "stopped", "finished"]
    file, panel = entries(table(status=status))
    assert isinstance(file, TableFile)
    assert file.frame["updates"].tolist() == [400, 800, 1200, 1600, 400]
    assert isinstance(panel, Panel)
    assert '"diamond"' in json.dumps(panel.spec)
    assert panel.caption == (
        "The diamond: cheap stopped runs early; its best score is 0.900, seen once, at the cost of all "
        "its 4 runs (400 updates); without stopping, that gives 0.730 with 1 run of dear."
    )


def test_unknown_costs_are_a_note_and_one_recipe_needs_none() -> None:
    (note,) = entries(table().drop(columns="steps"))
    assert note == Missing(
        "the cost of the runs is unknown, so recipes are compared at equal numbers of runs alone. "
        "Studies of seedlab record it. A table gives it in the columns 'steps' (updates) and "
        "'seconds'.",
        "rte",
    )
    one = table().loc[lambda t: t["recipe"] == "dear"]
    (file,) = entries(one)
    assert isinstance(file, TableFile)
    assert not entries(one.drop(columns="steps"))


@pytest.mark.parametrize(
    ("cost", "value", "text"),
    [
        ("updates", 1150.0, "1,150 updates"),
        ("updates", 1.0, "1 update"),
        ("seconds", 90.0, "90 seconds"),
        ("seconds", 600.0, "10 minutes"),
        ("seconds", 12345.0, "3.43 hours"),
        ("gpu_hours", 0.4, "0.4 GPU-hours"),
    ],
)
def test_costs_have_units(cost: str, value: float, text: str) -> None:
    assert cost_text(cost, value) == text


def curves(recipes: int, evaluations: int = 9) -> Study:
    rng = np.random.default_rng(0)
    names = np.repeat(["a", "b"][:recipes], 6)
    fractions = np.arange(1, evaluations + 1) / evaluations
    scores = 0.7 + 0.1 * (names == "b")[:, None]
    scores = scores + 0.02 * rng.standard_normal((len(names), evaluations))
    return unread_curves(scores, fractions, recipe=names)


def test_the_figure_and_the_tables_of_signal_and_noise() -> None:
    one, two, panel, first, second = noise(curves(2))
    names = [file.name for file in (one, two) if isinstance(file, TableFile)]
    assert names == ["signal_to_noise", "late_noise"]
    assert isinstance(panel, Panel)
    # Both are addresses within the page.
    assert panel.stem not in {outline.anchor for outline in CONTENTS}
    assert panel.caption == (
        "rte: the means of 2 recipes have a standard deviation of 0.080, 4.2 times the noise of late "
        "evaluations (0.019) and 4.4 times the spread over seeds (0.018)."
    )
    ratios = [row["ratio"] for data in panel.spec["datasets"].values() for row in data]
    assert sorted(ratios) == pytest.approx([1.0, 0.0189 / 0.0182, 4.4], rel=0.02)
    assert isinstance(first, PageTable)
    assert first.frame["signal / late noise"].tolist() == ["4.2"]
    assert isinstance(second, PageTable)
    assert second.frame["late evaluations"].tolist() == ["24", "24"]


def test_one_recipe_has_noise_alone() -> None:
    _, _, panel, first, _ = noise(curves(1))
    assert isinstance(panel, Panel)
    assert panel.caption == (
        "rte: late evaluations have a noise of 0.012, 1.0 times the spread over seeds (0.012)."
    )
    assert "(signal)" not in json.dumps(panel.spec)
    assert isinstance(first, PageTable)
    assert first.frame["between recipes (signal)"].tolist() == ["–"]


def test_few_evaluations_are_a_note_and_none_of_one_recipe_are_nothing() -> None:
    *_, note = noise(curves(2, evaluations=3))
    assert note == Missing(
        "no noise of late evaluations: it needs three evaluations of a run in the last third of "
        "training, or in its second half.",
        "b",
    )
    scores = table().loc[lambda t: t["recipe"] == "dear"]
    assert not noise(unread(scores))


def test_recipes_without_a_signal_are_said_to_have_none() -> None:
    row = {"task": "rte", "signal": 0.0, "noise_steps": 0.1, "noise_seeds": 0.1, "recipes": 2}
    assert signal_caption(pd.DataFrame([row])) == (
        "rte: the recipes differ no more than the errors of their means."
    )
