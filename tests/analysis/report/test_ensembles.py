"""The report's section on averages, votes and the best of several runs."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from analysis.data.study import Study
from analysis.ensembles.table import ensemble_table
from analysis.report.contents import CONTENTS
from analysis.report.panels.ensembles import ensembles_caption
from analysis.report.results.group_results import GroupResults
from analysis.report.results.report_results import ReportResults
from analysis.report.results.tables import report_tables
from analysis.report.sections.section import Section, fill_sections
from tests.suites.made_studies import plain, with_predictions


def study() -> Study:
    """Six runs with predictions for 20 validation and as many test examples."""
    draws = np.random.default_rng(0)
    labels = draws.integers(0, 2, 20)
    logits = np.eye(2)[labels] + draws.normal(size=(2, 6, 20, 2))
    dev, test = (with_predictions(part, labels) for part in logits)
    return dataclasses.replace(dev, test_predictions=test.predictions)


def filled(part: Study) -> tuple[list[Section], GroupResults]:
    ((key, only),) = part.groups()
    group = GroupResults(key, "t", "t", only)
    group.attempt("ensembles", lambda: ensemble_table(only, np.random.default_rng(0)))
    outlines = tuple(outline for outline in CONTENTS if outline.anchor == "ensembles")
    return fill_sections(outlines, ReportResults(part, [group])), group


def test_a_study_with_predictions_has_the_figure_and_the_table() -> None:
    (section,), group = filled(study())
    (panel,) = section.panels
    assert panel.stem == "ensembles-t"
    table = report_tables([group])["ensembles"].set_index(["split", "method", "k"])
    gain = table.loc[("test", "average", 5), "gain"]
    d = max(group.digits, 3)
    assert panel.caption.startswith(
        f"Averaging the predictions of 5 runs gives {gain:+.{d}f} over a mean run, which has "
    )
    assert "on the test set; a majority vote of 5 gives " in panel.caption
    assert "flatters" not in panel.caption
    layers = [layer["encoding"].get("y", {}).get("title") for layer in panel.spec["layer"]]
    assert set(layers) == {"accuracy on the test set"}


def test_without_a_test_set_the_best_run_is_flattered() -> None:
    (section,), _ = filled(dataclasses.replace(study(), test_predictions=None))
    assert section.panels[0].caption.endswith(
        "Without a test set the best run is scored on the examples that chose it, which flatters it."
    )


def test_without_predictions_there_is_no_word() -> None:
    sections, group = filled(plain())
    assert sections == []
    assert "ensembles" not in report_tables([group])


def test_an_unknown_metric_is_named() -> None:
    made = study()
    runs = made.runs.assign(metric="bleu")
    (section,), _ = filled(dataclasses.replace(made, runs=runs))
    assert not section.panels
    assert section.missing[0].startswith("t: the metric 'bleu' can't be computed from predictions")


def test_the_answer_in_words() -> None:
    """Random choices, an interval, a metric that falls, runs without predictions."""
    made = study()
    ((key, part),) = made.groups()
    runs = part.runs.assign(metric="rmse", higher_is_better=False)
    group = GroupResults(key, "t", "t", dataclasses.replace(part, runs=runs))
    row = {"k": 5, "split": "test", "mean_run": 0.7, "exact": False, "subsets": 1000, "n_runs": 5}
    limits = {"gain_lower": [0.004, np.nan], "gain_upper": [0.02, np.nan], "se": [0.00021, 0.0]}
    group.tables["ensembles"] = pd.DataFrame(
        {**row, "method": ["average", "best"], "gain": [0.012, -0.006], **limits}
    ).assign(exact=[False, True])
    assert ensembles_caption(group) == (
        "Averaging the predictions of 5 runs gives +0.012 (95% interval +0.004 to +0.020) over a mean "
        "run, which has 0.700 on the test set; choosing the best of 5 on the validation set gives "
        "-0.006. A gain is a lower rmse. Averages and votes are over 1,000 random choices of 5 runs, "
        "with a standard error of 0.0002. 1 run without finite predictions is left out."
    )
