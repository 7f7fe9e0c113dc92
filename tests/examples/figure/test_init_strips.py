"""The example of docs/extending.md: a figure of one's own in a whole report."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from analysis.report import write_report
from analysis.report.contents import CONTENTS
from tests.examples.figure.init_strips import InitStrips
from tests.suites.made_studies import plain


def with_strips():
    """The standard contents, the strips last in the section on the grids."""
    return tuple(
        dataclasses.replace(outline, parts=(*outline.parts, InitStrips()))
        if outline.anchor == "grids"
        else outline
        for outline in CONTENTS
    )


def test_the_report_holds_the_figure_its_caption_and_its_table(tmp_path):
    study = plain(a=3, b=4)
    write_report(study, tmp_path, contents=with_strips())
    assert (tmp_path / "figures" / "init-strips-rte.svg").is_file()
    spans = study.runs.groupby("init_seed")["score"].agg(np.ptp)
    text = (tmp_path / "report.html").read_text()
    assert f"The widest strip is that of init {spans.idxmax()}: its runs differ by up to" in text
    table = pd.read_csv(tmp_path / "tables" / "init_strips.csv")
    assert table["span"].tolist() == pytest.approx(spans.tolist())
    assert set(table["task"]) == {"rte"}


def test_a_note_stands_where_the_figure_does_not_apply(tmp_path):
    write_report(plain(a=1, b=4), tmp_path, contents=with_strips())
    missing = json.loads((tmp_path / "summary.json").read_text())["missing"]["The grids"]
    assert "rte: strips need complete runs of two init seeds; train more seeds." in missing


def test_a_further_figure_changes_nothing_else(tmp_path):
    write_report(plain(), tmp_path / "without")
    write_report(plain(), tmp_path / "with", contents=with_strips())
    for path in (tmp_path / "without").rglob("*.csv"):
        other = tmp_path / "with" / path.relative_to(tmp_path / "without")
        assert other.read_bytes() == path.read_bytes()
