"""How often two runs predict differently, and whether runs that share a seed agree more."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from math import isfinite
from typing import ClassVar

import pandas as pd

from analysis.comparison.consistency import GOOD
from analysis.comparison.shared_seeds import disagreement_by_seeds
from analysis.data.frames import row_dict
from analysis.figures.comparison import instability_figure
from analysis.figures.predictions.disagreement import shared_seeds_figure
from analysis.formatting import count, number, percent
from analysis.report.results.group_results import GroupResults
from analysis.report.results.report_results import ReportResults
from analysis.report.sections.part import Entry, Missing, Per, TableFile, drawn

MEASURE_STEMS = {"share of examples": "shared-seeds", "absolute difference": "shared-seeds-numbers"}


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


class SharedSeeds:
    """Disagreement of runs that share a seed, beside that of runs that share none."""

    per: ClassVar[Per] = "study"

    def entries(self, groups: list[GroupResults], report: ReportResults) -> Iterator[Entry]:
        """A panel for classification and one for regression, and their table."""
        found = [
            (group, table)
            for group in groups
            if (group.table("instability")) is not None
            and not (table := disagreement_by_seeds(group.study)).empty
        ]
        if not found:
            return
        yield TableFile("disagreement_by_seeds", pd.concat([t for _, t in found]))
        for measure, stem in MEASURE_STEMS.items():
            rows = [(g.label, _shown(t)) for g, t in found if t["measure"].iloc[0] == measure]
            # A kind of pairs alone has nothing to be compared with.
            rows = [(label, t) for label, t in rows if len(t) > 1]
            if rows:
                yield drawn(
                    stem,
                    "Do runs that share a seed agree more?",
                    shared_seeds_caption(rows),
                    partial(shared_seeds_figure, rows),
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


def shared_seeds_caption(tables: list[tuple[str, pd.DataFrame]]) -> str:
    """The clearest difference between pairs that share a seed and pairs that share none."""
    rows = [
        row | {"label": label, "none": table["disagreement"].iloc[0]}
        for label, table in tables
        for row in table.to_dict("records")
        if row["shared"] in ("init seed", "order seed") and isfinite(row["difference_lower"])
    ]
    clear = [row for row in rows if row["difference_upper"] < 0 or row["difference_lower"] > 0]
    bare = len(tables) - len({row["label"] for row in rows})
    if clear:
        top = max(clear, key=lambda row: abs(row["difference"]))
        shares = top["measure"] == "share of examples"
        show = percent if shares else "{:.3g}".format
        of = " of the examples" if shares else ""
        text = (
            f"On {top['label']}, two runs that share the {top['shared']} differ on "
            f"{show(top['disagreement'])}{of}, two runs without a common seed on {show(top['none'])}."
        )
    elif rows:
        text = (
            "Runs that share a seed are not shown to agree more: the 95% intervals of all differences "
            "to runs that share none hold 0."
        )
    else:
        text = "There are too few seeds for intervals."
    if rows and bare:
        verb = "has" if bare == 1 else "have"
        text += f" {count(bare, 'group')} {verb} too few seeds for intervals."
    if any(table["of"].iloc[0] == GOOD for _, table in tables):
        text += " Failed runs are left out."
    return text


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the runs that did not fail, where some did; else all."""
    shown: pd.DataFrame = table.loc[table["of"] == table["of"].iloc[-1]]
    return shown.reset_index(drop=True)
