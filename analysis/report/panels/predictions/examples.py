"""The examples on which runs differ: their votes, and the examples that flip."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import ClassVar

import pandas as pd

from analysis.comparison.consistency import EXAMPLE_COLUMNS, GOOD, example_table, flip_table
from analysis.data.frames import row_dict
from analysis.data.predictions import predictions_of
from analysis.figures.predictions.votes import spread_figure, votes_figure
from analysis.formatting import count, digits_for, number, percent
from analysis.report.results.group_results import GroupResults
from analysis.report.results.report_results import ReportResults
from analysis.report.sections.part import Entry, Lead, PageTable, Per, TableFile, drawn

FLIPPING = (
    "An example flips when at least a quarter of the runs are right on it and at least a quarter "
    "are wrong: between the dashed lines."
)
MOST_LISTED = 4
"""Groups whose examples are listed on the page; the file has those of all."""
MOST_SHOWN = 10
LONGEST_TEXT = 160


class Consistency:
    """The votes of the runs on every example, and the examples that flip."""

    per: ClassVar[Per] = "group"

    def entries(self, groups: list[GroupResults], report: ReportResults) -> Iterator[Entry]:
        """A panel, the table of all examples, and the examples that divide the runs most."""
        (group,) = groups
        if group.table("instability") is None:
            return
        found = predictions_of(group.study)
        assert found is not None
        named = group.key._asdict()
        table = example_table(found).assign(**named)
        table = table[["task", "model", "recipe", *EXAMPLE_COLUMNS]]
        yield TableFile("examples", table.dropna(axis=1, how="all"))
        if found.is_classification:
            flipping = flip_table(found)
            yield TableFile("flips", pd.DataFrame({**named, **flipping}))
            yield Lead(FLIPPING)
            title, caption = "runs that are right, example by example", flip_caption(flipping)
        else:
            title, caption = "spread of predictions, example by example", spread_caption(table)
        yield drawn(
            f"examples-{group.stem}",
            f"{group.label}: {title}",
            caption,
            lambda: votes_figure(table) if found.is_classification else spread_figure(table),
            fold=group.label,
        )
        good = found.good()
        divided = _divided(table if good is None else example_table(good), found.is_classification)
        if len(divided) and len(report.groups) <= MOST_LISTED:
            yield PageTable(f"{group.label}: the examples on which the runs differ most", divided)


def flip_caption(table: pd.DataFrame) -> str:
    """The share of examples that flip, and the differences between runs without them."""
    row = row_dict(table, len(table) - 1)
    runs = count(int(row["n_runs"]), "run")
    n = count(int(row["n_examples"]), "example")
    if not row["n_flips"]:
        text = (
            f"None of {n} flips over {runs}. Two runs disagree on {percent(row['disagreement'])} of "
            "them."
        )
    else:
        text = (
            f"{percent(row['share'])} of {n} flip: at least a quarter of the {runs} on each side."
        )
    # Of 4 runs one is a quarter: on the other examples all agree, which is no finding.
    if 0 < row["n_flips"] < row["n_examples"] and row["n_runs"] > 4:
        d = digits_for(row["sd_accuracy_without"])
        text += (
            f" Without them two runs disagree on {percent(row['disagreement_without'])} of the "
            f"examples instead of {percent(row['disagreement'])}, and the standard deviation of "
            f"the accuracy over runs is {number(row['sd_accuracy_without'], d)} instead of "
            f"{number(row['sd_accuracy'], d)}."
        )
    text += f" All runs are right on {percent(row['all_right'])} and wrong on {percent(row['all_wrong'])}."
    if row["of"] == GOOD:
        text += f" Failed runs are left out; with them {percent(table['share'].iloc[0])} flip."
    return text


def spread_caption(table: pd.DataFrame) -> str:
    """The median and the largest standard deviation of predictions over runs."""
    spreads = table["sd_prediction"]
    top = row_dict(table, int(spreads.argmax()))
    return (
        f"The predictions for an example have a standard deviation of {spreads.median():.3g} over "
        f"{count(int(top['n_runs']), 'run')} (median of {count(len(table), 'example')}). The largest is "
        f"{top['sd_prediction']:.3g}, for example {top['example']}."
    )


def _divided(table: pd.DataFrame, is_classification: bool) -> pd.DataFrame:
    """The examples on which the runs differ most, as a reader needs them."""
    by = "vote_entropy" if is_classification else "sd_prediction"
    most = table.loc[table[by] > 0].sort_values(by, ascending=False, kind="stable").head(MOST_SHOWN)
    shown = pd.DataFrame({"example": most["example"]})
    if most["text"].notna().any():
        shown["text"] = most["text"].map(lambda text: textwrap.shorten(text, LONGEST_TEXT))
    shown["label"] = [f"{label:g}" for label in most["label"]]
    if is_classification:
        right = (most["share_correct"] * most["n_runs"]).round().astype(int)
        shown["runs that are right"] = [
            f"{r} of {n}" for r, n in zip(right, most["n_runs"], strict=True)
        ]
        shown["most votes for"] = [f"{label:g}" for label in most["majority_class"]]
        shown["entropy of the votes (bits)"] = [f"{value:.2f}" for value in most["vote_entropy"]]
    else:
        shown["mean prediction"] = [f"{value:.4g}" for value in most["mean_prediction"]]
        shown["sd over runs"] = [f"{value:.3g}" for value in most["sd_prediction"]]
    return shown
