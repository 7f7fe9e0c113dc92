"""Figures of sweeps, losses of recipes and learning rates."""

import numpy as np
import pandas as pd
import pytest

from analysis.comparison.sweeps import find_sweeps
from analysis.errors import TableError
from analysis.figures.steps.losses import drawn_recipes, loss_quantiles, recipe_losses
from analysis.figures.steps.rates import depth_lines, rate_figure
from analysis.figures.sweeps.axis import SweptAxis, is_log
from analysis.figures.theme import spec_of
from analysis.report.contents import CONTENTS
from analysis.report.panels.settings.rates import LearningRates, depth_caption, rate_array
from analysis.report.panels.settings.sweeps import Sweeps
from analysis.report.results.group_results import GroupResults
from analysis.report.results.report_results import ReportResults
from analysis.report.sections.part import Missing, Panel, TableFile
from tests.suites.made_sweeps import rising, swept

GRID = [{"reinit.layers": n, "learning_rate": r} for n in (0, 1, 2) for r in (1e-5, 1e-4)]


def results(study):
    groups = [
        GroupResults(key, f"rte, {key.recipe}", f"g{k}", part)
        for k, (key, part) in enumerate(study.groups())
    ]
    return groups, ReportResults(study, groups)


@pytest.mark.parametrize(
    ("values", "log"),
    [
        ((1e-5, 1e-4, 1e-3), True),
        ((1e-5, 2e-5, 5e-5), False),
        ((64, 128, 256), True),
        ((100, 300, 900), True),
        ((0, 1, 2), False),
        ((0.1, 0.2, 0.3), False),
        ((1, 10), True),
        ((5,), False),
        ((-1, -10), False),
    ],
)
def test_the_axis_is_logarithmic_where_the_values_are(values, log):
    assert is_log(values) is log


def test_places_and_ticks_are_those_of_the_values():
    axis = SweptAxis(np.array([1e-5, 1e-3, 1e-4]))
    np.testing.assert_allclose(axis.places(pd.Series([1e-4, 1e-3])), [-4, -3])
    assert axis.encoding("lr").to_dict()["axis"]["values"] == [-5, -4, -3]
    null = SweptAxis(np.array([np.nan, 4.0, 1.0]))
    np.testing.assert_allclose(null.places(pd.Series([np.nan, 1.0, 4.0])), [0, 1, 2])
    assert "'null'" in null.encoding("x").to_dict()["axis"]["labelExpr"]


def test_one_number_has_a_figure_and_two_have_a_heat_map():
    scores = rising(6)
    scores[0][:] = 0.4
    study = swept(GRID, scores)
    entries = list(Sweeps().entries(*results(study)))
    panels = [entry for entry in entries if isinstance(entry, Panel)]
    assert [panel.heading for panel in panels] == [
        "rte, devlin: mean score over reinit.layers and learning_rate",
        "rte, devlin: score over reinit.layers, by learning_rate",
    ]
    cells = next(iter(panels[0].spec["datasets"].values()))
    assert [cell["lost"] for cell in cells] == ["9/9 failed", *[""] * 5]
    (file,) = (entry for entry in entries if isinstance(entry, TableFile))
    assert (file.name, len(file.frame)) == ("sweep", 6)
    single = swept([{"learning_rate": r} for r in (1e-5, 1e-4, 1e-3)], rising(3))
    (panel,) = (e for e in Sweeps().entries(*results(single)) if isinstance(e, Panel))
    assert panel.stem == "sweep-rte-learning-rate"
    points = [d for d in panel.spec["datasets"].values() if len(d) == 27]
    assert len(points) == 1


def test_recipes_that_sweep_one_number_share_a_figure():
    levels = [
        {"learning_rate": r, "schedule": s} for s in ("linear", "cosine") for r in (1e-5, 1e-4)
    ]
    entries = list(Sweeps().entries(*results(swept(levels, rising(4)))))
    (panel,) = (e for e in entries if isinstance(e, Panel))
    assert "devlin, schedule=linear: learning_rate=0.0001 has" in panel.caption
    assert "devlin, schedule=cosine: learning_rate=0.0001 has" in panel.caption


def test_more_numbers_than_two_are_a_note():
    levels = [{"x": i, "y": j, "z": k} for i in (0, 1) for j in (0, 1) for k in (0, 1)]
    (note,) = Sweeps().entries(*results(swept(levels, rising(8))))
    assert isinstance(note, Missing)
    assert note.reason == (
        "devlin varies in 3 numbers (x, y, z). A figure shows one or two: write a report on a study "
        "that varies fewer."
    )


def test_losses_are_quantiles_over_runs():
    rng = np.random.default_rng(0)
    losses = rng.random((11, 5))
    steps = pd.DataFrame(
        {
            "run": np.repeat([f"r{k}" for k in range(11)], 5),
            "step": np.tile(np.arange(1, 6), 11),
            "train_loss": losses.ravel(),
        }
    )
    steps.loc[(steps["run"] == "r0") & (steps["step"] > 3), "train_loss"] = np.nan
    recipe_of = pd.Series({f"r{k}": "a" if k < 6 else "b" for k in range(11)})
    table = loss_quantiles(steps, recipe_of)
    assert list(dict.fromkeys(table["recipe"])) == ["a", "b"]
    b = table.loc[table["recipe"] == "b"]
    for column, share in (("lower", 0.1), ("median", 0.5), ("upper", 0.9)):
        np.testing.assert_allclose(b[column], np.quantile(losses[6:], share, axis=0))
    assert list(table.loc[table["recipe"] == "a", "n_runs"]) == [6, 6, 6, 5, 5]
    assert drawn_recipes(table) == ["a", "b"]
    assert spec_of(recipe_losses(table, ["a", "b"]))["layer"]
    with pytest.raises(TableError, match="no training loss is finite"):
        loss_quantiles(steps.assign(train_loss=np.nan), recipe_of)


def test_of_many_recipes_six_are_drawn():
    table = pd.DataFrame(
        {"recipe": [f"r{k}" for k in range(20)], "step": 1, "median": np.arange(20.0)}
    )
    assert drawn_recipes(table)[::5] == ["r0", "r19"]


def test_neighbouring_depths_with_one_rate_are_one_line():
    head = np.array([0.0, 1.0, 0.5])
    rates = np.stack([0 * head, 0 * head, head / 4, head / 4, head / 2, head], axis=1)
    lines = depth_lines(rates)
    assert [name for name, _ in lines] == [
        "embeddings to layer 1 (frozen)",
        "layers 2-3",
        "layer 4",
        "head",
    ]
    np.testing.assert_array_equal(lines[1][1], head / 4)
    assert [name for name, _ in depth_lines(rates[:, -1:])] == ["all depths"]
    wide = next(
        data for data in spec_of(rate_figure(lines))["datasets"].values() if "r3" in data[0]
    )
    assert [row["r3"] for row in wide] == [0.0, 1.0, 0.5]
    assert depth_caption(rates) == (
        "The head's rate peaks at 1, at step 2. The rate of layer 2 peaks at 0.25, 25% of it. "
        "2 of 6 depths are frozen."
    )
    many = [(f"layer {k}", head * k) for k in range(12)]
    assert len(spec_of(rate_figure(many))["layer"]) == 3


def test_equal_schedules_are_drawn_once():
    study = swept([{"reinit.layers": n} for n in (0, 1, 2)], rising(3))
    study.runs["setting"] = study.runs["reinit.layers"].map({0: "a", 1: "b", 2: "c"})
    table = pd.DataFrame({"setting": list("aabbcc"), "step": [1, 2] * 3, "depth": np.nan})
    table["rate"] = [1.0, 0.5, 1.0, 0.5, 2.0, 1.0]
    import dataclasses

    groups, report = results(dataclasses.replace(study, rates=table))
    entries = list(LearningRates().entries(groups, report))
    (panel,) = (e for e in entries if isinstance(e, Panel))
    assert panel.caption == (
        "All depths have one rate. devlin, reinit.layers=0 and devlin, reinit.layers=1: peak 1 at step "
        "1 of 2; devlin, reinit.layers=2: peak 2 at step 1 of 2."
    )
    assert sum(len(e.frame) for e in entries if isinstance(e, TableFile)) == 6
    np.testing.assert_array_equal(rate_array(table.iloc[:2]), [[1.0], [0.5]])


def test_the_report_has_both_sections():
    anchors = [outline.anchor for outline in CONTENTS]
    assert anchors.index("sweeps") == 1
    assert "rates" in anchors
    assert find_sweeps(swept(GRID, rising(6)))
