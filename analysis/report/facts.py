"""The numbers behind the answer to each group, as `summary.json` holds them."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from analysis.best_of_n.expected_max import expected_max
from analysis.data.early_stopped import at_the_decision, is_selected
from analysis.data.frames import row_dict
from analysis.formatting import round_step
from analysis.planning.grid_size import (
    SeedVariances,
    grid_for_power,
    grid_for_width,
    seed_variances,
)
from analysis.planning.sample_size import runs_for_power, runs_for_width
from analysis.report.results.choosing_answer import choosing_facts
from analysis.report.results.group_results import GroupResults
from analysis.report.results.stopping_results import REFERENCE
from analysis.rounding import spread, varies

FACTORS = {"init": "init_seed", "order": "order_seed"}


def answer_facts(group: GroupResults) -> dict[str, object]:
    """The numbers behind the answer, for `summary.json`."""
    runs, scores = group.runs, group.scores
    facts: dict[str, object] = {
        **group.key._asdict(),
        "metric": group.metric,
        "score": group.study.score,
        "higher_is_better": group.up,
        "n_runs": len(runs),
        "n_failed": int(runs["failed"].sum()) if len(runs) else 0,
        "n_incomplete": len(group.recorded.incomplete_runs()),
        "seeds_move_together": group.together,
    }
    if is_selected(group.recorded):
        table = at_the_decision(group.recorded)
        facts["at_the_decision"] = None if table.empty else row_dict(table, 0)
    if runs.empty:
        return facts
    sd = spread(scores)
    facts |= {
        "mean": float(scores.mean()),
        "sd": sd,
        "min": float(scores.min()),
        "max": float(scores.max()),
        "mean_difference_of_two_runs": mean_difference(runs),
    }
    if (means := group.table("means")) is not None:
        known = row_dict(means, 0)
        facts["mean_interval"] = [float(known["lower"]), float(known["upper"])]
        facts["design"] = known["design"]
    parts = seed_variances(runs)
    # The standard deviation of a small grid is low, because its runs share seeds.
    apart = parts.sd if parts is not None else sd
    if len(scores) >= 5:
        one, five = expected_max(scores, [1, 5], lower_is_better=not group.up)
        facts["gain_of_best_of_5"] = abs(float(five - one)) * (apart / sd if sd > 0 else 1.0)
    failure = group.table("failure")
    if failure is not None:
        row = failure.iloc[0]
        facts |= {
            "failures_judged": bool(row["judged"]),
            "failure_rate": [float(row[c]) for c in ("rate", "lower", "upper")],
        }
    facts |= _shares(group) | _needed(sd, parts) | _saved(group) | choosing_facts(group)
    return facts


def _shares(group: GroupResults) -> dict[str, object]:
    variance, tests = group.table("variance"), group.table("tests")
    facts: dict[str, object] = {}
    if variance is not None:
        for subset, part in variance.dropna(subset="share").groupby("subset", sort=False):
            name = "shares" if subset == "all runs" else f"shares_{str(subset).replace(' ', '_')}"
            facts[name] = {
                str(row["component"]): [
                    float(row[c]) for c in ("share", "share_lower", "share_upper")
                ]
                for row in part.to_dict("records")
            }
    if tests is not None:
        restricted = tests.loc[tests["test"] == "restricted permutation"]
        for fact, column in (("p_values", "p_value"), ("p_floors", "p_floor")):
            facts[fact] = {
                name: float(restricted.loc[restricted["factor"] == factor, column].iloc[0])
                for name, factor in FACTORS.items()
                if (restricted["factor"] == factor).any()
            }
    return facts


def share_intervals(facts: dict[str, object]) -> dict[str, tuple[float, float]]:
    """Limits of the shares of init and order, from `answer_facts`; NaN where there are none."""
    shares = facts.get("shares")
    if not isinstance(shares, dict):
        return {}
    return {name: (shares[name][1], shares[name][2]) for name in FACTORS if name in shares}


def _needed(sd: float, parts: SeedVariances | None) -> dict[str, object]:
    half, effect = round_step(sd / 4), round_step(sd / 2)
    if not (math.isfinite(half) and sd > 0):
        return {}
    sd = sd if parts is None else parts.sd
    facts: dict[str, object] = {
        "mean_within": half,
        "runs_for_mean_within": runs_for_width(2 * half, sd),
        "effect": effect,
        "runs_for_effect": runs_for_power(effect, sd),
    }
    if parts is not None:
        facts["grid_for_mean_within"] = grid_for_width(2 * half, parts)
        facts["grid_for_effect"] = grid_for_power(effect, parts.doubled())
    return facts


def _saved(group: GroupResults) -> dict[str, object]:
    table = group.table("early_stopping")
    if table is None:
        return {}
    plans = table.set_index("budget")
    judged = plans["split_half"].notna()
    budget = min(REFERENCE, int(plans.index[judged].max() if judged.any() else plans.index.max()))
    row = row_dict(table, int((table["budget"] == budget).argmax()))
    facts: dict[str, object] = {str(name): row[str(name)] for name in table.columns[2:]}
    saving = group.table("saving")
    saves = [] if saving is None else saving.loc[saving["saves"], "budget"].tolist()
    facts["budget_with_stopping"] = min([*saves, budget])
    return {"early_stopping": facts}


def mean_difference(runs: pd.DataFrame) -> float:
    """Mean absolute difference of the scores of two runs that share no seed.

    Gini's mean difference over such pairs; over all pairs where every two runs share a seed. NaN for
    fewer than two runs.
    """
    if not varies(runs["score"]):
        return 0.0 if len(runs) > 1 else math.nan
    init, order = FACTORS.values()
    whole = _differences(runs["score"])
    shared = [_grouped(runs, [init]), _grouped(runs, [order]), _grouped(runs, [init, order])]
    total, pairs = (whole[k] - shared[0][k] - shared[1][k] + shared[2][k] for k in (0, 1))
    return total / pairs if pairs else whole[0] / whole[1]


def _grouped(runs: pd.DataFrame, columns: list[str]) -> tuple[float, int]:
    """Sum of absolute differences within groups, and the number of pairs."""
    parts = [_differences(scores) for _, scores in runs.groupby(columns)["score"]]
    return sum(total for total, _ in parts), sum(pairs for _, pairs in parts)


def _differences(scores: pd.Series) -> tuple[float, int]:
    ordered = scores.sort_values().to_numpy(dtype=float)
    n = len(ordered)
    weights = 2 * np.arange(1, n + 1) - n - 1
    return float((weights * ordered).sum()), n * (n - 1) // 2
