"""Whether a recipe or a model changes predictions, over seeds and examples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import pandas as pd

from analysis.comparison.bootstrap import compare_predictions
from analysis.errors import AnalysisError
from analysis.formatting import difference, number, p_value
from analysis.report.panels.comparison import FACTORS
from analysis.report.results.group_results import GroupResults
from analysis.report.results.report_results import ReportResults
from analysis.report.sections.part import Entry, Missing, PageTable, Per, TableFile

RESAMPLED = {"grid": "init and order seeds", "init_seed": "init seeds"}


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
                units = "clusters of examples" if boot["n_clusters"].any() else "examples"
                yield PageTable(f"Multi-bootstrap over seeds and {units} ({by}s)", _boot(boot))


def _boot(table: pd.DataFrame) -> pd.DataFrame:
    shown = pd.DataFrame(
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
    if table["n_clusters"].any():
        shown["clusters"] = table["n_clusters"]
        for column, name in (("se_examples", "examples"), ("se_clusters", "clusters")):
            shown[f"standard error over {name}"] = [number(v, 4) for v in table[column]]
    return shown
