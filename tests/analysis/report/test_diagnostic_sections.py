"""Sections of a report that appear where the diagnostics are."""

import json

import pandas as pd

from analysis.data.labels import group_labels
from analysis.data.study import Study
from analysis.report import write_report
from analysis.report.contents import CONTENTS
from analysis.report.results.group_results import GroupResults, analyse_training
from analysis.report.results.report_results import ReportResults
from analysis.report.sections.section import fill_sections
from tests.suites.made_diagnostics import DEPTHS, line, plane, watched
from tests.suites.made_studies import complete, curved


def test_the_report_shows_what_was_recorded(tmp_path):
    write_report(
        watched(),
        tmp_path,
        surfaces=[plane(), plane().assign(failed="gone")],
        barriers=[line(), line().assign(second="gone")],
    )
    summary = json.loads((tmp_path / "summary.json").read_text())
    wanted = {
        "distances-rte", "moving-rte", "moving-rte-failed", "gradients-rte",
        "gradients-rte-failed", "cka-rte", "svcca-rte", "procrustes-rte", "surface-1",
        "barrier-1-loss", "barrier-1-score",
        "correction-0-9-0-999-20-2", "ends-rte",
    }  # fmt: skip
    assert wanted <= set(summary["figures"])
    text = (tmp_path / "report.html").read_text()
    assert "Update 1 is 3.2 times too long, update 12 6.6 times" in text
    assert summary["missing"]["Loss surfaces"] == [
        "surface 2: the runs gone and 0-4 are not in the study."
    ]
    assert summary["missing"]["Between two runs"] == [
        "line 2: the runs 0-0 and gone are not in the study."
    ]
    assert "From init 0, order 0 to init 1, order 1. The loss on 50 training examples" in text
    tables = {path.stem for path in (tmp_path / "tables").iterdir()}
    assert {"distances", "gradient_norms", "distances_over_steps", "similarity"} <= tables
    read = pd.read_csv(tmp_path / "tables" / "similarity.csv")
    assert set(read["task"]) == {"rte"}
    assert len(read) == (DEPTHS - 1) * 36


def sections_of(study):
    """The report's sections on training and on the network, by title."""
    labels = group_labels(study)
    groups = [GroupResults(key, labels[key], labels[key], part) for key, part in study.groups()]
    for group in groups:
        analyse_training(group)
    outlines = tuple(o for o in CONTENTS if o.anchor == "losses" or o.optional)
    filled = fill_sections(outlines, ReportResults(study, groups))
    return {section.title: section.missing for section in filled}


def test_without_diagnostics_there_are_no_such_sections_and_one_hint():
    missing = sections_of(complete(a=2, b=2))
    assert list(missing) == ["Training losses"]
    (hint,) = missing["Training losses"]
    assert "diagnostics.distances=true diagnostics.gradient_norms=10" in hint
    # A table of scores from elsewhere has no losses either, and no use for the hint.
    elsewhere = sections_of(curved())["Training losses"]
    assert all("diagnostics" not in text for text in elsewhere)


def test_recipes_that_recorded_nothing_are_named_beside_those_that_did():
    study = watched(recipes=("a", "b"))
    kept = set(study.runs.loc[study.runs["recipe"] == "a", "run"])
    part = Study(
        study.runs,
        steps=study.steps,
        profiles=study.profiles.loc[study.profiles["run"].isin(kept)],
        representations=study.representations.loc[study.representations["run"].isin(kept)],
    )
    missing = sections_of(part)
    assert missing["Layer by layer"] == [
        "rte, b: no distances; train with diagnostics.distances=true.",
        "rte, b: no gradient norms; train with diagnostics.gradient_norms=10.",
    ]
    assert missing["Representations of two runs"][0].startswith("rte, b: no representations were")
    assert not any("diagnostics" in text for text in missing["Training losses"])
