"""Panels on predictions: how often runs disagree, on which examples, and between recipes."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from functools import partial
from typing import ClassVar

import pandas as pd

from analysis.comparison.bootstrap import compare_predictions
from analysis.comparison.consistency import (
    EXAMPLE_COLUMNS,
    GOOD,
    example_table,
    flip_table,
)
from analysis.comparison.shared_seeds import disagreement_by_seeds
from analysis.data.frames import row_dict
from analysis.data.predictions import predictions_of
from analysis.errors import AnalysisError
from analysis.figures.comparison import instability_figure
from analysis.figures.predictions import shared_seeds_figure, spread_figure, votes_figure
from analysis.formatting import count, difference, digits_for, number, p_value, percent
from analysis.report.panels.comparison import FACTORS
from analysis.report.results.group_results import GroupResults
from analysis.report.results.report_results import ReportResults
from analysis.report.sections.part import (
    Entry,
    Lead,
    Missing,
    PageTable,
    Per,
    TableFile,
    drawn,
)

FLIPPING = (
    "An example flips when at least a quarter of the runs are right on it and at least a quarter "
    "are wrong: between the dashed lines."
)
MEASURE_STEMS = {"share of examples": "shared-seeds", "absolute difference": "shared-seeds-numbers"}
MOST_LISTED = 4
"""Groups whose examples are listed on the page; the file has those of all."""
MOST_SHOWN = 10
LONGEST_TEXT = 160

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


def flip_caption(table: pd.DataFrame) -> str:
    """The share of examples that flip, and the differences between runs without them."""
    row = row_dict(table, len(table) - 1)
    runs = count(int(row["n_runs"]), "run")
    of = f"the {runs} that did not fail" if row["of"] == GOOD else f"the {runs}"
    n = count(int(row["n_examples"]), "example")
    if not row["n_flips"]:
        return f"None of {n} flips over {of}. Two runs disagree on {percent(row['disagreement'])} of them."
    text = f"{percent(row['share'])} of {n} flip: at least a quarter of {of} on each side."
    if row["n_flips"] < row["n_examples"]:
        d = digits_for(row["sd_accuracy_without"])
        text += (
            f" Without them two runs disagree on {percent(row['disagreement_without'])} of the "
            f"examples instead of {percent(row['disagreement'])}, and the standard deviation of "
            f"the accuracy over runs is {number(row['sd_accuracy_without'], d)} instead of "
            f"{number(row['sd_accuracy'], d)}."
        )
    if row["of"] == GOOD:
        text += f" With the failed runs {percent(table['share'].iloc[0])} flip."
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


def shared_seeds_caption(tables: list[tuple[str, pd.DataFrame]]) -> str:
    """The clearest difference between pairs that share a seed and pairs that share none."""
    rows = [
        row | {"label": label, "none": table["disagreement"].iloc[0]}
        for label, table in tables
        for row in table.to_dict("records")
        if row["shared"] in ("init seed", "order seed")
        and (row["difference_upper"] < 0 or row["difference_lower"] > 0)
    ]
    left_out = (
        " Failed runs are left out." if any(t["of"].iloc[0] == GOOD for _, t in tables) else ""
    )
    if not rows:
        return (
            "No seed is seen to matter: runs that share one disagree neither more nor less than "
            f"runs that share none, within the intervals.{left_out}"
        )
    top = max(rows, key=lambda row: abs(row["difference"]))
    show = percent if top["measure"] == "share of examples" else "{:.3g}".format
    of = " of the examples" if top["measure"] == "share of examples" else ""
    return (
        f"On {top['label']}, two runs that share the {top['shared']} differ on "
        f"{show(top['disagreement'])}{of}, two runs without a common seed on {show(top['none'])}.{left_out}"
    )


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the runs that did not fail, where some did; else all."""
    return table.loc[table["of"] == table["of"].iloc[-1]].reset_index(drop=True)


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
