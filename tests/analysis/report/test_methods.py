"""The paragraph on methods: its numbers are those of the tables, and it cites what was used."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pandas as pd
import pytest

from analysis.data.score_table import read_table
from analysis.data.study import Study
from analysis.report.methods.paragraph import Paragraph, methods
from analysis.report.methods.sources import SOURCES
from analysis.report.results.group_results import GroupResults, analyse_group
from analysis.report.results.tables import report_tables
from tests.suites.made_studies import curved, plain


def groups_of(study: Study) -> list[GroupResults]:
    seed = np.random.SeedSequence(0)
    return [analyse_group(k, k.recipe, k.recipe, part, seed) for k, part in study.groups()]


@pytest.fixture(scope="module")
def grid() -> list[GroupResults]:
    return groups_of(curved(a=3, b=3, recipes=("a", "b"), evaluations=2))


@pytest.fixture(scope="module")
def alone() -> list[GroupResults]:
    """Runs of a script with one seed: no grid, no curves, no majority."""
    scores = 0.6 + 0.01 * np.random.default_rng(3).standard_normal(8)
    return groups_of(read_table(pd.DataFrame({"task": "t", "seed": range(8), "score": scores})))


def keys(found: Paragraph) -> list[str]:
    return [source.key for source in found.sources]


def test_the_numbers_are_those_of_the_tables(grid: list[GroupResults]) -> None:
    tables = report_tables(grid)
    text = methods(grid, tables, 999).text
    n = tables["means"]["n_runs"]
    assert f"We analysed {n.sum()} runs" in text
    assert f", {n[0]} for each of {len(n)} settings" in text
    assert "(3 x 3 seeds)" in text
    failed = tables["failure_rates"][["n_failed", "n_runs"]].sum()
    assert f"{failed['n_failed']} of {failed['n_runs']} runs. Failed runs count" in text
    assert "(999 shuffles" in text
    assert "(accuracy) is its best evaluation" in text


def test_the_score_is_named(grid: list[GroupResults]) -> None:
    group = grid[0]
    final = dataclasses.replace(group.study, score="final")
    found = methods([GroupResults(group.key, "", "", final, tables=group.tables)], {}, 1).text
    assert "The score of a run (accuracy) is its last evaluation on the validation set." in found


def test_the_rule_of_failure_is_the_recorded_one(grid: list[GroupResults]) -> None:
    group, tables = grid[0], report_tables(grid)
    assert "beat the majority classifier: " in methods(grid, tables, 1).text
    runs = group.study.runs.assign(failed_rule="chance")
    other = GroupResults(group.key, "", "", dataclasses.replace(group.study, runs=runs))
    assert "classifier or its own predictions, shuffled" in methods([other], tables, 1).text


def test_a_method_that_was_not_used_is_not_cited(
    grid: list[GroupResults], alone: list[GroupResults]
) -> None:
    tables = report_tables(grid)
    used = keys(methods(grid, tables, 999))
    assert used[:2] == ["dodge2020", "wilson1927"]
    assert {"satterthwaite1946", "henderson1953", "tang2020"} <= set(used)
    assert not {"holm1979", "welch1947", "owen2007", "sellam2022", "zhang2021"} & set(used)
    found = methods(alone, report_tables(alone), 999)
    assert "One seed decided both" in found.text
    assert "failed" not in found.text
    assert keys(found) == ["tang2020"] or keys(found) == ["tang2020", "lourie2024"]
    for name in ("variance", "tests", "early_stopping", "choosing"):
        tables.pop(name, None)
    less = methods(grid, tables, 999)
    assert "henderson1953" not in keys(less)
    assert not re.search("shuffles|continuing|subsets", less.text)


def test_a_comparison_names_the_tests_that_were_primary(grid: list[GroupResults]) -> None:
    row = {"crossed_p": 0.1, "paired_p": 0.1, "welch_p": 0.1}
    crossed, welch = (
        pd.DataFrame([row]),
        pd.DataFrame([row | {"crossed_p": None, "paired_p": None}]),
    )
    found = methods(grid, {"comparison_recipe": crossed}, 1)
    assert keys(found)[1:] == ["satterthwaite1946", "holm1979", "bouthillier2021", "dror2019"]
    assert "corrected for 1 comparison after Holm (1979)." in found.text
    both = methods(grid, {"comparison_recipe": crossed, "comparison_model": welch.astype(float)}, 1)
    assert "elsewhere by the t test of Welch (1947). P-values are corrected for 2 comp" in both.text


def test_choosing_on_a_grid_is_a_bootstrap_over_both_seeds() -> None:
    groups = groups_of(plain(a=3, b=3, test_score=np.linspace(0.5, 0.6, 9)))
    found = methods(groups, report_tables(groups), 1)
    assert "intervals by a bootstrap over seeds (Owen 2007)." in found.text
    assert "evaluations on the validation" not in found.text


def test_each_of_the_later_methods_is_named_where_its_table_is(grid: list[GroupResults]) -> None:
    one = {"score": [0.5], "lower": [0.4]}
    row = {"crossed_p": 0.1, "paired_p": 0.1, "welch_p": 0.1, "rowcol_p": 0.2}
    boot = pd.DataFrame({"n_clusters": [20.0]})
    cases: list[tuple[str, pd.DataFrame, str, set[str]]] = [
        ("best_of_compute", pd.DataFrame({"n": [1]}), "n times the mean cost", {"dodge2019"}),
        (
            "ensembles",
            pd.DataFrame(one | {"method": ["average"], "exact": [True]}),
            "scores of the mean prediction of k runs are averages over all choices of k runs, with int",
            {"hoeffding1948"},
        ),
        (
            "early_stopping_saving",
            pd.DataFrame({"saves": [False]}),
            "A saving is claimed where",
            {"maurer1995"},
        ),
        ("comparison_recipe", pd.DataFrame([row]), "exchanging the recipes in whole rows", set()),
        ("sweep", pd.DataFrame({"p_holm": [0.1]}), "corrected for all pairs", {"holm1979"}),
        ("instability", pd.DataFrame({"n": [1]}), "disagreement of two runs", {"milanifard2016"}),
        ("multi_bootstrap_recipe", boot, "resamples clusters", {"sellam2022", "liang1986"}),
    ]
    bare = methods(grid, {}, 1)
    for name, table, text, sources in cases:
        found = methods(grid, {name: table}, 1)
        assert text in found.text, name
        assert text not in bare.text, name
        assert sources <= set(keys(found)) - set(keys(bare)), name
    without = methods(grid, {"comparison_recipe": pd.DataFrame([row | {"rowcol_p": None}])}, 1)
    assert "exchanging" not in without.text
    apart = methods(grid, {"multi_bootstrap_recipe": boot * 0}, 1)
    assert "liang1986" not in keys(apart)


def test_every_citation_has_its_reference_and_its_entry(grid: list[GroupResults]) -> None:
    found = methods(grid, report_tables(grid), 1)
    assert "[" not in found.text
    lines, entries = found.markdown().splitlines(), found.bibtex()
    assert sum(line.startswith("- ") for line in lines) == len(found.sources)
    for source in found.sources:
        assert source.citation.rpartition(" ")[0] in found.text
        assert f"{{{source.key}," in entries
    assert entries.count("{") == entries.count("}")


@pytest.mark.parametrize(
    ("key", "citation", "kind"),
    [
        ("holm1979", "Holm 1979", "article"),
        ("korn1998", "Korn and Graubard 1998", "article"),
        ("tang2020", "Tang et al. 2020", "misc"),
        ("searle1992", "Searle et al. 1992", "book"),
        ("heineman2025", "Heineman et al. 2025", "misc"),
        ("dror2019", "Dror et al. 2019", "inproceedings"),
    ],
)
def test_sources(key: str, citation: str, kind: str) -> None:
    assert SOURCES[key].citation == citation
    assert SOURCES[key].bibtex().startswith(f"@{kind}{{{key},\n  author = {{")
    assert "  pages = {65--70}," in SOURCES["holm1979"].bibtex()
