"""The answer for each group in sentences, and the answers side by side."""

from __future__ import annotations

import math
from collections.abc import Callable

import pandas as pd

from analysis.data.early_stopped import at_the_decision, is_selected, selection_text
from analysis.data.frames import row_dict
from analysis.data.study import Study
from analysis.formatting import count, digits_for, number, p_value, percent
from analysis.report.results.group_results import GroupResults


def answer_text(group: GroupResults, facts: dict[str, object]) -> list[str]:
    """The answer for one group, a sentence or two per question."""
    n = int(str(facts["n_runs"]))
    if not n and is_selected(group.recorded):
        return _selected_text(group.recorded)
    if not n:
        return ["No run was trained to its end, so nothing can be estimated."]
    get = _numbers(facts)
    d = digits_for(get("sd"))
    if n == 1:
        return [
            f"There is one run only, with {group.metric} {number(get('mean'), 4)}. One number "
            "says nothing about the variation between seeds."
        ]
    sentences = [
        f"Over {count(n, 'run')} that differ in their seeds alone, {group.metric} is "
        f"{number(get('mean'), d)} on average with a standard deviation of {number(get('sd'), d)} "
        f"(from {number(get('min'), d)} to {number(get('max'), d)}): two runs differ by "
        f"{number(get('mean_difference_of_two_runs'), d)} on average."
    ]
    if "gain_of_best_of_5" in facts:
        sentences[0] += (
            f" Reporting the best of 5 runs instead of one "
            f"{'raises' if group.up else 'lowers'} the score by "
            f"{number(get('gain_of_best_of_5'), d)}, by luck alone."
        )
    sentences += [*_failure_text(group, facts), *_share_text(group, facts)]
    if "mean_within" in facts:
        sentences.append(
            f"Knowing the mean to ±{facts['mean_within']:g} takes "
            f"{count(int(get('runs_for_mean_within')), 'run')} (there are {n:,}); detecting a "
            f"difference of {facts['effect']:g} between two recipes with power 80% takes "
            f"{count(int(get('runs_for_effect')), 'run')} of each."
        )
    return [*sentences, *_stopping_text(group, facts, d)]


def _numbers(facts: dict[str, object]) -> Callable[[str], float]:
    def get(name: str) -> float:
        value = facts.get(name, math.nan)
        return float(value) if isinstance(value, int | float) else math.nan

    return get


def _failure_text(group: GroupResults, facts: dict[str, object]) -> list[str]:
    row = group.table("failure")
    if row is None or not facts.get("failures_judged"):
        return []
    failed, n = int(row["n_failed"].iloc[0]), int(row["n_runs"].iloc[0])
    rate, lower, upper = (float(row[c].iloc[0]) for c in ("rate", "lower", "upper"))
    if failed == 0:
        return [f"No run failed; with {count(n, 'run')} the rate may still be {percent(upper)}."]
    without = group.runs.loc[~group.runs["failed"], "score"].astype("float64")
    text = (
        f"{count(failed, 'run')} of {n:,} failed ({percent(rate)}, 95% interval "
        f"{percent(lower)} to {percent(upper)})"
    )
    if len(without) > 1:
        sd = float(without.std())
        text += f"; without them the standard deviation is {number(sd, digits_for(sd))}"
    return [text + "."]


def _share_text(group: GroupResults, facts: dict[str, object]) -> list[str]:
    variance = group.table("variance")
    shares = facts.get("shares")
    if variance is None or not isinstance(shares, dict) or not shares:
        note = group.missing.get("variance", "")
        if variance is not None:
            note = str(variance["note"].iloc[0])
        return [f"The shares of init and order in the variance are unknown: {note}"]
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
            f"The other {percent(shares['rest'][0])} are interaction and run noise, which a grid "
            "without repeats cannot separate."
        )
    else:
        rest = (
            f"Their interaction accounts for {percent(shares['interaction'][0])} and noise between "
            f"repeats for {percent(shares['noise'][0])}."
        )
    text = " and ".join(parts)
    return [f"{text[0].upper()}{text[1:]}. {rest}"]


def _stopping_text(group: GroupResults, facts: dict[str, object], d: int) -> list[str]:
    plan = facts.get("early_stopping")
    if not isinstance(plan, dict):
        return []
    budget, saved = plan["budget"], plan["budget_with_stopping"]
    if plan["fraction"] >= 1:
        return [
            f"Early stopping gains nothing at a budget of {budget} trainings: no plan beats "
            f"{count(budget, 'plain run')}."
        ]
    text = (
        f"With a budget of {count(budget, 'full training')}, the best early-stopping plan starts "
        f"{count(plan['started'], 'run')}, stops them after {percent(plan['fraction'])} of "
        f"training and continues {plan['continued']}: its expected best is "
        f"{number(plan['expected_best'], d)} against {number(plan['baseline'], d)} for plain runs"
    )
    if math.isfinite(plan["split_half"]):
        text += f" ({number(plan['split_half'], d)} when chosen on one half of the runs and evaluated on the other)"
    if saved < budget:
        text += (
            f". With early stopping, a budget of {saved} would have reached the expected best of "
            f"{budget} plain runs: a saving of {percent(1 - saved / budget)}"
        )
    else:
        text += ". Evaluated on runs that had no part in the choice, it saves nothing"
    return [text + "."]


def spread_text(all_facts: list[dict[str, object]]) -> str:
    """One sentence on the range of the shares of init and order over all groups."""
    known = [f["shares"] for f in all_facts if isinstance(f.get("shares"), dict)]
    shares = [s for s in known if isinstance(s, dict) and s]
    if len(shares) < 2:
        return ""
    parts = []
    for name in ("init", "order"):
        values = [float(s[name][0]) for s in shares]
        parts.append(f"{name} between {percent(min(values))} and {percent(max(values))}")
    return f"Over {len(shares)} groups: {' and '.join(parts)} of the variance of scores."


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


def _selected_text(study: Study) -> list[str]:
    """The best run so far, and the scores at the last common evaluation."""
    sentences = [selection_text(study)]
    runs = study.runs
    up = bool(runs["higher_is_better"].iloc[0])
    scores = runs["score"].astype("float64")
    d = digits_for(float(scores.std())) if len(runs) > 1 else 3
    best = row_dict(runs, int((scores if up else -scores).to_numpy().argmax()))
    sentences.append(
        f"The best of all {len(runs)} started runs has {best['metric']} {number(best['score'], d)} "
        f"(init {best['init_seed']}, order {best['order_seed']}): one draw from this policy."
    )
    table = at_the_decision(study)
    if not table.empty:
        row = row_dict(table, 0)
        text = (
            f"All {row['runs']} reached {percent(row['fraction'])} of training. Their best scores up to "
            f"that point are {number(row['mean'], d)} on average, standard deviation "
            f"{number(row['sd'], d + 1)}, from {number(row['min'], d)} to {number(row['max'], d)}"
        )
        if math.isfinite(row["failed"]):
            text += f"; {int(row['failed'])} did not beat the majority classifier there"
        sentences.append(text + ".")
    return sentences
