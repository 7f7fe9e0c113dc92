"""A report on test scores, and test scores in a report on validation scores."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from analysis.data.score_table import read_table
from analysis.data.study import Score
from analysis.planning.answers import Questions, plan_answers
from analysis.report.answers import answer_text, overview
from analysis.report.contents import CONTENTS
from analysis.report.facts import answer_facts
from analysis.report.results.choosing import choosing_tables
from analysis.report.results.choosing_answer import (
    both_caption,
    choosing_caption,
    choosing_facts,
    evaluations_caption,
)
from analysis.report.results.group_results import GroupResults, analyse_group
from analysis.report.results.paper_tables import paper_tables
from analysis.report.results.report_results import ReportResults
from analysis.report.results.tables import report_tables
from analysis.report.sections.section import Section, fill_sections
from tests.suites.made_studies import MAJORITY, long_table

SHOWN = ("scores", "grids", "choosing", "early-stopping")


def table() -> pd.DataFrame:
    made = long_table(a=3, b=3, evaluations=3)
    runs = made["run"].drop_duplicates()
    test = pd.Series(np.linspace(0.6, 0.7, len(runs)), index=runs)
    return made.assign(test_score=made["run"].map(test))


def filled(score: Score) -> tuple[dict[str, Section], GroupResults]:
    study = read_table(table(), metric="accuracy", majority=MAJORITY, score=score)
    ((key, part),) = study.groups()
    group = analyse_group(key, "rte", "rte", part, np.random.SeedSequence(0))
    outlines = tuple(outline for outline in CONTENTS if outline.anchor in SHOWN)
    sections = fill_sections(outlines, ReportResults(study, [group]))
    return {section.anchor: section for section in sections}, group


def test_test_scores_stand_beside_validation_scores() -> None:
    sections, _ = filled("best")
    stems = [panel.stem for panel in sections["scores"].panels]
    assert stems[:2] == ["scores-rte", "test-scores-rte"]
    dev, test = (json.dumps(panel.spec) for panel in sections["scores"].panels[:2])
    assert "accuracy on the test set" in test
    assert "accuracy on the test set" not in dev
    # The majority classifier is that of the validation set.
    assert "majority 0.527" in dev
    assert "majority" not in test
    text = "Mean test scores, validation scores in parentheses: 0.650 ("
    assert sections["scores"].panels[1].caption.startswith(text)
    choosing = sections["choosing"]
    assert [panel.stem for panel in choosing.panels] == ["choosing-rte"]
    # Once, whatever the number of groups.
    (missing,) = choosing.missing
    assert "no price of choosing an evaluation: no run has a test score at every" in missing
    assert "although" not in sections["grids"].lead + sections["early-stopping"].lead


def chosen(rows: pd.DataFrame) -> GroupResults:
    """A group with its tables of the price of choosing alone."""
    ((key, part),) = read_table(rows, metric="accuracy", majority=MAJORITY).groups()
    group = GroupResults(key, "rte", "rte", part)
    streams = [np.random.default_rng(i) for i in range(2)]
    for name, make in choosing_tables(group.runs, part.curves, streams, False).items():
        group.attempt(name, make)
    return group


def test_choosing_among_evaluations_stands_beside_choosing_among_seeds() -> None:
    made = table()
    group = chosen(made.assign(test_score=made["score"] - 0.01))
    evaluations, both = (group.tables[f"choosing_{name}"] for name in ("evaluations", "both"))
    last, best = evaluations.iloc[0], evaluations.iloc[-1]
    gain = best["expected_dev"] - last["expected_dev"]
    assert len(evaluations) == 3
    caption = evaluations_caption(group)
    assert (
        f"best of 3 evaluations within a run, in place of the last, promises {gain:+.3f}" in caption
    )
    assert f": {best['expected_dev']:.3f} on the validation set and" in caption
    assert evaluations["gap"].to_numpy() == pytest.approx(0.01)
    gain = both["expected_dev"][4] - last["expected_dev"]
    text = f"in place of the mean run at its last, promises {gain:+.3f} and delivers {gain:+.3f} "
    assert text in both_caption(group)
    tables = report_tables([group])
    assert len(tables["choosing_both"]) == len(tables["choosing"]) == 9


def test_every_kind_of_choosing_has_a_figure_of_promise_and_delivery() -> None:
    made = table()
    group = chosen(made.assign(test_score=made["score"] - 0.01))
    outlines = tuple(outline for outline in CONTENTS if outline.anchor == "choosing")
    (section,) = fill_sections(outlines, ReportResults(group.study, [group]))
    assert [p.stem for p in section.panels] == [
        "choosing-rte",
        "choosing-evaluations-rte",
        "choosing-both-rte",
    ]
    assert section.missing == []
    for panel, unit in zip(section.panels, ("runs", "evaluations", "runs"), strict=True):
        text = json.dumps(panel.spec)
        assert f"number of {unit} n" in text
        assert "on the validation set" in text
        assert ("at its last evaluation, on the test set" in text) == (panel != section.panels[0])


def test_the_answer_and_the_table_of_answers_state_the_price_of_choosing() -> None:
    group = chosen(table())
    facts = answer_facts(group)
    rows = group.tables["choosing"].set_index("n")
    promised = rows["expected_dev"][5] - rows["expected_dev"][1]
    delivered = rows["expected_test"][5] - rows["mean_test"][1]
    assert facts["choosing"] == pytest.approx(
        {"n": 5, "promised": promised, "delivered": delivered}
    )
    sentence = answer_text(group, facts)[-1]
    assert sentence == (
        f"Choosing among 5 runs by the validation score promises {promised:+.3f} and delivers "
        f"{delivered:+.3f} on the test set."
    )
    assert choosing_caption(group).startswith(sentence)
    (cell,) = overview([facts], ["rte"])["choosing promises, delivers on test"]
    assert cell == f"{promised:+.3f}, {delivered:+.3f} (n = 5)"
    group.tables.clear()
    assert choosing_facts(group) == {}
    assert "choosing promises, delivers on test" not in overview([answer_facts(group)], ["rte"])


def test_a_report_on_test_scores_says_what_is_about_the_validation_set() -> None:
    sections, group = filled("test")
    assert [p.stem for p in sections["scores"].panels] == ["scores-rte", "failures"]
    assert "noise floor in the tables is that of the validation set" in sections["scores"].lead
    for anchor in ("grids", "early-stopping"):
        assert "Scores over training are those of the validation set" in sections[anchor].lead
    assert not sections["choosing"].panels
    assert sections["choosing"].missing == [
        "rte: the price of choosing sets the validation score of a chosen run beside its test score, "
        "but the report is on test scores. Choose by the validation score: --score best or --score "
        "final."
    ]
    facts = answer_facts(group)
    assert (facts["score"], facts["mean"]) == ("test", pytest.approx(0.65))
    best = group.tables["expected_max"]
    assert set(best["schedule"]) == {"final"}
    assert best["unbiased"].iloc[-1] == pytest.approx(0.7)
    captions = {paper.name: paper.caption for paper in paper_tables([group], {})}
    assert captions["means"].endswith("Scores are those of the test set.")
    assert "test set" not in captions["failure_rates"]


def test_without_test_scores_there_is_no_word_about_choosing() -> None:
    study = read_table(table().drop(columns="test_score"), metric="accuracy", majority=MAJORITY)
    ((key, part),) = study.groups()
    group = GroupResults(key, "rte", "rte", part)
    outlines = tuple(outline for outline in CONTENTS if outline.anchor == "choosing")
    assert fill_sections(outlines, ReportResults(study, [group])) == []


def test_a_plan_on_test_scores_spends_the_budget_by_validation_scores() -> None:
    study = read_table(table(), metric="accuracy", score="test")
    pilot, budget = plan_answers(Questions(budget=3), study)
    assert pilot.startswith("pilot of 9 runs, accuracy on the test set 0.65")
    assert budget.startswith("by validation scores, a budget of 3 full trainings")


def test_the_best_scores_of_a_table_without_curves_are_the_richest_schedule() -> None:
    """Each run's best score is the best of its evaluations, so the best of n knows it too."""
    runs = table().drop_duplicates("run").drop(columns=["fraction", "epoch"])
    runs = runs.assign(best_score=0.8, final_score=runs["score"])
    study = read_table(runs, metric="accuracy", majority=MAJORITY)
    ((key, part),) = study.groups()
    group = analyse_group(key, "rte", "rte", part, np.random.SeedSequence(0))
    best = group.tables["expected_max"].set_index(["schedule", "n"])["unbiased"]
    assert best["every", 1] == pytest.approx(0.8)
    assert best["final", 1] == pytest.approx(runs["score"].mean())


def test_stopped_runs_without_a_test_score_are_never_the_best() -> None:
    runs = table().assign(status=lambda t: np.where(t["run"] == "0-0", "stopped", "finished"))
    runs.loc[runs["run"] == "0-0", "test_score"] = np.nan
    study = read_table(runs, metric="accuracy", majority=MAJORITY, score="test")
    ((key, part),) = study.groups()
    group = GroupResults(key, "rte", "rte", part)
    text = answer_text(group, answer_facts(group))
    assert text[1].startswith("The best of all 8 scored runs has accuracy 0.700 (init 2, order 2)")
