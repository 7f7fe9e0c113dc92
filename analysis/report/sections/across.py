"""The sections that set groups against each other: recipes, models, tasks, predictions."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.comparison.bootstrap import compare_predictions
from analysis.comparison.compare import compare
from analysis.comparison.pairing import Factor
from analysis.comparison.robust_scores import profile_table, robust_means
from analysis.data.study import Study
from analysis.errors import AnalysisError
from analysis.figures.comparison import improvement, instability_figure, profiles
from analysis.report.results.group_results import GroupResults
from analysis.report.results.numbers import count, number, p_value, percent, record
from analysis.report.sections.section import Section
from analysis.variance.seed_effects import seeds_across_tasks

FACTORS: tuple[Factor, ...] = ("recipe", "model")


def across_sections(
    study: Study, groups: list[GroupResults], seed: np.random.SeedSequence
) -> tuple[list[Section], dict[str, pd.DataFrame]]:
    """Sections on comparisons and predictions, and their tables by file name."""
    first, second, third = seed.spawn(3)
    comparison, tables = _comparison(study, first)
    predictions, more = _predictions(study, groups, second)
    tasks, most = _tasks(study, third)
    return [comparison, tasks, predictions], tables | more | most


def _comparison(
    study: Study, seed: np.random.SeedSequence
) -> tuple[Section, dict[str, pd.DataFrame]]:
    section = Section(
        "comparison",
        "Recipes and models compared",
        "Paired by seeds where both have the cell. An improvement is called meaningful when B beats "
        "A more often than not beyond chance, and may do so in more than three of four cases.",
    )
    tables: dict[str, pd.DataFrame] = {}
    for by, child in zip(FACTORS, seed.spawn(len(FACTORS)), strict=True):
        if study.runs[by].nunique() < 2:
            continue
        try:
            table = compare(study, np.random.default_rng(child), by=by)
        except AnalysisError as error:
            section.missing.append(f"Comparison of {by}s: {error}")
            continue
        if table.empty:
            section.missing.append(f"No two {by}s were run on the same task.")
            continue
        fixed = "model" if by == "recipe" else "recipe"
        several = table[fixed].nunique() > 1
        table["label"] = [
            f"{row['task']}{', ' + row[fixed] if several else ''}: {row['b']} over {row['a']}"
            for row in table.to_dict("records")
        ]
        section.add(
            f"comparison-{by}",
            f"Does B beat A? ({by}s)",
            _read_comparison(table),
            improvement,
            table,
        )
        section.tables.append((f"Comparisons of {by}s", _shown(table)))
        tables[f"comparison_{by}"] = table.drop(columns="label")
    if not tables and not section.missing:
        section.missing.append(
            "There is one recipe and one model. Run a second one with the same seeds (or pass "
            "several studies) to compare them."
        )
    return section, tables


def _read_comparison(table: pd.DataFrame) -> str:
    meaningful = table.loc[table["meaningful"].to_numpy(dtype=bool)]
    significant = int((table["welch_holm"] < 0.05).sum())
    text = (
        f"{count(len(meaningful), 'meaningful improvement')} among {count(len(table), 'comparison')}; "
        f"{significant} of the differences of means {'is' if significant == 1 else 'are'} "
        "significant at 5% after Holm's correction."
    )
    if len(meaningful):
        top = record(meaningful, int(meaningful["improvement"].argmax()))
        text += f" The clearest: {top['label']}, in {percent(top['improvement'])} of cases."
    return text


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    """The comparison as a reader needs it; all columns are in the file."""
    return pd.DataFrame(
        {
            "comparison (B over A)": table["label"],
            "runs A / B / pairs": [
                f"{a} / {b} / {p}"
                for a, b, p in zip(table["n_a"], table["n_b"], table["n_pairs"], strict=True)
            ],
            "difference of means": [
                f"{d:+.4f} [{low:.4f}, {high:.4f}]"
                for d, low, high in zip(
                    table["welch_difference"],
                    table["welch_lower"],
                    table["welch_upper"],
                    strict=True,
                )
            ],
            "Welch, after Holm": [p_value(float(p)) for p in table["welch_holm"]],
            "P(B beats A)": [
                f"{p:.2f} [{low:.2f}, {high:.2f}]"
                for p, low, high in zip(
                    table["improvement"],
                    table["improvement_lower"],
                    table["improvement_upper"],
                    strict=True,
                )
            ],
            "stochastic order ε": [f"{e:.2f}" for e in table["epsilon_min"]],
            "equal spread": [p_value(float(p)) for p in table["brown_forsythe_p"]],
            "lead changes at n": [c or "–" for c in table["crossings"]],
        }
    )


def _tasks(study: Study, seed: np.random.SeedSequence) -> tuple[Section, dict[str, pd.DataFrame]]:
    section = Section(
        "tasks",
        "Over several tasks",
        "Whether the same seeds win on several tasks (rank correlation of their means, one-sided "
        "permutation test), and how recipes do over all tasks.",
    )
    tables: dict[str, pd.DataFrame] = {}
    if study.runs["task"].nunique() < 2:
        section.missing.append("There is one task only.")
        return section, tables
    first, second, third = seed.spawn(3)
    seeds = seeds_across_tasks(study, np.random.default_rng(first))
    if len(seeds) and seeds["spearman"].notna().any():
        tables["seeds_across_tasks"] = seeds
        shown = seeds.assign(
            factor=seeds["factor"].str.replace("_", " "),
            spearman=[f"{v:.2f}" for v in seeds["spearman"]],
            p=[p_value(p, f) for p, f in zip(seeds["p_value"], seeds["p_floor"], strict=True)],
        )
        columns = ["recipe", "factor", "task_a", "task_b", "spearman", "p", "n_seeds"]
        names = ["recipe", "factor", "task", "and", "Spearman", "test", "seeds"]
        section.tables.append(
            ("Do the same seeds win?", shown[columns].set_axis(names, axis="columns"))
        )
    else:
        section.missing.append("No seeds are common to two tasks with at least three levels.")
    robust = robust_means(study, np.random.default_rng(second))
    tables["robust_means"] = robust
    profile = profile_table(study, np.random.default_rng(third))
    several = profile["model"].nunique() > 1
    profile["label"] = profile["recipe"] + (", " + profile["model"] if several else "")
    for k, (metric, part) in enumerate(profile.groupby("metric", sort=False)):
        if part["label"].nunique() < 2:
            continue
        section.add(
            f"profile-{k + 1}",
            f"Performance profile ({metric})",
            _read_profile(robust.loc[robust["metric"] == metric]),
            profiles,
            part,
        )
    return section, tables


def _read_profile(robust: pd.DataFrame) -> str:
    best = record(robust, int(robust["iqm"].argmax()))
    return (
        f"Interquartile mean over {count(int(best['n_tasks']), 'task')}: highest for "
        f"{best['recipe']}, {best['iqm']:.4f} (95% interval {best['lower']:.4f} to "
        f"{best['upper']:.4f})."
    )


def _predictions(
    study: Study, groups: list[GroupResults], seed: np.random.SeedSequence
) -> tuple[Section, dict[str, pd.DataFrame]]:
    section = Section(
        "predictions",
        "Where predictions differ",
        "Runs with the same score need not agree. Averages over distinct pairs of runs.",
    )
    tables: dict[str, pd.DataFrame] = {}
    found = [(t, g.label) for g in groups if (t := g.table("instability")) is not None]
    if not found:
        section.missing.append(
            "No predictions are stored (a table of final logits is needed), so that runs can be "
            "compared by their scores only."
        )
        return section, tables
    table = pd.concat([t for t, _ in found], ignore_index=True)
    labels = [label for _, label in found]
    tables["instability"] = table
    reading = ""
    if table["disagreement"].notna().any():
        at = int(table["disagreement"].fillna(-1.0).argmax())
        most = record(table, at)
        reading = (
            f"On {labels[at]}, two runs disagree on {percent(most['disagreement'])} of "
            f"{count(int(most['n_examples']), 'example')}, while their scores vary with a "
            f"standard deviation of {number(most['sd_score'], 4)}."
        )
    section.add(
        "instability",
        "Instability of predictions",
        reading,
        instability_figure,
        table,
        labels,
    )
    for by, child in zip(FACTORS, seed.spawn(len(FACTORS)), strict=True):
        if study.runs[by].nunique() < 2:
            continue
        try:
            boot = compare_predictions(study, np.random.default_rng(child), by=by)
        except AnalysisError as error:
            section.missing.append(f"Multi-bootstrap of {by}s: {error}")
            continue
        if len(boot):
            tables[f"multi_bootstrap_{by}"] = boot
            section.tables.append((f"Multi-bootstrap over seeds and examples ({by}s)", _boot(boot)))
    return section, tables


def _boot(table: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "task": table["task"],
            "B over A": table["b"] + " over " + table["a"],
            "measure": table["measure"],
            "difference [95%]": [
                f"{d:+.4f} [{low:.4f}, {high:.4f}]"
                for d, low, high in zip(
                    table["difference"], table["lower"], table["upper"], strict=True
                )
            ],
            "B no better": [
                p_value(p, f) for p, f in zip(table["p_value"], table["p_floor"], strict=True)
            ],
            "examples": table["n_examples"],
        }
    )
