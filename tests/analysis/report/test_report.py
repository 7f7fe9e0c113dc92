"""The report: promised files and columns, answers that follow from the data, nothing unescaped."""

import dataclasses
import itertools
import json
import math
import re
import time

import numpy as np
import pandas as pd
import pytest

from analysis.best_of_n.expected_max import expected_max
from analysis.best_of_n.expected_max_table import COLUMNS as BEST
from analysis.best_of_n.expected_max_table import tabulated_ns
from analysis.comparison.compare import compare
from analysis.data.score_table import read_table
from analysis.data.seed_design import TOGETHER
from analysis.data.study import Study, concat_studies
from analysis.ensembles.table import COLUMNS as ENSEMBLES
from analysis.errors import OptionError, TableError
from analysis.report import useful_workers, write_report
from analysis.report.answers import answer_text
from analysis.report.facts import answer_facts, mean_difference
from analysis.report.html.embed import columnar, script_json
from analysis.report.html.page import _runs_table, runs_frame
from analysis.report.panels.grids import GridHeatmap
from analysis.report.panels.scores import BARS
from analysis.report.panels.variance import ExtremeSeeds, SeedRanking, VarianceShares
from analysis.report.results.group_results import (
    GroupResults,
    analyse_group,
    perfect_score,
    shuffles_for,
)
from analysis.report.results.report_results import ReportResults
from analysis.report.sections.part import Missing, Panel
from analysis.report.sections.section import Outline, Section
from analysis.report.write import gathered
from analysis.stopping.value import COLUMNS as STOPPING
from analysis.variance.components import variance_components
from analysis.variance.grid_mean import grid_mean
from tests.suites.made_studies import complete, curved, plain

EVIL, HOSTILE = "<script>alert(1)</script>", "it's & <b>"


def analysed(study, seed=0):
    key, part = next(iter(study.groups()))
    return analyse_group(key, key.task, "stem", part, np.random.SeedSequence(seed))


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """A report with every section: two tasks (one of a hostile name), two recipes."""
    folder = tmp_path_factory.mktemp("full")
    several = complete(a=3, b=3, tasks=("rte", EVIL), recipes=("devlin", HOSTILE))
    kept = several.runs.loc[(several.runs["recipe"] == "devlin") | (several.runs["task"] == "rte")]
    study = dataclasses.replace(several, runs=kept.reset_index(drop=True))
    parts = [study.subset(task=task) for task in ("rte", EVIL)]
    write_report(concat_studies(parts), folder, source="<i>studies</i>")
    return folder


def test_every_promised_file_is_there(full):
    assert {p.name for p in full.iterdir()} == {"report.html", "summary.json", "figures", "tables"}
    figures = {p.name for p in (full / "figures").iterdir()}
    stems = {name.rsplit(".", 1)[0] for name in figures}
    assert figures == {f"{stem}.{kind}" for stem in stems for kind in ("svg", "pdf", "png")}
    kinds = ("heatmap", "curves", "variance", "seeds", "extremes", "expected-max", "stopping")
    for kind in (*kinds, "ensembles"):
        assert f"{kind}-rte-devlin" in stems
    assert {"failures", "instability", "comparison-recipe", "best-of-rte", "profile-1"} <= stems
    assert json.loads((full / "summary.json").read_text())["figures"]


def test_tables_have_exactly_the_promised_columns(full, tmp_path):
    promised = {"expected_max": BEST, "early_stopping": STOPPING, "ensembles": ENSEMBLES}
    for name, columns in promised.items():
        assert pd.read_csv(full / "tables" / f"{name}.csv").columns.tolist() == columns
    write_report(plain(2, 2), tmp_path)
    empty = pd.read_csv(tmp_path / "tables" / "early_stopping.csv")
    assert empty.columns.tolist() == STOPPING
    assert empty.empty


def test_html_is_one_file_that_asks_for_nothing(full):
    text = (full / "report.html").read_text()
    assert "<link" not in text
    # Beyond the scripts, which hold the texts of libraries.
    bare = re.sub(r"<(script|style)\b.*?</\1>", "", text, flags=re.DOTALL)
    assert not re.search(r"<img|@import|https?://", bare)
    assert not re.search(r"<script[^>]+src=", text)
    assert "default-src 'none'" in text
    # Links to its own files are relative; the figures it names exist.
    named = set(re.findall(r'href="(figures/[^"]+)"', text))
    assert named == {f"figures/{p.name}" for p in (full / "figures").iterdir()}


def test_everything_from_tables_is_escaped(full):
    text = (full / "report.html").read_text()
    assert BARS in text
    assert EVIL not in text
    assert "<i>studies" not in text
    assert HOSTILE not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text  # In the text,
    assert "\\u003cscript\\u003ealert(1)" in text  # and in the figures' data.
    svg = (full / "figures" / "failures.svg").read_text()
    assert EVIL not in svg
    assert "&lt;script&gt;" in svg


def test_same_input_and_seed_give_the_same_tables():
    study = curved()
    first, second, other = (analysed(study, seed).tables for seed in (0, 0, 1))
    for name, table in first.items():
        pd.testing.assert_frame_equal(table, second[name], obj=name)
    assert not first["published_tests"].equals(other["published_tests"])


@pytest.mark.slow
def test_two_processes_give_the_same_tables(tmp_path):
    study = curved(a=3, b=3, evaluations=3, tasks=("rte", "mrpc"))
    for workers in (1, 2):
        write_report(study, tmp_path / str(workers), workers=workers)
    first, second = (
        {p.name: p.read_bytes() for p in (tmp_path / w / "tables").iterdir()} for w in "12"
    )
    assert first == second
    assert useful_workers(study) == 1


def test_answer_states_the_numbers_of_the_data():
    study = curved(a=5, b=5)
    found = analysed(study)
    facts = answer_facts(found)
    scores = study.runs["score"]
    pairs = np.abs(np.subtract.outer(scores.to_numpy(), scores.to_numpy()))
    seeds = study.runs[["init_seed", "order_seed"]].to_numpy()
    apart = (seeds[:, None] != seeds[None]).all(axis=2)
    assert facts["mean_difference_of_two_runs"] == pytest.approx(pairs[apart].mean())
    one, five = expected_max(scores, [1, 5])
    # From the spread of the grid's runs to that of runs that share no seed: the components' sum.
    parts = variance_components(study, interval=None).query("subset == 'all runs'")["variance"]
    scale = parts.sum() ** 0.5 / scores.std()
    assert facts["gain_of_best_of_5"] == pytest.approx(scale * (five - one))
    assert facts["n_failed"] == 1
    assert facts["shares"]["init"][0] + facts["shares"]["order"][0] <= 1
    plan = facts["early_stopping"]
    table = found.tables["early_stopping"].set_index("budget")
    assert plan["expected_best"] == table.loc[plan["budget"], "expected_best"]
    # What is saved: the smallest budget that the halves of the runs confirm, else nothing.
    saves = found.tables["saving"].set_index("budget")["saves"]
    assert plan["budget_with_stopping"] == min([*saves.index[saves], plan["budget"]])
    words = " ".join(answer_text(found, facts))
    grid = grid_mean(scores.to_numpy().reshape(5, 5))
    assert (
        f"{scores.mean():.3f} on average (95% interval {grid.lower:.3f} to {grid.upper:.3f}) with a "
        f"standard deviation of {scores.std():.3f}" in words
    )
    # One failure makes all mean squares .04: Wilson's interval of .96 in 24 runs, t with 16 df.
    assert "1 run of 25 failed (4.0%, 95% interval 0.6% to 22%)" in words
    assert "Init accounts for" in words


def test_mean_difference_is_that_of_pairs_that_share_no_seed():
    rng = np.random.default_rng(3)
    seeds = rng.integers(0, 3, size=(30, 2))
    runs = pd.DataFrame(seeds, columns=["init_seed", "order_seed"]).assign(
        score=rng.normal(size=30)
    )
    pairs = [
        abs(a.score - b.score)
        for a, b in itertools.combinations(runs.itertuples(), 2)
        if a.init_seed != b.init_seed and a.order_seed != b.order_seed
    ]
    assert mean_difference(runs) == pytest.approx(np.mean(pairs))
    one_init = runs.assign(init_seed=0)
    every = [abs(x - y) for x, y in itertools.combinations(runs["score"], 2)]
    assert mean_difference(one_init) == pytest.approx(np.mean(every))
    assert math.isnan(mean_difference(runs.iloc[:1]))


def test_answer_of_few_runs():
    one = analysed(plain(1, 1))
    assert (
        "says nothing about the variation between seeds" in answer_text(one, answer_facts(one))[0]
    )
    row = plain(1, 4)
    words = " ".join(answer_text(analysed(row), answer_facts(analysed(row))))
    assert "shares of init and order in the variance are unknown" in words
    assert "at least 2 of each" in words


def test_seeds_that_move_together_have_no_grid_and_every_other_result():
    scores = np.linspace(0.4, 0.8, 12)
    table = pd.DataFrame({"task": "t", "seed": range(12), "score": scores, "failed": scores < 0.5})
    groups = [analysed(read_table(table.assign(recipe=name))) for name in ("a", "b")]
    assert list(runs_frame(groups[0].study.runs)) == ["seed", "score", "failed", "run"]
    group = groups[0]
    facts = answer_facts(group)
    assert facts["seeds_move_together"] is True
    assert "p_values" not in facts
    assert "unknown: init and order seeds move together" in " ".join(answer_text(group, facts))
    assert not any(part.applies(group) for part in (GridHeatmap(), SeedRanking(), ExtremeSeeds()))
    report = ReportResults(group.study, groups)
    for parts, note in (
        ((GridHeatmap(),), f"t: no heat map; {TOGETHER}"),
        (
            (VarianceShares(), SeedRanking(), ExtremeSeeds()),
            f"t: no variance shares with intervals; {TOGETHER}",
        ),
    ):
        section = Outline("x", "x", "", parts).fill(report)
        assert (section.panels, section.missing) == ([], [note])
    assert {"failure", "expected_max"} <= set(group.tables)
    assert not {"seed_means", "extremes", "tests", "published_tests"} & set(group.tables)
    pairs = compare(concat_studies([g.study for g in groups]), np.random.default_rng(0))
    assert pairs["n_pairs"].tolist() == [12]


def test_what_is_missing_is_said(tmp_path):
    write_report(plain(), tmp_path)
    missing = json.loads((tmp_path / "summary.json").read_text())["missing"]
    assert "no evaluations during training" in missing["Early stopping"][0]
    assert "no training losses" in missing["Training losses"][0]
    assert "no curves" in missing["The grids"][0]
    assert "No predictions are stored" in missing["Where predictions differ"][0]
    assert "one recipe and one model" in missing["Recipes and models compared"][0]
    text = (tmp_path / "report.html").read_text()
    # Nothing is explained that is not drawn.
    assert BARS not in text
    assert "highlighted" not in text
    assert text.count("Not shown:") == len(missing)
    assert "unjudged failures" in text


@pytest.mark.parametrize("recipes", [("a",), ("a", "b")])
def test_nothing_is_estimated_from_runs_that_were_chosen_by_their_scores(tmp_path, recipes):
    """The stopped runs' curves are known up to the decision, and that is what is said."""
    study = curved(recipes=recipes)
    runs, curves = study.runs.copy(), study.curves
    mine = runs["recipe"] == recipes[-1]
    half = curves.loc[curves["fraction"] <= 0.5]
    best = half.groupby("run")["score"].max()
    going = best.loc[runs.loc[mine, "run"]].nlargest(4).index
    stopped = mine & ~runs["run"].isin(going)
    runs.loc[stopped, ["status", "complete"]] = ["stopped", False]
    curves = pd.concat(
        [
            half,
            curves.loc[(curves["fraction"] > 0.5) & ~curves["run"].isin(runs.loc[stopped, "run"])],
        ]
    )
    write_report(Study(runs, curves), tmp_path)
    summary = json.loads((tmp_path / "summary.json").read_text())
    facts = summary["groups"][-1]
    assert (facts["n_runs"], facts["n_incomplete"]) == (0, 12)
    assert "mean" not in facts
    assert facts["at_the_decision"]["runs"] == 16
    then = best.loc[runs.loc[mine, "run"]]
    assert facts["at_the_decision"]["mean"] == pytest.approx(then.mean(), abs=1e-12)
    assert facts["at_the_decision"]["max"] == then.max()
    words = " ".join(list(summary["answer"].values())[-1])
    assert "12 of 16 runs were stopped early, chosen by their scores" in words
    assert "are a selected sample" in words
    assert "one draw from this policy" in words
    assert "stopped runs" in {w["rule"] for w in summary["warnings"]}
    written = {path.stem for path in (tmp_path / "tables").glob("*.csv")}
    if recipes == ("a",):
        assert not written & {"variance", "failure_rates", "seed_means", "tests", "final_losses"}
        for name in ("expected_max", "early_stopping"):
            assert pd.read_csv(tmp_path / "tables" / f"{name}.csv").empty
    assert not written & {"comparison_recipe"}


def test_a_group_without_any_complete_run(tmp_path):
    study = curved(recipes=("a", "b"))
    runs = study.runs.copy()
    runs.loc[runs["recipe"] == "b", ["status", "complete"]] = ["running", False]
    write_report(Study(runs, study.curves), tmp_path)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["answer"]["rte, b"] == [
        "No run was trained to its end, so nothing can be estimated."
    ]


def test_lower_is_better(tmp_path):
    frame = plain().runs[["task", "init_seed", "order_seed", "score"]]
    study = read_table(frame, metric="loss", higher_is_better=False)
    found = analysed(study)
    assert perfect_score(found) == 0.0
    assert "lowers the score" in answer_text(found, answer_facts(found))[0]


def test_perfect_score_of_percentages_and_of_open_scales():
    for factor, perfect in ((1.0, 1.0), (100.0, 100.0), (1000.0, None)):
        study = plain()
        runs = study.runs.assign(score=study.runs["score"] * factor)
        score = perfect_score(GroupResults(study.group_keys()[0], "t", "t", Study(runs)))
        assert score == perfect if perfect else np.isnan(score)


def test_models_are_told_apart_in_tables_without_a_column_for_them(tmp_path):
    parts = [plain(3, 3).runs.assign(model=m, run=lambda r, m=m: m + r["run"]) for m in "ab"]
    write_report(Study(pd.concat(parts, ignore_index=True)), tmp_path)
    table = pd.read_csv(tmp_path / "tables" / "expected_max.csv")
    assert set(table["recipe"]) == {"default (a)", "default (b)"}


def test_warnings_of_several_groups_are_gathered():
    from analysis.data.warnings import study_warnings

    study = curved(recipes=("a", "b"), a=3)
    labels = {key: key.recipe for key in study.group_keys()}
    found = gathered(study_warnings(study), labels)
    texts = [text for _, _, text in found]
    # Three init seeds and four order seeds in both groups: two texts, each once.
    assert [(rule, where) for rule, where, _ in found].count(("few levels", "")) == 2
    assert len(texts) == len(set(texts))


def test_an_empty_study_and_a_bad_seed_are_refused(tmp_path):
    study = plain()
    with pytest.raises(TableError, match="holds no run"):
        write_report(Study(study.runs.iloc[:0]), tmp_path)
    with pytest.raises(OptionError, match="seed is -1"):
        write_report(study, tmp_path, seed=-1)


def test_figures_of_many_groups_are_folded():
    for n, labels in ((4, [""]), (5, ["", *"01234"])):
        section = Section("a", "A")
        for k in range(n):
            section.add(Panel(f"x-{k}", "x", "", {}, fold=str(k)))
            section.add(Panel(f"y-{k}", "y", "", {}, fold=str(k)))
        section.add(Panel("all", "all", "", {}))
        assert [label for label, _ in section.folds()] == labels
        assert sum(len(panels) for _, panels in section.folds()) == 2 * n + 1
    assert section.first_fold() == 1
    assert [p.stem for p in dict(section.folds())["3"]] == ["x-3", "y-3"]


def test_groups_without_a_result_share_a_note():
    section = Section("a", "A")
    for k in range(5):
        section.add(Missing("no curves.", f"g{k}"))
    section.add(Missing("no losses.", "g1"))
    section.add(Missing("There is one task only."))
    assert section.missing == ["5 groups: no curves.", "g1: no losses.", "There is one task only."]


def test_only_a_long_table_of_runs_has_a_filter_and_pages():
    for rows, parts in ((15, []), (25, ["search"]), (30, ["search", "pageLength", "paging"])):
        [layout] = re.findall(r'"layout": ({.*?})', _runs_table(plain(1, rows).runs))
        for part in ("search", "pageLength", "paging"):
            assert (f'"{part}"' in layout) == (part in parts), rows


def test_effort_is_bounded_for_large_studies():
    assert [shuffles_for(n) for n in (4, 2_000, 20_000, 10**6)] == [9_999, 9_999, 1_000, 199]
    assert tabulated_ns(5_000).tolist() == list(range(1, 5_001))
    many = tabulated_ns(99_900)
    assert len(many) < 100
    assert many[-1] == 99_900


@pytest.mark.slow
def test_a_hundred_thousand_equal_scores(tmp_path):
    init, order = np.divmod(np.arange(300 * 333), 333)
    table = pd.DataFrame({"task": "t", "init_seed": init, "order_seed": order, "score": 0.5})
    study = read_table(table, majority=0.4)
    began = time.process_time()
    write_report(study, tmp_path)
    # 14 s; before the bounds, more than five minutes.
    assert time.process_time() - began < 60


def test_data_by_columns_are_the_same_data():
    records = [{"x": 1.5, "name": n, "gap": None} for n in ("a", "b", "a")]
    found = columnar(records)
    assert found["n"] == 3
    assert found["columns"]["name"] == {"levels": ["a", "b"], "at": [0, 1, 0]}
    assert found["columns"]["x"] == [1.5, 1.5, 1.5]
    assert columnar([]) == {"n": 0, "columns": {}}


def test_json_within_a_script_cannot_end_it():
    value = {"a": "</script><!-- &", "b": "\u2028"}
    text = script_json(value)
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == value
