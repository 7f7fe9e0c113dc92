"""Panels over several tasks: common seeds, robust means, performance profiles."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import ClassVar

import pandas as pd

from analysis.comparison.robust_scores import profile_table, robust_means
from analysis.data.frames import row_dict
from analysis.figures.comparison import profiles
from analysis.formatting import SHUFFLED, count, p_value, too_small_to_tell
from analysis.report.results.group_results import GroupResults
from analysis.report.results.report_results import ReportResults
from analysis.report.sections.part import Entry, Missing, PageTable, Per, TableFile, drawn
from analysis.variance.seed_effects import seeds_across_tasks


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
