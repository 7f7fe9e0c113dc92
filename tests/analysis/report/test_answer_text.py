"""The answer in sentences: nothing is stated that the data can't support."""

import json
import math
import re

import numpy as np
import pandas as pd
import pytest

from analysis.data.score_table import read_table
from analysis.data.study import Study
from analysis.report import write_report
from analysis.report.answers import answer_text, overview, spread_text
from analysis.report.facts import answer_facts
from analysis.report.panels.scores import failure_caption, floor_caption
from analysis.report.panels.stopping import RankCorrelations
from analysis.report.panels.variance import tests_caption as caption_of_tests
from analysis.report.panels.variance import variance_caption
from analysis.report.results.group_results import analyse_group
from tests.suites.made_studies import curved


def analysed(study):
    key, part = next(iter(study.groups()))
    return analyse_group(key, key.task, "stem", part, np.random.SeedSequence(0))


@pytest.fixture(scope="module")
def one_failed():
    """A group of 16 runs with curves, of which one failed."""
    return analysed(curved())


def seeds(a, b, score, **columns):
    """A table of scores on a x b cells."""
    init, order = np.divmod(np.arange(a * b), b)
    return pd.DataFrame(
        {"task": "t", "init_seed": init, "order_seed": order, "score": score} | columns
    )


def test_constant_scores_do_not_vary(tmp_path):
    """The mean of nine times 0.1 + 0.2 is rounded; neither it nor the sd is a finding."""
    score = 0.1 + 0.2
    write_report(read_table(seeds(3, 3, score), majority=score), tmp_path)
    summary = json.loads((tmp_path / "summary.json").read_text())
    answer = summary["answer"]["t"]
    assert "score does not vary: 9 runs" in answer[0]
    assert "9 runs of 9 failed" in answer[1]
    facts = summary["groups"][0]
    assert facts["sd"] == facts["mean_difference_of_two_runs"] == 0.0
    assert "mean_within" not in facts
    page = (tmp_path / "report.html").read_text()
    shown = re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)
    assert "-0.0" not in shown
    assert "e-1" not in shown
    assert "differ more than chance" not in shown
    assert "beyond chance" not in shown


def test_constant_scores_have_no_figure_of_rank_correlations():
    """One init seed, three orders, four evaluations: every correlation is undefined."""
    table = pd.concat([seeds(1, 3, 0.5, fraction=f, test_score=0.5) for f in (0.25, 0.5, 0.75, 1)])
    table["run"] = table["order_seed"].map("r{}".format)
    group = analysed(read_table(table, majority=0.5))
    assert group.tables["rank_correlation"]["spearman"].isna().all()
    assert not RankCorrelations().applies(group)


def test_the_group_that_fails_most_is_set_beside_those_that_its_interval_meets():
    table = pd.DataFrame(
        {
            "judged": True,
            "n_runs": 50,
            "n_failed": [34, 30, 0],
            "rate": [0.68, 0.6, 0.0],
            "lower": [0.54, 0.46, 0.0],
            "upper": [0.79, 0.72, 0.07],
        }
    )
    text = "a fails most, 34 of 50 runs; its interval "
    assert failure_caption(table, ["a", "b", "c"]) == f"{text}overlaps that of b."
    assert failure_caption(table.iloc[[0, 2]], ["a", "c"]) == f"{text}is above all others."
    near = pd.concat([table, table.iloc[[1]]], ignore_index=True)
    assert failure_caption(near, list("abcd")) == f"{text}overlaps that of 2 other groups."


def test_without_curves_the_best_of_n_is_of_the_scores_in_the_answer():
    table = seeds(2, 2, [0.5, 0.7, 0.6, 0.65], final_score=0.45)
    curve = analysed(read_table(table)).tables["expected_max"]
    most = curve[curve["schedule"] == "every"].set_index("n")["unbiased"]
    assert most[1] == pytest.approx(np.mean(table["score"]))
    assert most[4] == pytest.approx(np.max(table["score"]))


def test_two_by_two_seeds_state_no_share_and_no_verdict():
    found = analysed(read_table(seeds(2, 2, [0.5, 0.7, 0.6, 0.65]), majority=0.4))
    facts = answer_facts(found)
    words = " ".join(answer_text(found, facts))
    assert "can't be stated: a 2 x 2 grid gives no interval for them. Train at least 3" in words
    assert "accounts for" not in words
    assert "too few seeds for a permutation test, which can't give less than p = 0.5" in words
    assert facts["p_floors"] == {"init": 0.5, "order": 0.5}
    caption = caption_of_tests(found)
    assert (
        "The grid is too small to tell whether the init seeds differ: no arrangement of these scores "
        "gives a p-value below 0.5 (p = "
    ) in caption
    assert "chance" not in caption
    assert "estimates of unknown error: no jackknife interval" in variance_caption(found)
    assert overview([facts], ["t"])["init share"].tolist() == ["–"]
    assert spread_text([facts, facts]) == ""


def test_several_groups_have_a_headline_with_a_verb():
    one, other = (
        {"shares": {"init": [low, 0.0, 0.9], "order": [0.0, 0.0, 0.4]}} for low in (0.1, 0.3)
    )
    assert spread_text([one, other]) == (
        "Over 2 groups, init accounts for 10% to 30% of the variance of scores and order for 0%. "
        "These are estimates; each group has its intervals."
    )
    without = {"shares": {"init": [0.5, math.nan, math.nan], "order": [0.5, math.nan, math.nan]}}
    assert spread_text([one, other, without]).startswith("Over 2 of 3 groups, init accounts for")


def test_the_rest_is_noise_in_tables_from_elsewhere_alone():
    frame = seeds(4, 4, np.random.default_rng(0).random(16))
    words = {}
    for name, columns in (("elsewhere", {}), ("own", {"setting": "h", "dropout_seed": "follows"})):
        study = read_table(frame)
        extra = columns | ({"dropout_seed": study.runs["order_seed"]} if columns else {})
        found = analysed(Study(study.runs.assign(**extra)))
        words[name] = " ".join(answer_text(found, answer_facts(found)))
    assert "are interaction and run noise, which a grid without" in words["elsewhere"]
    assert "dropout" not in words["elsewhere"]
    assert "are interaction of the two seeds: a repeated run has the same bits" in words["own"]
    assert "share of order holds the dropout masks too" in words["own"]
    assert "run noise" not in words["own"]


def test_a_gain_is_printed_with_the_digits_that_show_it(one_failed):
    found, facts = one_failed, answer_facts(one_failed)
    plan = facts["early_stopping"] | {
        "expected_best": 0.83212,
        "baseline": 0.83206,
        "fraction": 0.5,
    }
    words = " ".join(answer_text(found, facts | {"early_stopping": plan}))
    assert "its expected best is 0.83212 against 0.83206 for plain runs" in words


def test_the_noise_floor_is_given_without_failed_runs_as_well(one_failed):
    found = one_failed
    row = found.tables["floor"].iloc[0]
    good = found.runs.loc[~found.runs["failed"], "final_score"]
    assert row["error_good"] == pytest.approx(1 - good.mean())
    assert row["floor_sd_good"] == pytest.approx(((1 - good.mean()) / (2 * 277)) ** 0.5)
    assert row["observed_sd_good"] == pytest.approx(good.std())
    assert row["floor_sd_good"] < row["floor_sd"]
    assert "of the 15 runs that did not fail" in floor_caption([found])
