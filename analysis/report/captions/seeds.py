"""One-sentence readings of the figures of scores and seeds, computed from what they show."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from analysis.data.early_stopped import is_selected
from analysis.report.results.early_stopped import read_stopped_grid
from analysis.report.results.group_results import GroupResults
from analysis.report.results.numbers import count, digits_for, number, p_value, percent, record
from analysis.variance.components import SUBSETS


def read_heatmap(found: GroupResults) -> str:
    """Where the best and worst cell lie, and how little the means of rows and columns move."""
    if is_selected(found.recorded):
        return read_stopped_grid(found.recorded)
    runs, d = found.runs, digits_of(found)
    scores = runs["score"]
    ends = (int(scores.argmax()), int(scores.argmin()))
    best, worst = (record(runs, at) for at in (ends if found.up else ends[::-1]))
    text = (
        f"The best cell is init {best['init_seed']}, order {best['order_seed']} with "
        f"{number(best['score'], d)}, the worst init {worst['init_seed']}, order "
        f"{worst['order_seed']} with {number(worst['score'], d)}."
    )
    spans = []
    for factor, name in (("init_seed", "init"), ("order_seed", "order")):
        means = runs.groupby(factor)["score"].mean()
        if len(means) > 1:
            spans.append(f"{number(float(np.ptp(means)), d)} between {name} seeds")
    if spans:
        text += f" The means span {' and '.join(spans)}, single runs {number(float(np.ptp(scores)), d)}."
    failed = runs.loc[runs["failed"]]
    if len(failed):
        by_init = failed["init_seed"].value_counts()
        of = int((runs["init_seed"] == by_init.index[0]).sum())
        text += f" Init {by_init.index[0]} failed most often, {by_init.iloc[0]} of {of} times."
    empty = int(found.study.grid().isna().to_numpy().sum())
    if empty:
        text += f" {count(empty, 'cell')} of the grid {'has' if empty == 1 else 'have'} no complete run."
    return text


def read_variance(found: GroupResults) -> str:
    """What changes when failed runs are left out, and what the tests say."""
    table = found.table("variance")
    parts = []
    if table is not None:
        share = table.set_index(["subset", "component"])["share"]
        pairs = [(subset, c) for c in ("init", "order") for subset in SUBSETS[:2]]
        if found.runs["failed"].any() and all(pair in share.index for pair in pairs):
            parts.append(
                "Leaving out failed runs, the share of init goes from {} to {} and that of order "
                "from {} to {}.".format(*(percent(float(share[pair])) for pair in pairs))
            )
    spreads = found.table("spreads")
    if spreads is not None:
        row = spreads.iloc[0]
        d = digits_of(found)
        if math.isfinite(row["sd_given_init"]):
            parts.append(
                f"With the init seed fixed the standard deviation is {number(row['sd_given_init'], d)}, "
                f"with the order seed fixed {number(row['sd_given_order'], d)}, overall "
                f"{number(row['sd_overall'], d)}."
            )
    return " ".join(parts)


def read_tests(found: GroupResults) -> str:
    """Whether init and order matter, and what the published comparison would have claimed."""
    tests, published = found.table("tests"), found.table("published_tests")
    parts = []
    for factor, name in (("init_seed", "init"), ("order_seed", "order")):
        p = _p_of(tests, factor, "restricted permutation")
        if not math.isfinite(p):
            continue
        verdict = "differ more than chance allows" if p < 0.05 else "do not differ beyond chance"
        text = f"The {name} seeds {verdict} ({p_value(p, 1e-4)})"
        naive = _p_of(published, factor, "best against worst, naive")
        aware = _p_of(published, factor, "best against worst, selection-aware")
        if math.isfinite(naive) and math.isfinite(aware):
            text += (
                f"; comparing the best with the worst of them after sorting would give "
                f"{p_value(naive)}, which becomes {p_value(aware, 1e-4)} once the selection is counted"
            )
        parts.append(text + ".")
    return " ".join(parts)


def read_seed_means(found: GroupResults) -> str:
    """How many seeds leave the band that shuffled scores would show."""
    table = found.table("seed_means")
    if table is None:
        return ""
    d = digits_of(found)
    parts = []
    for factor, name in (("init_seed", "init"), ("order_seed", "order")):
        means = table.loc[table["factor"] == factor].sort_values("rank")
        if len(means) > 1:
            first, last = means.iloc[0], means.iloc[-1]
            parts.append(
                f"{name} {first['seed']} has the best mean ({number(first['mean'], d)}) and "
                f"{name} {last['seed']} the worst ({number(last['mean'], d)})"
            )
    if not parts:
        return ""
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def read_extremes(found: GroupResults) -> str:
    """How far the best and the worst seed are apart, with the warning that they were chosen."""
    table = found.table("extremes")
    if table is None:
        return ""
    d = digits_of(found)
    mean = {key: float(m) for key, m in table.groupby(["factor", "place"])["score"].mean().items()}
    parts = [
        f"{number(abs(mean[factor, 'best'] - mean[factor, 'worst']), d)} for {name}"
        for factor, name in (("init_seed", "init"), ("order_seed", "order"))
        if (factor, "best") in mean
    ]
    return (
        f"The means of the best and the worst seed differ by {' and '.join(parts)}. They were chosen "
        "for being extreme: seeds that do not matter would differ, too."
    )


def read_scores(parts: list[GroupResults]) -> str:
    """How the spread of scores compares with what the test set alone makes."""
    texts = []
    for found in parts:
        floor = found.table("floor")
        if floor is None:
            continue
        row = floor.iloc[0]
        if not math.isfinite(row["floor_sd"]) or not row["observed_sd"] > 0:
            continue
        share = min((row["floor_sd"] / row["observed_sd"]) ** 2, 1.0)
        d = digits_for(row["floor_sd"])
        texts.append(
            f"{found.label}: equally good runs would differ with a standard deviation of "
            f"{number(row['floor_sd'], d)} on these {int(row['n_examples']):,} examples, "
            f"{percent(share)} of the variance observed"
        )
    return "; ".join(texts) + "." if texts else ""


def read_failures(table: pd.DataFrame, labels: list[str]) -> str:
    """Which group fails most, and whether its interval stands apart."""
    shown = table.assign(label=labels).loc[table["judged"].to_numpy(dtype=bool)]
    if shown.empty:
        return ""
    if not shown["n_failed"].any():
        return f"No run failed of {count(int(shown['n_runs'].sum()), 'run')}."
    if len(shown) == 1:
        one = record(shown, 0)
        return f"{int(one['n_failed'])} of {count(int(one['n_runs']), 'run')} failed."
    at = int(shown["rate"].argmax())
    most = record(shown, at)
    text = f"{most['label']} fails most, {int(most['n_failed'])} of {count(int(most['n_runs']), 'run')}"
    rest = shown.drop(index=shown.index[at])
    apart = (rest["upper"] < most["lower"]).all()
    return text + ("; its interval lies above all others." if apart else "; the intervals overlap.")


def digits_of(found: GroupResults) -> int:
    """Decimals for the scores of a group."""
    return digits_for(float(found.scores.std())) if len(found.scores) > 1 else 3


def _p_of(table: pd.DataFrame | None, factor: str, test: str) -> float:
    if table is None:
        return math.nan
    row = table.loc[(table["factor"] == factor) & (table["test"] == test), "p_value"]
    return float(row.iloc[0]) if len(row) else math.nan
