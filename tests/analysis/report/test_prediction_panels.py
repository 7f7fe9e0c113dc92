"""The report's section on predictions: votes per example, shared seeds, clusters."""

import dataclasses

import numpy as np
import pytest
import vl_convert

from analysis.comparison.consistency import GOOD, example_table, flip_table
from analysis.data.study import concat_studies
from analysis.figures.predictions.votes import MOST_LEVELS, votes_figure
from analysis.figures.theme import spec_of
from analysis.report.contents import CONTENTS
from analysis.report.panels.predictions.disagreement import shared_seeds_caption
from analysis.report.panels.predictions.examples import MOST_SHOWN, flip_caption
from analysis.report.results.group_results import GroupResults, instability
from analysis.report.results.report_results import ReportResults
from analysis.report.sections.section import fill_sections
from tests.analysis.comparison.test_consistency import made, predicted
from tests.suites.made_studies import complete, with_predictions


def section(study):
    """The section on predictions of a study whose other results are not computed."""
    groups = []
    for key, part in study.groups():
        group = GroupResults(key, f"{key.task}, {key.recipe}", f"{key.task}-{key.recipe}", part)
        group.attempt("instability", lambda part=part: instability(part))
        groups.append(group)
    outlines = tuple(outline for outline in CONTENTS if outline.anchor == "predictions")
    (filled,) = fill_sections(outlines, ReportResults(study, groups))
    return filled


@pytest.fixture(scope="module")
def filled():
    study = complete(a=3, b=3, recipes=("devlin", "debiased"))
    numbers = with_predictions(np.random.default_rng(0).standard_normal((4, 30, 1)), np.zeros(30))
    about = study.predictions.assign(
        cluster=study.predictions["example"].map(lambda n: f"p{n % 10}"),
        text=study.predictions["example"].map(lambda n: f"<b>text {n} " + "word " * 60),
    )
    return section(concat_studies([dataclasses.replace(study, predictions=about), numbers]))


def test_the_section_has_its_figures_and_tables(filled):
    assert [panel.stem for panel in filled.panels] == [
        "instability", "shared-seeds", "examples-rte-devlin", "examples-rte-debiased",
        "examples-t-default",
    ]  # fmt: skip
    assert {"examples", "flips", "disagreement_by_seeds"} <= set(filled.files)
    examples = filled.files["examples"]
    assert examples.columns[:8].tolist() == [
        "task", "model", "recipe", "example", "cluster", "text", "label", "n_runs"
    ]  # fmt: skip
    assert len(examples) == 90
    assert examples.loc[examples["task"] == "t", "sd_prediction"].notna().all()
    assert "at least a quarter of the runs are right" in filled.lead
    for panel in (filled.panels[1], filled.panels[2], filled.panels[4]):
        assert vl_convert.vegalite_to_svg(panel.spec)


def test_the_most_divided_examples_are_on_the_page(filled):
    tables = dict(filled.tables)
    listed = tables["rte, devlin: the examples on which the runs differ most"]
    assert len(listed) == MOST_SHOWN
    assert listed["text"].str.len().max() <= 160
    assert listed["entropy of the votes (bits)"].is_monotonic_decreasing
    boot = tables["Multi-bootstrap over seeds and clusters of examples (recipes)"]
    assert boot["clusters"].iloc[0] == 10
    assert float(boot["standard error over clusters"].iloc[0]) > 0


def test_the_sentence_has_the_numbers_of_the_table():
    logits, labels = made(kinds=2)
    row = flip_table(predicted(logits, labels)).iloc[0]
    text = flip_caption(flip_table(predicted(logits, labels)))
    assert text.startswith(f"{100 * row['share']:.0f}% of 40 examples flip: at least a quarter of")
    assert f"instead of {100 * row['disagreement']:.0f}%" in text
    assert f"accuracy over runs is {row['sd_accuracy_without']:.3f} instead of" in text
    failed = [True] * 3 + [False] * 6
    assert "Failed runs are left out; with them" in flip_caption(
        flip_table(predicted(logits, labels, failed))
    )
    assert "Without them" not in flip_caption(flip_table(predicted(logits[:4], labels)))
    same = np.repeat(logits[:1], 3, axis=0)
    right = (logits[0].argmax(axis=1) == labels).mean()
    assert flip_caption(flip_table(predicted(same, labels))) == (
        "None of 40 examples flips over 3 runs. Two runs disagree on 0% of them. All runs are right "
        f"on {100 * right:.0f}% and wrong on {100 * (1 - right):.0f}%."
    )


def test_seeds_that_do_not_matter_are_not_said_to(filled):
    assert "Runs that share a seed are not shown to agree more" in filled.panels[1].caption
    table = filled.files["disagreement_by_seeds"]
    table = table.loc[table["task"] == "rte"].iloc[:3].reset_index(drop=True)
    table["disagreement"] = [0.2, 0.1, 0.19]
    table["difference_upper"] = [np.nan, -0.05, 0.02]
    table["difference_lower"] = [np.nan, -0.15, -0.03]
    table["difference"] = table["disagreement"] - 0.2
    assert shared_seeds_caption([("rte", table)]).startswith(
        "On rte, two runs that share the init seed differ on 10% of the examples, two runs without "
        "a common seed on 20%."
    )
    few = table.assign(difference_lower=np.nan, difference_upper=np.nan, of=GOOD)
    assert shared_seeds_caption([("rte", few)]) == (
        "There are too few seeds for intervals. Failed runs are left out."
    )
    text = shared_seeds_caption([("rte", table), ("sst2", few)])
    assert "1 group has too few seeds for intervals." in text


def test_a_line_has_a_bounded_number_of_levels():
    generator = np.random.default_rng(0)
    logits = generator.standard_normal((3, 2000, 2))
    table = example_table(predicted(logits, np.zeros(2000)))
    table["share_correct"] = generator.random(2000)
    spec = spec_of(votes_figure(table))
    assert max(len(rows) for rows in spec["datasets"].values()) == 2 * MOST_LEVELS
