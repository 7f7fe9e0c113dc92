"""LaTeX and Markdown tables hold the numbers of the CSV files beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.comparison.mean_difference import primary_test
from analysis.report.results.group_results import analyse_group
from analysis.report.results.paper_tables import PaperTable, paper_tables, write_paper_tables
from analysis.report.results.tables import report_tables, write_tables
from tests.suites.made_studies import curved


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    groups = [
        analyse_group(key, key.recipe, key.recipe, part, np.random.SeedSequence(0))
        for key, part in curved(a=3, b=3, recipes=("a_b", "b|c")).groups()
    ]
    made = report_tables(groups)
    write_tables(made, folder)
    write_paper_tables(paper_tables(groups, made), folder)
    return folder


def rows(path: Path) -> pd.DataFrame:
    """The cells of a Markdown table."""
    lines = [line for line in path.read_text().splitlines() if line.startswith("|")]
    cells = [
        [cell.strip() for cell in line.replace("\\|", "/").strip("|").split("|")] for line in lines
    ]
    return pd.DataFrame([cells[0], *cells[2:]]).T.set_index(0).T


@pytest.mark.parametrize("name", ["means", "failure_rates", "variance", "expected_max"])
def test_both_forms_lie_beside_the_csv(name: str, tables: Path) -> None:
    numbers = pd.read_csv(tables / f"{name}.csv")
    shown = rows(tables / f"{name}.md")
    assert list(shown["recipe"]) == ["a_b", "b/c"]
    assert set(numbers["recipe"]) == {"a_b", "b|c"}
    latex = (tables / f"{name}.tex").read_text()
    for word in ("\\toprule", "\\bottomrule", f"\\label{{tab:{name}}}", "a\\_b"):
        assert word in latex


def test_the_cells_are_the_numbers(tables: Path) -> None:
    numbers, shown = pd.read_csv(tables / "means.csv"), rows(tables / "means.md")
    assert shown["mean"].astype(float).to_numpy() == pytest.approx(numbers["mean"], abs=0.005)
    assert list(shown["runs"].astype(int)) == list(numbers["n_runs"])
    assert "Satterthwaite" in (tables / "means.md").read_text()


def test_captions_and_columns_name_n_the_interval_and_the_test(tables: Path) -> None:
    for name in ("means", "failure_rates"):
        text = (tables / f"{name}.md").read_text()
        assert "95%" in text.splitlines()[-1]
        assert text.splitlines()[-1].endswith("n = 9 runs in a row of the table.")
    tests = pd.read_csv(tables / "tests.csv")
    tests = tests.loc[(tests["recipe"] == "a_b") & (tests["test"] == "restricted permutation")]
    shown = rows(tables / "variance.md").iloc[0]
    assert list(shown[["p (init)", "p (order)"]]) == [f"{p:.2g}" for p in tests["p_value"]]
    row = {"task": "t", "a": "x", "b": "y", "n_a": 5, "n_b": 7, "improvement": 0.5}
    values = {f"paired_{c}": 0.1 for c in ("difference", "lower", "upper", "p", "holm")}
    (paper,) = paper_tables([], {"comparison_recipe": pd.DataFrame([row | values])})
    assert paper.caption.startswith(
        "Differences of mean scores with 95% intervals: t test of pairs."
    )
    assert paper.caption.endswith("n = 5 to 7 runs on a side.")


def test_latex_escapes_the_caption_and_the_cells() -> None:
    table = PaperTable("t", "95% of a_b & more", pd.DataFrame({"a%": ["x_y", "$1"]}))
    latex = table.latex()
    assert "\\caption{95\\% of a\\_b \\& more}" in latex
    assert "a\\% \\\\" in latex
    assert "x\\_y" in latex


def test_the_primary_test_is_the_first_that_the_design_allows() -> None:
    nan = float("nan")
    assert primary_test({"crossed_p": 0.1, "paired_p": 0.2})[0] == "crossed"
    assert primary_test({"crossed_p": nan, "paired_p": 0.2})[0] == "paired"
    assert primary_test({"paired_p": nan})[0] == "welch"
