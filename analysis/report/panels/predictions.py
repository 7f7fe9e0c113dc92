"""Panels on predictions: how often runs disagree, and whether a recipe changes that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import pandas as pd

from analysis.comparison.bootstrap import compare_predictions
from analysis.data.frames import row_dict
from analysis.errors import AnalysisError
from analysis.figures.comparison import instability_figure
from analysis.formatting import count, difference, number, p_value, percent
from analysis.report.panels.comparison import FACTORS
from analysis.report.results.group_results import GroupResults
from analysis.report.results.report_results import ReportResults
from analysis.report.sections.part import Entry, Missing, PageTable, Per, TableFile, drawn

RESAMPLED = {"grid": "init and order seeds", "init_seed": "init seeds"}


class Instability:
    """Disagreement of predictions, and the spread of scores."""

    per: ClassVar[Per] = "study"

    def entries(self, groups: list[GroupResults], report: ReportResults) -> Iterator[Entry]:
        """One panel and its table, where predictions are stored."""
        known = [(t, g.label) for g in groups if (t := g.table("instability")) is not None]
        if not known:
            yield Missing(
                "No predictions are stored (a table of final logits is needed), so runs can only be "
                "compared by their scores."
            )
            return
        table = pd.concat([t for t, _ in known], ignore_index=True)
        labels = [label for _, label in known]
        yield TableFile("instability", table)
        yield drawn(
            "instability",
            "Instability of predictions",
            instability_caption(table, labels),
            lambda: instability_figure(table, labels),
        )


class PredictionBootstrap:
    """Differences of recipes and models over seeds and examples."""

    per: ClassVar[Per] = "study"

    def entries(self, groups: list[GroupResults], report: ReportResults) -> Iterator[Entry]:
        """Two tables for each factor that varies, where predictions are stored."""
        study = report.unselected
        if not any(group.table("instability") is not None for group in groups):
            return
        for number_, by in enumerate(FACTORS):
            if study.runs[by].nunique() < 2:
                continue
            try:
                generator = report.generator("predictions", number_)
                boot = compare_predictions(study, generator, by=by, unit="grid")
            except AnalysisError as error:
                yield Missing(f"Multi-bootstrap of {by}s: {error}")
                continue
            if len(boot):
                yield TableFile(f"multi_bootstrap_{by}", boot)
                yield PageTable(f"Multi-bootstrap over seeds and examples ({by}s)", _boot(boot))


def _boot(table: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "task": table["task"],
            "B over A": table["b"] + " over " + table["a"],
            "measure": table["measure"],
            "difference [95%]": [
                difference(d, low, high)
                for d, low, high in zip(
                    table["difference"], table["lower"], table["upper"], strict=True
                )
            ],
            "B no better": [
                p_value(p, f) for p, f in zip(table["p_value"], table["p_floor"], strict=True)
            ],
            "resampled with the examples": table["unit"].map(RESAMPLED),
            "examples": table["n_examples"],
        }
    )


def instability_caption(table: pd.DataFrame, labels: list[str]) -> str:
    """The group whose runs disagree most."""
    if not table["disagreement"].notna().any():
        return ""
    at = int(table["disagreement"].fillna(-1.0).argmax())
    most = row_dict(table, at)
    return (
        f"On {labels[at]}, two runs disagree on {percent(most['disagreement'])} of "
        f"{count(int(most['n_examples']), 'example')}, while their scores vary with a "
        f"standard deviation of {number(most['sd_score'], 4)}."
    )
