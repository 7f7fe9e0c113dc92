"""The answer in words: what seeds are worth here, and how many runs one needs."""

from __future__ import annotations

import math
from collections.abc import Callable

import pandas as pd

from analysis.best_of_n.expected_max import expected_max
from analysis.data.early_stopped import at_the_decision, is_selected
from analysis.planning.sample_size import runs_for_power, runs_for_width
from analysis.report.results.early_stopped import stopped_words
from analysis.report.results.group_results import GroupResults
from analysis.report.results.numbers import (
    count,
    digits_for,
    mean_difference,
    number,
    p_value,
    percent,
    record,
    round_step,
)

FACTORS = {"init": "init_seed", "order": "order_seed"}


def answer_facts(found: GroupResults) -> dict[str, object]:
    """The numbers behind the answer, for `summary.json`."""
    runs, scores = found.runs, found.scores
    facts: dict[str, object] = {
        **found.key._asdict(),
        "metric": found.metric,
        "higher_is_better": found.up,
        "n_runs": len(runs),
        "n_failed": int(runs["failed"].sum()) if len(runs) else 0,
        "n_incomplete": len(found.recorded.incomplete_runs()),
    }
    if is_selected(found.recorded):
        table = at_the_decision(found.recorded)
        facts["at_the_decision"] = None if table.empty else record(table, 0)
    if runs.empty:
        return facts
    sd = float(scores.std()) if len(scores) > 1 else math.nan
    facts |= {
        "mean": float(scores.mean()),
        "sd": sd,
        "min": float(scores.min()),
        "max": float(scores.max()),
        "mean_difference_of_two_runs": mean_difference(scores),
    }
    if len(scores) >= 5:
        one, five = expected_max(scores, [1, 5], lower_is_better=not found.up)
        facts["gain_of_best_of_5"] = abs(float(five - one))
    failure = found.table("failure")
    if failure is not None:
        row = failure.iloc[0]
        facts |= {
            "failures_judged": bool(row["judged"]),
            "failure_rate": [float(row[c]) for c in ("rate", "lower", "upper")],
        }
    facts |= _shares(found) | _needed(sd) | _saved(found)
    return facts


def _shares(found: GroupResults) -> dict[str, object]:
    variance, tests = found.table("variance"), found.table("tests")
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
        facts["p_values"] = {
            name: float(restricted.loc[restricted["factor"] == factor, "p_value"].iloc[0])
            for name, factor in FACTORS.items()
            if (restricted["factor"] == factor).any()
        }
    return facts


def _needed(sd: float) -> dict[str, object]:
    half, effect = round_step(sd / 4), round_step(sd / 2)
    if not (math.isfinite(half) and sd > 0):
        return {}
    return {
        "mean_within": half,
        "runs_for_mean_within": runs_for_width(2 * half, sd),
        "effect": effect,
        "runs_for_effect": runs_for_power(effect, sd),
    }


def _saved(found: GroupResults) -> dict[str, object]:
    table = found.table("early_stopping")
    if table is None:
        return {}
    plans = table.set_index("budget")
    judged = plans["split_half"].notna()
    budget = min(10, int(plans.index[judged].max() if judged.any() else plans.index.max()))
    row = record(table, int((table["budget"] == budget).argmax()))
    sign = 1.0 if found.up else -1.0
    honest = plans["split_half"].fillna(plans["expected_best"])
    enough = plans.index[(sign * (honest - float(row["baseline"])) >= 0).to_numpy(dtype=bool)]
    facts: dict[str, object] = {str(name): row[str(name)] for name in table.columns[2:]}
    facts["budget_with_stopping"] = min(int(enough.min()) if len(enough) else budget, budget)
    return {"early_stopping": facts}


def answer_words(found: GroupResults, facts: dict[str, object]) -> list[str]:
    """The answer for one group, a sentence or two per question."""
    n = int(str(facts["n_runs"]))
    if not n and is_selected(found.recorded):
        return stopped_words(found.recorded)
    if not n:
        return ["No run was trained to its end, so there is nothing to say."]
    get = _numbers(facts)
    d = digits_for(get("sd"))
    if n == 1:
        return [
            f"There is one run only, with {found.metric} {number(get('mean'), 4)}. One number is "
            "an anecdote: nothing can be said about how it would vary."
        ]
    words = [
        f"Over {count(n, 'run')} that differ in their seeds alone, {found.metric} is "
        f"{number(get('mean'), d)} on average with a standard deviation of {number(get('sd'), d)} "
        f"(from {number(get('min'), d)} to {number(get('max'), d)}): two runs differ by "
        f"{number(get('mean_difference_of_two_runs'), d)} on average."
    ]
    if "gain_of_best_of_5" in facts:
        words[0] += (
            f" Reporting the best of 5 runs instead of one "
            f"{'raises' if found.up else 'lowers'} the score by "
            f"{number(get('gain_of_best_of_5'), d)}, by luck alone."
        )
    words += [*_failure_words(found, facts), *_share_words(found, facts)]
    if "mean_within" in facts:
        words.append(
            f"To know the mean to ±{facts['mean_within']:g}, "
            f"{count(int(get('runs_for_mean_within')), 'run')} are needed (there are {n:,}); to "
            f"tell apart two recipes that differ by {facts['effect']:g} with power 80%, "
            f"{count(int(get('runs_for_effect')), 'run')} of each."
        )
    return [*words, *_stopping_words(found, facts, d)]


def _numbers(facts: dict[str, object]) -> Callable[[str], float]:
    def get(name: str) -> float:
        value = facts.get(name, math.nan)
        return float(value) if isinstance(value, int | float) else math.nan

    return get


def _failure_words(found: GroupResults, facts: dict[str, object]) -> list[str]:
    row = found.table("failure")
    if row is None or not facts.get("failures_judged"):
        return []
    failed, n = int(row["n_failed"].iloc[0]), int(row["n_runs"].iloc[0])
    rate, lower, upper = (float(row[c].iloc[0]) for c in ("rate", "lower", "upper"))
    if failed == 0:
        return [f"No run failed; with {count(n, 'run')} the rate may still be {percent(upper)}."]
    without = found.runs.loc[~found.runs["failed"], "score"].astype("float64")
    text = (
        f"{count(failed, 'run')} of {n:,} failed ({percent(rate)}, 95% interval "
        f"{percent(lower)} to {percent(upper)})"
    )
    if len(without) > 1:
        sd = float(without.std())
        text += f"; without them the standard deviation is {number(sd, digits_for(sd))}"
    return [text + "."]


def _share_words(found: GroupResults, facts: dict[str, object]) -> list[str]:
    variance = found.table("variance")
    shares = facts.get("shares")
    if variance is None or not isinstance(shares, dict) or not shares:
        note = found.missing.get("variance", "")
        if variance is not None:
            note = str(variance["note"].iloc[0])
        return [f"How much of the variance is due to init and to order cannot be said: {note}"]
    p_values = facts.get("p_values")
    parts = []
    for name in ("init", "order"):
        share, low, high = shares[name]
        text = f"{name} accounts for {percent(share)} of the variance"
        if math.isfinite(low):
            text += f" (95% interval {percent(low)} to {percent(high)}"
        if isinstance(p_values, dict) and name in p_values:
            floor = 1e-4
            joint = "; " if math.isfinite(low) else " ("
            text += f"{joint}permutation test {p_value(p_values[name], floor)}"
        parts.append(text + (")" if "(" in text else ""))
    if "rest" in shares:
        rest = (
            f"The other {percent(shares['rest'][0])} belong to neither: interaction and run noise, "
            "which a grid without repeats cannot tell apart."
        )
    else:
        rest = (
            f"Their interaction has {percent(shares['interaction'][0])} and noise between repeats "
            f"{percent(shares['noise'][0])}."
        )
    text = " and ".join(parts)
    return [f"{text[0].upper()}{text[1:]}. {rest}"]


def _stopping_words(found: GroupResults, facts: dict[str, object], d: int) -> list[str]:
    plan = facts.get("early_stopping")
    if not isinstance(plan, dict):
        return []
    budget, saved = plan["budget"], plan["budget_with_stopping"]
    if plan["fraction"] >= 1:
        return [
            f"Early stopping buys nothing at a budget of {budget} trainings: no plan beats "
            f"{count(budget, 'plain run')}."
        ]
    text = (
        f"With a budget of {count(budget, 'full training')}, the best early-stopping plan starts "
        f"{count(plan['started'], 'run')}, stops them after {percent(plan['fraction'])} of "
        f"training and continues {plan['continued']}: its expected best is "
        f"{number(plan['expected_best'], d)} against {number(plan['baseline'], d)} for plain runs"
    )
    if math.isfinite(plan["split_half"]):
        text += f" ({number(plan['split_half'], d)} when chosen on one half of the runs and judged on the other)"
    if saved < budget:
        text += (
            f". What {budget} plain runs give, a budget of {saved} would have given with early "
            f"stopping: a saving of {percent(1 - saved / budget)}"
        )
    else:
        text += ". Judged on runs that had no part in the choice, it saves nothing"
    return [text + "."]


def spread_words(all_facts: list[dict[str, object]]) -> str:
    """One sentence over all groups: how far the shares of init and order range."""
    found = [f["shares"] for f in all_facts if isinstance(f.get("shares"), dict)]
    shares = [s for s in found if isinstance(s, dict) and s]
    if len(shares) < 2:
        return ""
    parts = []
    for name in ("init", "order"):
        values = [float(s[name][0]) for s in shares]
        parts.append(f"{name} between {percent(min(values))} and {percent(max(values))}")
    return f"Over {len(shares)} groups, {' and '.join(parts)} of the variance of scores."


def overview(all_facts: list[dict[str, object]], labels: list[str]) -> pd.DataFrame:
    """The answers side by side, one row per group."""
    rows = []
    for facts, label in zip(all_facts, labels, strict=True):
        get = _numbers(facts)
        d = digits_for(get("sd"))
        shares = facts.get("shares")
        plan = facts.get("early_stopping")
        row = {
            "group": label,
            "runs": f"{int(get('n_runs')):,}",
            "failed": f"{int(get('n_failed')):,}",
            "mean": number(get("mean"), d),
            "sd": number(get("sd"), d),
            "init share": "–",
            "order share": "–",
            "runs for the mean": "–",
            "saved by early stopping": "–",
        }
        if isinstance(shares, dict):
            row["init share"], row["order share"] = (
                percent(shares[name][0]) for name in ("init", "order")
            )
        if "mean_within" in facts:
            row["runs for the mean"] = (
                f"{int(get('runs_for_mean_within')):,} (±{facts['mean_within']:g})"
            )
        if isinstance(plan, dict):
            row["saved by early stopping"] = (
                f"{percent(1 - plan['budget_with_stopping'] / plan['budget'])} of {plan['budget']}"
            )
        rows.append(row)
    return pd.DataFrame(rows)
