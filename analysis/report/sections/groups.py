"""The sections of the report that show every group by itself: scores, grids, variance."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.data.study import Study, concat_studies
from analysis.figures.curves import validation_curves
from analysis.figures.heatmap import heatmap
from analysis.figures.labels import file_stem
from analysis.figures.scores import failure_figure, score_strips
from analysis.figures.seeds import best_worst_densities, seed_ranking, variance_shares
from analysis.report.captions.seeds import (
    read_extremes,
    read_failures,
    read_heatmap,
    read_scores,
    read_seed_means,
    read_tests,
    read_variance,
)
from analysis.report.captions.training import read_curves
from analysis.report.results.group_results import GroupResults
from analysis.report.sections.section import Section
from analysis.report.sections.training import best_of_section, loss_section, stopping_section


def group_sections(groups: list[GroupResults], seed: np.random.SeedSequence) -> list[Section]:
    """The sections that show every group by itself, in the order of the report."""
    return [
        _scores(groups),
        _grids(groups),
        _variance(groups, seed),
        best_of_section(groups),
        stopping_section(groups),
        loss_section(groups),
    ]


def _scores(groups: list[GroupResults]) -> Section:
    section = Section(
        "scores",
        "Scores and failures",
        "Every run is a point; a box spans the middle half, its tick is the median and the diamond "
        "the mean. A run fails when its final score does not beat the majority classifier. Two bars "
        "show what the test set alone does to an accuracy: how far equally good runs differ on it, "
        "and how far it may be off for all of them together.",
    )
    by_task: dict[str, list[GroupResults]] = {}
    for found in groups:
        by_task.setdefault(found.key.task, []).append(found)
    for task, parts in by_task.items():
        tables = [t for found in parts if (t := found.table("floor")) is not None]
        floors = pd.concat(tables, ignore_index=True) if tables else None
        section.add(
            f"scores-{parts[0].stem}" if len(parts) == 1 else f"scores-{file_stem(task)}",
            task,
            read_scores(parts),
            score_strips,
            _joined(parts),
            floors,
        )
        if floors is None:
            section.missing.append(
                f"{task}: no noise floor. It needs accuracies and the number of test examples "
                "(a column n_examples, or stored predictions)."
            )
    rates = [(t, found.label) for found in groups if (t := found.table("failure")) is not None]
    if rates:
        table = pd.concat([t for t, _ in rates], ignore_index=True)
        labels = [label for _, label in rates]
        section.add(
            "failures",
            "Failure rates",
            read_failures(table, labels),
            failure_figure,
            table,
            labels,
        )
    return section


def _grids(groups: list[GroupResults]) -> Section:
    section = Section(
        "grids",
        "The grids",
        "One cell per run: init seeds down, order seeds across, their means at the edges in the "
        "same colours. Point at a cell to see its seeds and scores; where curves were recorded, its "
        "curve lights up in the figure that follows.",
    )
    for found in groups:
        curves = f"curves-{found.stem}" if found.study.curves is not None else ""
        if not found.recorded.runs["complete"].any():
            section.missing.append(f"{found.label}: {found.missing['all']}")
            continue
        section.add(
            f"heatmap-{found.stem}",
            f"{found.label}: scores by seeds",
            read_heatmap(found),
            heatmap,
            found.recorded,
            link=curves,
        )
        if curves:
            section.add(
                curves,
                f"{found.label}: scores over training",
                read_curves(found),
                validation_curves,
                found.recorded,
            )
        else:
            section.missing.append(
                f"{found.label}: no curves. Record evaluations during training, or give a long "
                "table (run, fraction, score), to see them here."
            )
    return section


def _variance(groups: list[GroupResults], seed: np.random.SeedSequence) -> Section:
    section = Section(
        "variance",
        "Where the variance comes from",
        "Shares of the variance of scores by Henderson's method III, with jackknife intervals. An "
        "interval that reaches 0 means that the seeds may not matter at all. Behind the means of the "
        "seeds, in grey: where sorted means fall when scores are shuffled over all cells. Points "
        "within it are no evidence that seeds differ.",
        narrow=True,
    )
    for k, found in enumerate(groups):
        table = found.table("variance")
        shared = None if table is None else table.dropna(subset="share")
        if shared is not None and not found.runs["failed"].any():
            shared = shared.loc[shared["subset"] == "all runs"]
        if shared is None or shared.empty:
            reason = found.missing.get("variance") or found.missing.get("all", "")
            if table is not None:
                reason = str(table["note"].iloc[0])
            section.missing.append(f"{found.label}: no variance shares; {reason}")
        else:
            section.add(
                f"variance-{found.stem}",
                f"{found.label}: shares of the variance",
                read_variance(found),
                variance_shares,
                shared,
                list(shared["subset"]),
            )
        means = found.table("seed_means")
        if means is not None and len(found.runs) > 1:
            generator = np.random.default_rng([*seed.generate_state(2), k])
            section.add(
                f"seeds-{found.stem}",
                f"{found.label}: means of the seeds",
                f"{read_tests(found)} {read_seed_means(found)}".strip(),
                seed_ranking,
                found.study,
                means,
                generator,
            )
        extremes = found.table("extremes")
        if extremes is not None:
            section.add(
                f"extremes-{found.stem}",
                f"{found.label}: best and worst seeds",
                read_extremes(found),
                best_worst_densities,
                extremes,
                metric=found.metric,
            )
    return section


def _joined(parts: list[GroupResults]) -> Study:
    return parts[0].study if len(parts) == 1 else concat_studies([p.study for p in parts])
