"""Panels over several tasks: common seeds, robust means, profiles, signal to noise."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator
from functools import partial
from typing import Any, ClassVar

import pandas as pd

from analysis.comparison.robust_scores import profile_table, robust_means
from analysis.data.frames import row_dict
from analysis.data.study import Group
from analysis.figures.comparison import profiles, signal_and_noise
from analysis.formatting import (
    SHUFFLED,
    count,
    digits_for,
    number,
    p_value,
    too_small_to_tell,
)
from analysis.report.results.group_results import GroupResults
from analysis.report.results.report_results import ReportResults
from analysis.report.sections.part import Entry, Missing, PageTable, Per, TableFile, drawn
from analysis.variance.late_noise import late_noise
from analysis.variance.seed_effects import seeds_across_tasks
from analysis.variance.signal_to_noise import signal_to_noise

MOST_DESCRIBED = 4
WITHOUT = "without failed runs"


class SeedsAcrossTasks:
    """Rank correlation of the seeds' means between every two tasks."""

    per: ClassVar[Per] = "study"

    def entries(self, groups: list[GroupResults], report: ReportResults) -> Iterator[Entry]:
        """Two tables, where two tasks have seeds in common."""
        study = report.unselected
        if study.runs["task"].nunique() < 2:
            yield Missing("There is one task only.")
            return
        seeds = seeds_across_tasks(study, report.generator("tasks", 0))
        if seeds.empty or not seeds["spearman"].notna().any():
            yield Missing("No seeds are common to two tasks with at least three levels.")
            return
        yield TableFile("seeds_across_tasks", seeds)
        if all(group.together for group in groups):
            # Both factors have the same means.
            seeds = seeds.loc[seeds["factor"] == "init_seed"].assign(factor="seed")
        shown = seeds.assign(
            factor=seeds["factor"].str.replace("_", " "),
            spearman=[f"{v:.2f}" for v in seeds["spearman"]],
            p=[
                f"too few seeds (p = {p:.2g})"
                if too_small_to_tell(f)
                else p_value(p, min(f, SHUFFLED))
                for p, f in zip(seeds["p_value"], seeds["p_floor"], strict=True)
            ],
        )
        columns = ["recipe", "factor", "task_a", "task_b", "spearman", "p", "n_seeds"]
        names = ["recipe", "factor", "task", "and", "Spearman", "test", "seeds"]
        yield PageTable("Do the same seeds win?", shown[columns].set_axis(names, axis="columns"))


class PerformanceProfiles:
    """Performance profiles of recipes and models over all tasks, a figure per metric."""

    per: ClassVar[Per] = "study"

    def entries(self, groups: list[GroupResults], report: ReportResults) -> Iterator[Entry]:
        """The table of robust means, and a panel where there is something to compare."""
        study = report.unselected
        if study.runs["task"].nunique() < 2:
            return
        robust = robust_means(study, report.generator("tasks", 1))
        yield TableFile("robust_means", robust)
        profile = profile_table(study, report.generator("tasks", 2))
        several = profile["model"].nunique() > 1
        profile["label"] = profile["recipe"] + (", " + profile["model"] if several else "")
        for k, (metric, part) in enumerate(profile.groupby("metric", sort=False)):
            if part["label"].nunique() > 1:
                yield drawn(
                    f"profile-{k + 1}",
                    f"Performance profile ({metric})",
                    profile_caption(robust.loc[robust["metric"] == metric]),
                    partial(profiles, part),
                )


def profile_caption(robust: pd.DataFrame) -> str:
    """The recipe with the highest interquartile mean."""
    best = row_dict(robust, int(robust["iqm"].argmax()))
    return (
        f"Interquartile mean over {count(int(best['n_tasks']), 'task')}: highest for "
        f"{best['recipe']}, {best['iqm']:.4f} (95% interval {best['lower']:.4f} to "
        f"{best['upper']:.4f})."
    )


class SignalToNoise:
    """How far recipes lie apart on a task, over the noise of late evaluations and of seeds."""

    per: ClassVar[Per] = "study"

    def entries(self, groups: list[GroupResults], report: ReportResults) -> Iterator[Entry]:
        """A figure where seeds differ, and two tables: a row per task, and a row per recipe."""
        study = report.unselected
        noise = late_noise(study)
        table = signal_to_noise(study, noise)
        measured = noise["noise_steps"].notna()
        if not measured.any() and not table["signal"].notna().any():
            return
        yield TableFile("signal_to_noise", table)
        yield TableFile("late_noise", noise)
        drawn_rows = _drawn(table)
        if len(drawn_rows):
            yield drawn(
                "signal-by-task",
                "Signal and noise, in units of the spread over seeds",
                signal_caption(table),
                partial(signal_and_noise, drawn_rows),
            )
        yield PageTable("Signal and noise by task (standard deviations)", _signals(table))
        labels = {group.key: group.label for group in groups}
        if measured.any():
            yield PageTable(
                "Noise of late evaluations and spread of last scores over seeds, by recipe",
                _noises(noise, labels),
            )
        for row in noise.loc[~measured].to_dict("records"):
            yield Missing(
                "no noise of late evaluations: it needs three evaluations of a run in the last third "
                "of training, or in its second half.",
                labels[Group(row["task"], row["model"], row["recipe"])],
            )


def signal_caption(table: pd.DataFrame) -> str:
    """How far the recipes of each task lie apart, in terms of both kinds of noise."""
    texts = []
    for row in table.head(MOST_DESCRIBED).to_dict("records"):
        signal, steps, seeds = row["signal"], row["noise_steps"], row["noise_seeds"]
        if not math.isfinite(signal):
            if math.isfinite(row["steps_to_seeds"]):
                texts.append(
                    f"{row['task']}: late evaluations have a noise of {number(steps, digits_for(steps))}, "
                    f"{_ratio(row['steps_to_seeds'])} times the spread over seeds "
                    f"({number(seeds, digits_for(seeds))})."
                )
            continue
        if signal == 0:
            texts.append(
                f"{row['task']}: the recipes differ no more than the errors of their means."
            )
            continue
        times = [
            f"{number(ratio, 1)} times the {name} ({number(noise, digits_for(noise))})"
            for ratio, name, noise in (
                (row["ratio"], "noise of late evaluations", steps),
                (row["ratio_seeds"], "spread over seeds", seeds),
            )
            if math.isfinite(ratio)
        ]
        texts.append(
            f"{row['task']}: the means of {count(int(row['recipes']), 'recipe')} have a standard "
            f"deviation of {number(signal, digits_for(signal))}"
            f"{', ' if times else ''}{' and '.join(times)}."
        )
    return " ".join(texts)


def _drawn(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of the figure: tasks, and tasks without failed runs, whose seeds differ."""
    shown = []
    for row in table.to_dict("records"):
        for which in ("", "_good") if row["runs_good"] < row["runs"] else ("",):
            label = f"{row['task']}, {WITHOUT}" if which else row["task"]
            known = {c: row[f"{c}{which}"] for c in ("signal", "noise_steps", "noise_seeds")}
            if known["noise_seeds"] > 0 and (known["signal"] > 0 or known["noise_steps"] > 0):
                shown.append({"label": label, **known})
    return pd.DataFrame(shown)


def _signals(table: pd.DataFrame) -> pd.DataFrame:
    """A row per task, and one without failed runs where there are some."""
    shown = []
    for row in table.to_dict("records"):
        shown.append(_signal_row(row, str(row["task"]), ""))
        if row["runs_good"] < row["runs"]:
            shown.append(_signal_row(row, f"{row['task']}, {WITHOUT}", "_good"))
    return pd.DataFrame(shown)


def _signal_row(row: dict[Hashable, Any], task: str, which: str) -> dict[str, str]:
    return {
        "task": task,
        "metric": str(row["metric"]),
        "recipes": f"{row[f'recipes{which}']}",
        "runs": f"{row[f'runs{which}']:,}",
        "between recipes (signal)": _sd(row[f"signal{which}"]),
        "noise of late evaluations": _sd(row[f"noise_steps{which}"]),
        "spread over seeds": _sd(row[f"noise_seeds{which}"]),
        "signal / late noise": _ratio(row[f"ratio{which}"]),
        "signal / seeds": _ratio(row[f"ratio_seeds{which}"]),
        "late noise / seeds": _ratio(row[f"steps_to_seeds{which}"]),
    }


def _noises(noise: pd.DataFrame, labels: dict[Group, str]) -> pd.DataFrame:
    shown = []
    for row in noise.to_dict("records"):
        label = labels[Group(row["task"], row["model"], row["recipe"])]
        for which in ("", "_good") if row["n_failed"] else ("",):
            failed = row["n_failed"] if which else 0
            shown.append(
                {
                    "recipe": f"{label}, {WITHOUT}" if which else label,
                    "runs": f"{row['n_runs'] - failed:,}",
                    "late evaluations": f"{row[f'n_late{which}']:,}",
                    "noise around the trend": _sd(row[f"noise_steps{which}"]),
                    "around the mean": _sd(row[f"noise_steps_with_trend{which}"]),
                    "spread over seeds": _sd(row[f"noise_seeds{which}"]),
                }
            )
    return pd.DataFrame(shown)


def _sd(value: float) -> str:
    return number(value, digits_for(value)) if math.isfinite(value) else "–"


def _ratio(value: float) -> str:
    return number(value, 1 if value >= 1 else 2) if math.isfinite(value) else "–"
