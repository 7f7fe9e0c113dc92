"""Panels that compare recipes and models."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import ClassVar

import pandas as pd

from analysis.comparison.compare import compare
from analysis.comparison.mean_difference import primary_test
from analysis.comparison.pairing import Factor
from analysis.data.frames import row_dict
from analysis.errors import AnalysisError
from analysis.figures.comparison import improvement
from analysis.formatting import (
    SHUFFLED,
    count,
    difference,
    p_value,
    percent,
    too_small_to_tell,
)
from analysis.report.results.group_results import GroupResults
from analysis.report.results.report_results import ReportResults
from analysis.report.sections.part import Entry, Missing, PageTable, Per, TableFile, drawn

FACTORS: tuple[Factor, ...] = ("recipe", "model")
MOST_DRAWN = 24


class Comparisons:
    """All pairs of recipes and of models on the same task."""

    per: ClassVar[Per] = "study"

    def entries(self, groups: list[GroupResults], report: ReportResults) -> Iterator[Entry]:
        """A panel and two tables for each factor that varies."""
        study = report.unselected
        varied = [by for by in FACTORS if study.runs[by].nunique() > 1]
        for by in varied:
            try:
                table = compare(study, report.generator("comparison", FACTORS.index(by)), by=by)
            except AnalysisError as error:
                yield Missing(f"Comparison of {by}s: {error}")
                continue
            if table.empty:
                yield Missing(f"No two {by}s were run on the same task.")
                continue
            shown = table.assign(label=_labels(table, by))
            yield drawn(
                f"comparison-{by}",
                f"Does B beat A? ({by}s)",
                comparison_caption(shown) + _drawn_text(shown),
                partial(improvement, _clearest(shown)),
            )
            yield PageTable(f"Comparisons of {by}s", _shown(shown))
            yield TableFile(f"comparison_{by}", table)
        if not varied:
            yield Missing(
                "There is one recipe and one model. Run a second one with the same seeds (or pass "
                "several studies) to compare them."
            )


def _labels(table: pd.DataFrame, by: Factor) -> list[str]:
    fixed = "model" if by == "recipe" else "recipe"
    several = table[fixed].nunique() > 1
    return [
        f"{row['task']}{', ' + row[fixed] if several else ''}: {row['b']} over {row['a']}"
        for row in table.to_dict("records")
    ]


def _clearest(table: pd.DataFrame) -> pd.DataFrame:
    """The comparisons of the figure: all, or the 24 furthest from a tie, in the table's order."""
    if len(table) <= MOST_DRAWN:
        return table
    apart = (table["improvement"] - 0.5).abs().sort_values(ascending=False, kind="stable")
    return table.loc[sorted(apart.index[:MOST_DRAWN])]


def _drawn_text(table: pd.DataFrame) -> str:
    if len(table) <= MOST_DRAWN:
        return ""
    return f" The figure shows the {MOST_DRAWN} that are furthest from a tie; the table has all."


def comparison_caption(table: pd.DataFrame) -> str:
    """The number of meaningful improvements, and the clearest of them."""
    forward = table.loc[table["meaningful"].to_numpy(dtype=bool)]
    back = table.loc[table["meaningful_reverse"].to_numpy(dtype=bool)]
    # Both directions: which recipe is called B follows from the order of the rows alone.
    clear = pd.concat(
        [
            forward.assign(chance=forward["improvement"], winner=forward["b"], loser=forward["a"]),
            back.assign(chance=1 - back["improvement"], winner=back["a"], loser=back["b"]),
        ]
    )
    tests = [(row, *primary_test(row)) for row in table.to_dict("records")]
    significant = sum(row[f"{test}_holm"] < 0.05 for row, test, _ in tests)
    text = (
        f"{count(len(clear), 'meaningful improvement')} among {count(len(table), 'comparison')}; "
        f"{significant} of the differences of means {'is' if significant == 1 else 'are'} "
        f"significant at 5% after Holm's correction ({', '.join(sorted({n for *_, n in tests}))})."
    )
    if len(clear):
        top = row_dict(clear, int(clear["chance"].argmax()))
        place = str(top["label"]).removesuffix(f"{top['b']} over {top['a']}")
        text += (
            f" The clearest: {place}{top['winner']} over {top['loser']}, in "
            f"{percent(top['chance'])} of cases."
        )
    return text


def _exchange_text(p: float, floor: float) -> str:
    """The p-value of exchanges in whole rows and columns, or that there are too few of them."""
    if not math.isfinite(p):
        return "–"
    if too_small_to_tell(floor):
        return f"too few seeds (p is at least {floor:.2g})"
    return p_value(p, min(floor, SHUFFLED))


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    """The comparison as a reader needs it; all columns are in the file."""
    tests = [(row, *primary_test(row)) for row in table.to_dict("records")]
    return pd.DataFrame(
        {
            "comparison (B over A)": table["label"],
            "runs A / B / pairs": [
                f"{a} / {b} / {p}"
                for a, b, p in zip(table["n_a"], table["n_b"], table["n_pairs"], strict=True)
            ],
            "difference of means": [
                difference(*(row[f"{test}_{part}"] for part in ("difference", "lower", "upper")))
                for row, test, _ in tests
            ],
            "test": [name for *_, name in tests],
            "p, after Holm": [p_value(float(row[f"{test}_holm"])) for row, test, _ in tests],
            "p, recipes exchanged": [
                _exchange_text(p, floor)
                for p, floor in zip(table["rowcol_p"], table["rowcol_floor"], strict=True)
            ],
            "P(B beats A)": [
                f"{p:.2f} [{low:.2f}, {high:.2f}]"
                for p, low, high in zip(
                    table["improvement"],
                    table["improvement_lower"],
                    table["improvement_upper"],
                    strict=True,
                )
            ],
            "stochastic order ε": [f"{e:.2f}" for e in table["epsilon_min"]],
            "equal spread": [p_value(float(p)) for p in table["brown_forsythe_p"]],
            "lead changes at n": [c or "–" for c in table["crossings"]],
        }
    )
