"""The sections on what happens inside the network: layers, representations, loss surfaces."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis.figures.depths import (
    MEASURES,
    distance_by_depth,
    profile_over_steps,
    similarity_by_depth,
)
from analysis.figures.labels import file_stem
from analysis.figures.surface import loss_surface
from analysis.figures.training import correction_figure
from analysis.report.captions.layers import (
    read_correction,
    read_distances,
    read_gradients,
    read_moving,
    read_similarity,
    read_surface_figure,
)
from analysis.report.results.group_results import GroupResults
from analysis.report.sections.section import Section
from analysis.training.layer_profiles import DISTANCE, GRADIENT, HOW
from analysis.training.run_similarity import similarity_by_kind

ADVICE = (
    "Distances, gradient norms and representations by layer were not recorded: "
    f"{HOW[DISTANCE]} {HOW[GRADIENT]} diagnostics.representations=256, in a study of its own."
)


def inner_sections(
    groups: list[GroupResults], surfaces: Sequence[pd.DataFrame] = ()
) -> list[Section]:
    """The sections for which there are data; empty if there are none."""
    sections = [
        correction_section(groups),
        layer_section(groups),
        similarity_section(groups),
        surface_section(groups, surfaces),
    ]
    return [section for section in sections if section.panels]


def correction_section(groups: list[GroupResults]) -> Section:
    """What a missing bias correction does to the first updates."""
    section = Section(
        "bias-correction",
        "Bias correction",
        "Adam divides its running means by 1 - beta^t, BERTAdam does not. Without the correction an "
        "update is 1/f(t) times as long as it should be, most of all in the first steps (Zhang et al. "
        "2021, Mosbach et al. 2021).",
        narrow=True,
    )
    drawn: dict[tuple[float, float, int, int], list[tuple[str, int, int]]] = {}
    for found in groups:
        table = found.table("uncorrected")
        for row in [] if table is None else table.to_dict("records"):
            key = (row["beta1"], row["beta2"], row["steps"], row["warmup"])
            drawn.setdefault(key, []).append((found.label, row["n_runs"], row["n_failed"]))
    for (beta1, beta2, steps, warmup), parts in drawn.items():
        labels = "; ".join(dict.fromkeys(label for label, _, _ in parts))
        section.add(
            f"correction-{file_stem(f'{beta1}-{beta2}-{steps}-{warmup}')}",
            labels if len(labels) <= 70 else f"{len(parts)} recipes of {steps:,} steps",
            read_correction(beta1, beta2, steps, warmup, parts),
            correction_figure,
            steps,
            warmup,
            beta1=beta1,
            beta2=beta2,
        )
    return section


def layer_section(groups: list[GroupResults]) -> Section:
    """How far layers moved and how large their gradients were."""
    section = Section(
        "layers",
        "Layer by layer",
        "Medians over runs. Distances are L2, over all parameters of a layer, from where the run "
        "started (re-initialised layers: from their new start). Gradient norms are L2, before "
        "clipping. Figures over the steps share one vertical axis per task.",
    )
    for task in dict.fromkeys(found.key.task for found in groups):
        parts = [found for found in groups if found.key.task == task]
        _add_profiles(section, parts, GRADIENT)
        _add_distances(section, task, parts)
        _add_profiles(section, parts, DISTANCE)
    for name, what, how in (
        ("distances", "distances", HOW[DISTANCE]),
        ("gradient_medians", "gradient norms", HOW[GRADIENT]),
    ):
        without = [found.label for found in groups if found.table(name) is None]
        if without:
            section.missing.append(f"{'; '.join(without)}: no {what}; train with {how}.")
    return section


def _add_distances(section: Section, task: str, parts: list[GroupResults]) -> None:
    known = [(found, t) for found in parts if (t := found.table("distances")) is not None]
    # Layers of models of different depth do not correspond.
    for deepest in dict.fromkeys(int(table["depth"].max()) for _, table in known):
        alike = [(found, t) for found, t in known if int(t["depth"].max()) == deepest]
        table = pd.concat([t for _, t in alike], ignore_index=True)
        labels = [_short(found, parts) for found, t in alike for _ in range(len(t))]
        more = f" ({deepest - 1} layers)" if len(alike) < len(known) else ""
        section.add(
            f"distances-{file_stem(task + more)}",
            f"{task}: how far layers moved{more}",
            read_distances(table, labels),
            distance_by_depth,
            table,
            labels,
        )


def _add_profiles(section: Section, parts: list[GroupResults], name: str) -> None:
    """A figure per group and outcome, all with one vertical axis."""
    log = name == GRADIENT
    source, stem, what, title, read = (
        ("gradient_medians", "gradients", "gradient norms", "gradient norm (L2)", read_gradients)
        if log
        else ("distance_medians", "moving", "distance", "L2 distance from the start", read_moving)
    )
    known = [(found, t) for found in parts if (t := found.table(source)) is not None]
    if not known:
        return
    values = pd.concat([t["median"] for _, t in known])
    values = values[values > 0]
    domain = None
    if len(values):
        domain = (float(values.min()) if log else 0.0, float(values.max()))
    for found, table in known:
        for failed, part in table.groupby("failed"):
            section.add(
                f"{stem}-{found.stem}{'-failed' if failed else ''}",
                f"{found.label}: {what} of {'failed runs' if failed else 'runs that did not fail'}",
                read(part),
                profile_over_steps,
                part,
                what=title,
                log=log,
                domain=domain,
            )


def similarity_section(groups: list[GroupResults]) -> Section:
    """How alike the representations of two runs are."""
    section = Section(
        "representations",
        "Representations of two runs",
        "The first token's hidden state after every layer, for the same validation examples, "
        "compared between every two runs: 1 (distance 0) is the same arrangement up to rotation and "
        "scale. Points are medians over pairs, rules their range. The embeddings' first token is "
        "the same in every text and can't be compared. SVCCA is high for any two runs where the "
        "examples are not several times the features.",
        narrow=True,
    )
    for found in groups:
        table = found.table("similarity")
        if table is None:
            reason = found.missing.get("similarity") or found.missing.get("all", "")
            section.missing.append(f"{found.label}: {reason}")
            continue
        summary = similarity_by_kind(table)
        for measure in MEASURES:
            section.add(
                f"{measure}-{found.stem}",
                f"{found.label}: {MEASURES[measure]}",
                read_similarity(table, summary, measure, len(found.runs)),
                similarity_by_depth,
                summary,
                measure,
            )
    return section


def surface_section(groups: list[GroupResults], surfaces: Sequence[pd.DataFrame]) -> Section:
    """The loss on planes through a start and the ends of two runs."""
    section = Section(
        "surfaces",
        "Loss surfaces",
        "The training loss (without dropout) on the plane through the start of one run and the ends "
        "of two: f(a, b) = L(start + a (failed - start) + b (successful - start)), as Mosbach et al. "
        "2021 draw it. The start has the pre-trained encoder and the new head of the run named.",
    )
    runs = {
        run.run: (found, f"init {run.init_seed}, order {run.order_seed}")
        for found in groups
        for run in found.study.runs.itertuples()
    }
    for number, table in enumerate(surfaces, 1):
        names = [str(table[column].iloc[0]) for column in ("failed", "successful")]
        if not set(names) <= set(runs):
            section.missing.append(
                f"surface {number}: the runs {' and '.join(names)} are not in the study."
            )
            continue
        which = "; ".join(
            f"{end}: {runs[name][0].label}, {runs[name][1]}"
            for end, name in zip(("Failed", "successful"), names, strict=True)
        )
        task = runs[names[0]][0].key.task
        section.add(
            f"surface-{number}",
            f"{task}: the loss around two runs" + (f" ({number})" if len(surfaces) > 1 else ""),
            f"{which}. {read_surface_figure(table)}",
            loss_surface,
            table,
        )
    return section


def _short(found: GroupResults, parts: list[GroupResults]) -> str:
    """A label without the task, which the heading names."""
    prefix = f"{found.key.task}, "
    return found.label.removeprefix(prefix) if len(parts) > 1 else found.key.recipe
