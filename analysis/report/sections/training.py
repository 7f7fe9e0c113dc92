"""The sections on the best of n, on early stopping, and on training itself."""

from __future__ import annotations

import pandas as pd

from analysis.figures.best_of import best_of_recipes, expected_best
from analysis.figures.curves import loss_bands
from analysis.figures.labels import file_stem
from analysis.figures.stopping import rank_heatmap, replay_values, stopping_plans, stopping_value
from analysis.figures.training import loss_against_score
from analysis.report.captions.training import (
    read_ends,
    read_expected_max,
    read_losses,
    read_rank_correlation,
    read_replay,
    read_stopping,
)
from analysis.report.results.group_results import GroupResults, recipe_name
from analysis.report.sections.layers import ADVICE
from analysis.report.sections.section import Section


def best_of_section(groups: list[GroupResults]) -> Section:
    """The best of n runs, per group and by recipe."""
    section = Section(
        "best-of-n",
        "The best of n runs",
        "What one may expect from training n runs and keeping the best. Lines are the unbiased "
        "estimate (the plug-in one is in the tables); the band belongs to the median of the best and "
        "holds for all n at once.",
    )
    for found in groups:
        table = found.table("expected_max")
        if table is None:
            section.missing.append(f"{found.label}: {_why(found, 'expected_max')}")
            continue
        section.add(
            f"expected-max-{found.stem}",
            found.label,
            read_expected_max(found),
            expected_best,
            table,
            metric=found.metric,
        )
    by_task: dict[str, list[GroupResults]] = {}
    for found in groups:
        if found.table("expected_max") is not None:
            by_task.setdefault(found.key.task, []).append(found)
    for task, parts in by_task.items():
        if len(parts) < 2:
            continue
        rows = [_richest(found) for found in parts]
        section.add(
            f"best-of-{file_stem(task)}",
            f"{task}: best of n by recipe",
            "Bands end where they say nothing more; where lines cross, the better recipe depends "
            "on the number of runs.",
            best_of_recipes,
            pd.concat(rows, ignore_index=True),
            metric=parts[0].metric,
        )
    return section


def _richest(found: GroupResults) -> pd.DataFrame:
    table = found.tables["expected_max"]
    name = next(s for s in ("every", "epoch", "final") if (table["schedule"] == s).any())
    return table.loc[table["schedule"] == name].assign(recipe=recipe_name(found))


def stopping_section(groups: list[GroupResults]) -> Section:
    """What early stopping would have bought, and how early ranks foretell late ones."""
    section = Section(
        "early-stopping",
        "Early stopping",
        "Start t runs, stop them after a share f of training, continue the best p: the exact "
        "expectation of the best score over all draws from the recorded runs, for the best plan of "
        "every budget, beside the same budget without stopping. The plan was chosen on these runs, "
        "which flatters it; the dashed line is what a plan chosen on one half of the runs is worth on "
        "the other.",
    )
    for found in groups:
        table = found.table("early_stopping")
        if table is None:
            section.missing.append(f"{found.label}: {_why(found, 'early_stopping')}")
        else:
            section.add(
                f"stopping-{found.stem}",
                f"{found.label}: value of early stopping",
                read_stopping(found),
                stopping_value,
                table,
                metric=found.metric,
            )
            section.add(
                f"plans-{found.stem}",
                f"{found.label}: best plan of every budget",
                "Triangles: runs started, with the share of training after which they are stopped; "
                "circles: runs continued.",
                stopping_plans,
                table,
            )
        ranks = found.table("rank_correlation")
        if ranks is not None:
            section.add(
                f"ranks-{found.stem}",
                f"{found.label}: do early scores foretell late ones?",
                read_rank_correlation(found),
                rank_heatmap,
                ranks,
            )
        replay = found.table("replay")
        if replay is not None:
            section.add(
                f"pruners-{found.stem}",
                f"{found.label}: Optuna's pruners replayed",
                read_replay(found),
                replay_values,
                replay,
                metric=found.metric,
            )
    return section


def loss_section(groups: list[GroupResults]) -> Section:
    """Training losses, where they were recorded, and how they ended beside the scores."""
    section = Section("losses", "Training losses")
    for found in groups:
        if found.study.steps is None:
            section.missing.append(
                f"{found.label}: no training losses were recorded (a table of steps is needed)."
            )
            continue
        section.add(
            f"losses-{found.stem}",
            found.label,
            read_losses(found),
            loss_bands,
            found.study,
        )
    for task in dict.fromkeys(found.key.task for found in groups):
        parts = [found for found in groups if found.key.task == task]
        known = [(found, t) for found in parts if (t := found.table("final_losses")) is not None]
        if known:
            table = pd.concat([t.assign(label=found.label) for found, t in known])
            section.add(
                f"ends-{file_stem(task)}",
                f"{task}: training loss against score at the end",
                read_ends(table),
                loss_against_score,
                table.reset_index(drop=True),
                metric=known[0][0].metric,
            )
    recorded = ("distances", "gradient_medians", "similarity")
    if section.panels and not any(found.table(t) is not None for found in groups for t in recorded):
        section.missing.append(ADVICE)
    return section


def _why(found: GroupResults, name: str) -> str:
    return found.missing.get(name) or found.missing.get("all") or "there are too few runs."
