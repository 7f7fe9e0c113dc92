"""A report on a study: one HTML file, figures for a paper, tables, and a summary for machines."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import math
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.data.labels import file_stems, group_labels
from analysis.data.study import Group, Study
from analysis.data.warnings import StudyWarning, study_warnings
from analysis.errors import OptionError, TableError
from analysis.figures.theme import save_spec
from analysis.formatting import count
from analysis.report.answers import answer_text, overview, spread_text
from analysis.report.contents import CONTENTS
from analysis.report.earlier import (
    FIGURES,
    METHODS,
    PAGE,
    SUMMARY,
    TABLES,
    check_files,
    check_folder,
    earlier_files,
    report_files,
)
from analysis.report.facts import answer_facts, share_intervals
from analysis.report.html.page import Page, heading, render
from analysis.report.methods.paragraph import methods
from analysis.report.results.group_results import GroupResults, analyse_group, shuffles_for
from analysis.report.results.paper_tables import paper_tables, write_paper_tables
from analysis.report.results.report_results import ReportResults
from analysis.report.results.tables import report_tables, write_tables
from analysis.report.sections.section import Outline, Section, fill_sections
from analysis.variance.late_noise import late_noise_warnings

Mapper = Callable[..., Iterable[Any]]
# Below this many evaluations in all, starting a second process takes longer than it saves.
WORTH_PROCESSES = 20_000


def write_report(
    study: Study,
    out: str | os.PathLike[str],
    *,
    source: str = "",
    seed: int = 0,
    workers: int = 1,
    surfaces: Sequence[pd.DataFrame] = (),
    barriers: Sequence[pd.DataFrame] = (),
    contents: tuple[Outline, ...] = CONTENTS,
    overwrite: bool = False,
) -> Path:
    """Write a complete report.

    Parameters
    ----------
    study : Study
        From `read_table` or `read_study`; join several with `concat_studies`.
    out : path
        Folder to write to; made if missing. Gets ``report.html`` (self-contained),
        ``figures/*.{svg,pdf,png}``, ``tables/*.csv``, ``tables/methods.md`` and ``summary.json``. The files of
        an earlier report, which its ``summary.json`` lists, are replaced.
    source : str
        Where the data come from, for the heading.
    seed : int, at least 0
        Decides every shuffle, bootstrap and halving.
    workers : int, at least 1
        Processes for the groups' estimates and for the figures' files; see
        `useful_workers`. The result does not depend on it. More than one needs a
        script that is guarded by ``if __name__ == "__main__"``.
    surfaces : sequence of DataFrame
        Loss surfaces of the study's runs, from `loss_surfaces.read_surface`.
    barriers : sequence of DataFrame
        Lines between the study's runs, from `loss_surfaces.read_barrier`.
    contents : tuple of Outline
        Sections in order, with their parts: the standard ones by default.
    overwrite : bool
        Also replace files of the same names that no report has written.

    Returns
    -------
    Path
        The HTML file.

    Raises
    ------
    TableError
        The study holds no run. Results that a study cannot support are listed in
        the report instead.
    OptionError
        `seed` or `workers` is outside its range, or files of others are in the way.
    """
    if study.runs.empty:
        raise TableError("the study holds no run; a report needs at least one.")
    if seed < 0 or workers < 1:
        raise OptionError(
            f"seed is {seed} and workers {workers}; allowed: whole numbers from 0 and from 1 on."
        )
    folder = Path(out)
    if not overwrite:
        check_folder(folder)
    root = np.random.SeedSequence(seed)
    for_groups, for_bands, for_parts = root.spawn(3)
    with _mapper(workers) as mapped:
        groups = _analysed(study, for_groups, mapped)
        report = ReportResults(
            study, groups, surfaces, barriers, seed=for_parts, bands_seed=for_bands
        )
        return _written(report, contents, folder, source, seed, mapped, overwrite)


def useful_workers(study: Study) -> int:
    """Two for a large study on a machine with two cores or more, else one."""
    large = study.curves is not None and len(study.curves) >= WORTH_PROCESSES
    return min(2, os.cpu_count() or 1) if large else 1


def _written(
    report: ReportResults,
    contents: tuple[Outline, ...],
    folder: Path,
    source: str,
    seed: int,
    mapped: Mapper,
    overwrite: bool,
) -> Path:
    study, groups = report.study, report.groups
    sections = fill_sections(contents, report)
    tables = report_tables(groups)
    for section in sections:
        tables |= section.files
    tables["runs"] = study.runs
    facts = [answer_facts(group) for group in groups]
    shares = {g.key: share_intervals(f) for g, f in zip(groups, facts, strict=True)}
    warnings = study_warnings(study, shares=shares)
    warnings += late_noise_warnings(tables.get("late_noise", pd.DataFrame()))
    permutations = min(shuffles_for(len(group.runs)) for group in groups)
    used = methods(groups, tables, permutations)
    page = Page(
        title=heading(list(dict.fromkeys(study.runs["task"]))),
        subtitle=_subtitle(study, source),
        answers=[(g.label, answer_text(g, f)) for g, f in zip(groups, facts, strict=True)],
        overall=spread_text(facts),
        overview=overview(facts, [g.label for g in groups]),
        warnings=gathered(warnings, {g.key: g.label for g in groups}),
        sections=sections,
        runs=study.runs,
        seed=seed,
        permutations=permutations,
        methods=used,
    )
    figures = [p.stem for s in sections for p in s.panels]
    papers = paper_tables(groups, tables)
    files = report_files(figures, tables, [table.name for table in papers])
    if not overwrite:
        check_files(folder, files)
    folder.mkdir(parents=True, exist_ok=True)
    for stale in earlier_files(folder) - files:
        (folder / stale).unlink(missing_ok=True)
    summary = {
        "source": source,
        "seed": seed,
        "groups": facts,
        "answer": dict(page.answers),
        "warnings": [
            {"rule": w.rule, "group": w.group and w.group._asdict(), "message": w.message}
            for w in warnings
        ],
        "missing": {s.title: s.missing for s in sections if s.missing},
        "figures": figures,
        "tables": sorted(tables),
        "paper_tables": sorted(table.name for table in papers),
        "texts": [*METHODS],
    }
    text = json.dumps(_finite(summary), indent=2, ensure_ascii=False, allow_nan=False)
    # First, so that the files of a report that is interrupted are known as a report's.
    (folder / SUMMARY).write_text(text + "\n", encoding="utf-8")
    write_tables(tables, folder / TABLES)
    write_paper_tables(papers, folder / TABLES)
    for name, words in zip(METHODS, (used.markdown(), used.bibtex()), strict=True):
        (folder / TABLES / name).write_text(words, encoding="utf-8")
    _write_figures(sections, folder / FIGURES, mapped)
    path = folder / PAGE
    path.write_text(render(page), encoding="utf-8")
    return path


@contextlib.contextmanager
def _mapper(workers: int) -> Iterator[Mapper]:
    """``map`` over worker processes; the builtin ``map`` for a single worker."""
    if workers < 2:
        yield map
        return
    # Not forked: other threads of the caller may hold locks.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(workers, mp_context=context) as pool:
        yield pool.map


def _analysed(study: Study, seed: np.random.SeedSequence, mapped: Mapper) -> list[GroupResults]:
    labels = group_labels(study)
    stems = file_stems(labels)
    jobs = [
        (key, labels[key], stems[key], part, child)
        for (key, part), child in zip(study.groups(), seed.spawn(len(labels)), strict=True)
    ]
    return list(mapped(analyse_group, *zip(*jobs, strict=True)))


def _write_figures(sections: Sequence[Section], folder: Path, mapped: Mapper) -> None:
    panels = [panel for section in sections for panel in section.panels]
    specs = [panel.spec | {"title": panel.heading} for panel in panels]
    list(mapped(save_spec, specs, [folder / panel.stem for panel in panels]))


def _subtitle(study: Study, source: str) -> str:
    runs = study.runs
    failed = int((runs["failed"] & runs["complete"]).sum())
    which = {"best": "", "final": "last scores of ", "test": "test scores of "}
    parts = [
        f"{which[study.score]}{count(len(runs), 'run')}",
        count(runs["task"].nunique(), "task"),
        count(runs["recipe"].nunique(), "recipe"),
    ]
    if runs["model"].nunique() > 1:
        parts.append(count(runs["model"].nunique(), "model"))
    parts.append(f"{failed:,} failed")
    stopped = int((~runs["complete"]).sum())
    if stopped:
        parts.append(f"{stopped:,} not trained to the end")
    return (f"{source}: " if source else "") + ", ".join(parts)


def gathered(
    warnings: Sequence[StudyWarning], labels: dict[Group, str]
) -> list[tuple[str, str, str]]:
    """Warnings as (rule, where, text); equal texts of several groups become one."""
    places: dict[tuple[str, str], list[str]] = {}
    for warning in warnings:
        names = places.setdefault((warning.rule, warning.message), [])
        if warning.group is not None:
            names.append(labels[warning.group])
    # A warning of every group needs no list of them.
    return [
        (rule, "" if len(where) == len(labels) else "; ".join(where), text)
        for (rule, text), where in places.items()
    ]


def _finite(value: object) -> object:
    """The value with plain numbers for numpy's, and null for numbers that JSON cannot hold."""
    if isinstance(value, dict):
        return {str(name): _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
