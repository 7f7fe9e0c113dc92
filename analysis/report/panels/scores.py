"""Panels on scores: every run of a task, and failure rates."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import ClassVar

import pandas as pd

from analysis.data.frames import row_dict
from analysis.data.labels import file_stem
from analysis.data.study import concat_studies
from analysis.figures.scores import failure_figure, score_strips
from analysis.formatting import count, digits_for, number, percent
from analysis.report.results.group_results import GroupResults
from analysis.report.results.report_results import ReportResults
from analysis.report.sections.part import Entry, Lead, Missing, Per, drawn

BARS = (
    "The two bars below the points are noise of the test set alone: the noise floor, by which equally "
    "good runs differ, and the sampling error, which all runs share."
)
TESTED = (
    "Scores are those of the test set; crosses are runs that failed on the validation set. The noise "
    "floor in the tables is that of the validation set."
)
MOST_DESCRIBED = 3
"""Groups whose noise floors stand in the caption one by one."""


class ScoreStrips:
    """All scores of a task, a strip per group, with the noise of the test set."""

    per: ClassVar[Per] = "task"

    def entries(self, groups: list[GroupResults], report: ReportResults) -> Iterator[Entry]:
        """One panel, and a note where the noise floor is unknown."""
        task = groups[0].key.task
        tested = report.study.score == "test"
        # The noise floor is that of the validation set.
        tables = [t for group in groups if (t := group.table("floor")) is not None and not tested]
        floors = pd.concat(tables, ignore_index=True) if tables else None
        alone = len(groups) == 1
        study = groups[0].study if alone else concat_studies([group.study for group in groups])
        yield drawn(
            f"scores-{groups[0].stem if alone else file_stem(task)}",
            task,
            "" if tested else floor_caption(groups),
            lambda: score_strips(study, floors),
        )
        if tested:
            yield Lead(TESTED)
        elif floors is not None and floors[["floor_sd", "sampling_sd"]].notna().any(axis=None):
            yield Lead(BARS)
        else:
            yield Missing(
                "no noise floor. It needs accuracies and the number of test examples "
                "(a column n_examples, or stored predictions).",
                task,
            )


class FailureRates:
    """Failure rates of all groups with their intervals."""

    per: ClassVar[Per] = "study"

    def entries(self, groups: list[GroupResults], report: ReportResults) -> Iterator[Entry]:
        """One panel, where failures can be judged."""
        rates = [(t, group.label) for group in groups if (t := group.table("failure")) is not None]
        if rates:
            table = pd.concat([t for t, _ in rates], ignore_index=True)
            labels = [label for _, label in rates]
            yield drawn(
                "failures",
                "Failure rates",
                failure_caption(table, labels),
                lambda: failure_figure(table, labels),
            )


def floor_caption(parts: list[GroupResults]) -> str:
    """The share of the observed variance that the test set alone explains."""
    texts: list[str] = []
    sds: list[float] = []
    for group in parts:
        floor = group.table("floor")
        if floor is None:
            continue
        row = floor.iloc[0]
        if not math.isfinite(row["floor_sd"]):
            continue
        sds.append(float(row["floor_sd"]))
        text = f"{group.label}: {_floor_text(row, '')}"
        if int(row["n_failed"]) and math.isfinite(row["floor_sd_good"]):
            text += (
                f" (with the error rate of all runs); {_floor_text(row, '_good')} (with that of "
                f"the {count(int(row['n_runs'] - row['n_failed']), 'run')} that did not fail)"
            )
        texts.append(text)
    if len(texts) > MOST_DESCRIBED:
        d = digits_for(min(sds))
        return (
            "Equally good runs of one recipe would differ with a standard deviation of "
            f"{number(min(sds), d)} to {number(max(sds), d)} on this test set."
        )
    return "; ".join(texts) + "." if texts else ""


def _floor_text(row: pd.Series, which: str) -> str:
    """The floor from all runs (``""``) or from the good ones (``"_good"``)."""
    floor, observed = float(row[f"floor_sd{which}"]), float(row[f"observed_sd{which}"])
    subject = "they" if which else "equally good runs"
    text = f"{subject} would differ with a standard deviation of {number(floor, digits_for(floor))}"
    if not which:
        text += f" on these {int(row['n_examples']):,} examples"
    if observed > 0:
        text += f", {percent(min((floor / observed) ** 2, 1.0))} of the variance observed"
    elif observed == 0:
        text += ", but the score does not vary"
    return text


def failure_caption(table: pd.DataFrame, labels: list[str]) -> str:
    """The group that fails most, and whether its interval overlaps others."""
    shown = table.assign(label=labels).loc[table["judged"].to_numpy(dtype=bool)]
    if shown.empty:
        return ""
    if not shown["n_failed"].any():
        return f"No run failed of {count(int(shown['n_runs'].sum()), 'run')}."
    if len(shown) == 1:
        one = row_dict(shown, 0)
        return f"{int(one['n_failed'])} of {count(int(one['n_runs']), 'run')} failed."
    at = int(shown["rate"].argmax())
    most = row_dict(shown, at)
    text = f"{most['label']} fails most, {int(most['n_failed'])} of {count(int(most['n_runs']), 'run')}"
    rest = shown.drop(index=shown.index[at])
    near = rest.loc[rest["upper"] >= most["lower"], "label"].tolist()
    if not near:
        return f"{text}; its interval is above all others."
    others = near[0] if len(near) == 1 else f"{len(near)} other groups"
    return f"{text}; its interval overlaps that of {others}."
