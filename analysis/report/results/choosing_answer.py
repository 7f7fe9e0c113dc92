"""Sentences on the price of choosing: over seeds, over evaluations of a run, over both."""

from __future__ import annotations

import pandas as pd

from analysis.data.frames import row_dict
from analysis.formatting import count, number
from analysis.report.results.group_results import GroupResults

SHOWN_N = (10, 5, 2)
LEAST_DIGITS = 3


def choosing_facts(group: GroupResults) -> dict[str, object]:
    """For `summary.json`: ``choosing``, what the best of n runs promises and delivers.

    Empty where there are fewer than two runs to choose from.
    """
    table = group.table("choosing")
    if table is None or len(table) < 2:
        return {}
    n = shown_n(table)
    promised, delivered = gains(table, n)
    return {"choosing": {"n": n, "promised": promised, "delivered": delivered}}


def choosing_text(group: GroupResults, facts: dict[str, object]) -> list[str]:
    """The answer in a sentence; none without `choosing_facts`."""
    found = facts.get("choosing")
    if not isinstance(found, dict):
        return []
    promised, delivered = _signed((found["promised"], found["delivered"]), group.digits)
    return [
        f"Choosing among {count(found['n'], 'run')} by the validation score promises {promised} and "
        f"delivers {delivered} on the test set."
    ]


def choosing_cell(facts: dict[str, object], d: int) -> str:
    """The answer in a cell of a table, with `d` decimals or three."""
    found = facts.get("choosing")
    if not isinstance(found, dict):
        return "–"
    promised, delivered = _signed((found["promised"], found["delivered"]), d)
    return f"{promised}, {delivered} (n = {found['n']})"


def choosing_caption(group: GroupResults) -> str:
    """The answer with the scores behind it."""
    if not (sentences := choosing_text(group, choosing_facts(group))):
        return ""
    table = group.tables["choosing"]
    n, mean = shown_n(table), float(table["mean_test"].iloc[0])
    return (
        f"{sentences[0]} The chosen run has {_scores(table, n, group)}; the mean run has "
        f"{number(mean, _digits(group.digits))} on the test set."
    )


def evaluations_caption(group: GroupResults) -> str:
    """What the best evaluation of a run promises and delivers, against the last one."""
    table = group.tables["choosing_evaluations"]
    n = int(table["n"].max())
    promised, delivered = _signed(gains(table, n), group.digits)
    return (
        f"Choosing the best of {count(n, 'evaluation')} within a run, in place of the last, promises "
        f"{promised} and delivers {delivered} on the test set: {_scores(table, n, group)}."
    )


def both_caption(group: GroupResults) -> str:
    """What the best of n runs at their best evaluations promises and delivers."""
    table, last = group.tables["choosing_both"], group.tables["choosing_evaluations"].head(1)
    n = shown_n(table)
    # Without any choice a run stands for its last evaluation.
    promised, delivered = _signed(gains(pd.concat([last, table]), n + 1), group.digits)
    return (
        f"Choosing among {count(n, 'run')} at their best evaluation, in place of the mean run at its "
        f"last, promises {promised} and delivers {delivered} on the test set: "
        f"{_scores(table, n, group)}."
    )


def shown_n(table: pd.DataFrame) -> int:
    """The number of runs to choose from that sentences name."""
    return next((n for n in SHOWN_N if n <= len(table)), len(table))


def gains(table: pd.DataFrame, place: int) -> tuple[float, float]:
    """Gains of a row over the first one: of the validation score, and of the test score.

    Parameters
    ----------
    table : DataFrame
        Rows of `choosing_table.choosing_table`, or of a table with its columns.
    place : int, from 1 on
        Place of the row.
    """
    one, chosen = row_dict(table, 0), row_dict(table, place - 1)
    return (
        float(chosen["expected_dev"]) - float(one["expected_dev"]),
        float(chosen["expected_test"]) - float(one["mean_test"]),
    )


def _signed(values: tuple[float, float], digits: int) -> tuple[str, str]:
    # A gain that is rounded to 0 has no minus sign.
    d = _digits(digits)
    promised, delivered = (f"{round(value, d) + 0.0:+.{d}f}" for value in values)
    return promised, delivered


def _scores(table: pd.DataFrame, place: int, group: GroupResults) -> str:
    chosen, d = row_dict(table, place - 1), _digits(group.digits)
    dev, test = (number(chosen[f"expected_{of}"], d) for of in ("dev", "test"))
    return f"{dev} on the validation set and {test} on the test set"


def _digits(least: int) -> int:
    return max(least, LEAST_DIGITS)
