"""The answer for each group in sentences, and the answers side by side."""

from __future__ import annotations

import math
from collections.abc import Callable

import pandas as pd

from analysis.data.early_stopped import at_the_decision, is_selected, selection_text
from analysis.data.frames import row_dict
from analysis.data.study import Study
from analysis.formatting import count, digits_for, number, percent, permutation_text
from analysis.report.results.choosing_answer import choosing_cell, choosing_text
from analysis.report.results.group_results import GroupResults
from analysis.report.stopping_answer import stopping_text
from analysis.rounding import spread

# Deleting a seed, as the jackknife does, must leave two.
LEAST_FOR_INTERVALS = 3
PROMISED = "choosing promises, delivers on test"


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
    if not group.does_vary:
        return [
            f"{group.metric} does not vary: {count(n, 'run')} that differ in their seeds alone have "
            f"the score {get('mean'):.6g}. There is no variance to share or to plan with.",
            *_failure_text(group, facts),
        ]
    tested = " on the test set" if group.study.score == "test" else ""
    sentences = [
        f"Over {count(n, 'run')} that differ in their seeds alone, {group.metric}{tested} is "
        f"{number(get('mean'), d)} on average{_mean_text(facts, d)} with a standard deviation of "
        f"{number(get('sd'), d)} (from {number(get('min'), d)} to {number(get('max'), d)}): two runs "
        f"that share no seed differ by {number(get('mean_difference_of_two_runs'), d)} on average."
    ]
    if "gain_of_best_of_5" in facts:
        sentences[0] += (
            f" Reporting the best of 5 such runs instead of one "
            f"{'raises' if group.up else 'lowers'} the score by "
            f"{number(get('gain_of_best_of_5'), d)}, by luck alone."
        )
    sentences += [*_failure_text(group, facts), *_share_text(group, facts)]
    if "mean_within" in facts:
        sentences.append(
            f"Knowing the mean to ±{facts['mean_within']:g} takes "
            f"{count(int(get('runs_for_mean_within')), 'run')} that share no seed"
            f"{_grid_text(facts, 'grid_for_mean_within')} (there are {n:,} runs); detecting a "
            f"difference of {facts['effect']:g} between two recipes with power 80% takes "
            f"{count(int(get('runs_for_effect')), 'such run')} of each"
            f"{_grid_text(facts, 'grid_for_effect')}."
        )
    return [*sentences, *stopping_text(group, facts, d), *choosing_text(group, facts)]


def _mean_text(facts: dict[str, object], d: int) -> str:
    """The interval of the mean, which knows that runs share seeds."""
    found = facts.get("mean_interval")
    if not isinstance(found, list) or not all(math.isfinite(limit) for limit in found):
        return ""
    return f" (95% interval {number(found[0], d)} to {number(found[1], d)})"


def _grid_text(facts: dict[str, object], name: str) -> str:
    size = facts.get(name)
    return "" if size is None else f" or a grid of {size} x {size} seeds"


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
        sd = spread(without)
        if sd > 0:
            text += f"; without them the standard deviation is {number(sd, digits_for(sd))}"
        elif group.does_vary:
            text += "; the score of the others does not vary"
    return [text + "."]


def _share_text(group: GroupResults, facts: dict[str, object]) -> list[str]:
    variance = group.table("variance")
    shares = facts.get("shares")
    if variance is None or not isinstance(shares, dict) or not shares:
        note = group.missing.get("variance", "")
        if variance is not None:
            note = str(variance["note"].iloc[0])
        return [f"The shares of init and order in the variance are unknown: {note}"]
    tests = [_test_text(name, facts) for name in ("init", "order")]
    if not _has_intervals(shares):
        levels = [int(variance[column].iloc[0]) for column in ("n_init", "n_order")]
        reason = f"there is {variance['note'].iloc[0]}"
        if min(levels) < LEAST_FOR_INTERVALS:
            reason = (
                f"a {levels[0]} x {levels[1]} grid gives no interval for them. Train at least "
                f"{LEAST_FOR_INTERVALS} seeds of each."
            )
        text = f"The shares of init and order in the variance can't be stated: {reason}"
        known = [f"{name}: {t}" for name, t in zip(("init", "order"), tests, strict=True) if t]
        if len(known) == 2 and tests[0] == tests[1]:
            known = [f"init and order: {tests[0]}"]
        return [text, *([f"Tests of the seeds: {'; '.join(known)}."] if known else [])]
    parts = []
    for name, test in zip(("init", "order"), tests, strict=True):
        text = f"{name} accounts for {_with_interval(shares[name])}"
        # The interval closes with a parenthesis.
        parts.append(f"{text[:-1]}; {test})" if test else text)
    sentences = [f"{parts[0][0].upper()}{parts[0][1:]} and {parts[1]}."]
    sentences += [_rest_text(group, shares)]
    if group.study.dropout_follows_order():
        sentences.append(
            "The share of order holds the dropout masks too: their seed follows the order seed."
        )
    return [" ".join(sentences)]


def _rest_text(group: GroupResults, shares: dict[str, list[float]]) -> str:
    if "rest" not in shares:
        return (
            f"Their interaction accounts for {_with_interval(shares['interaction'])} and noise "
            f"between repeats for {_with_interval(shares['noise'])}."
        )
    if group.study.repeats_exactly():
        return (
            f"The other {_with_interval(shares['rest'])} are interaction of the two seeds: a "
            "repeated run has the same bits, so there is no other noise."
        )
    return (
        f"The other {_with_interval(shares['rest'])} are interaction and run noise, which a grid "
        "without repeats cannot separate."
    )


def _with_interval(share: list[float]) -> str:
    point, low, high = share
    return f"{percent(point)} of the variance (95% interval {percent(low)} to {percent(high)})"


def _has_intervals(shares: dict[str, list[float]]) -> bool:
    """Whether the shares of both factors have intervals; a share without one is not stated."""
    return all(name in shares and math.isfinite(shares[name][1]) for name in ("init", "order"))


def _test_text(name: str, facts: dict[str, object]) -> str:
    """The permutation test of a factor, or that its grid is too small for one."""
    p_values, floors = facts.get("p_values"), facts.get("p_floors")
    if not (isinstance(p_values, dict) and isinstance(floors, dict) and name in p_values):
        return ""
    return permutation_text(p_values[name], floors[name])


def spread_text(all_facts: list[dict[str, object]]) -> str:
    """One sentence on the range of the shares of init and order over all groups."""
    known = [f["shares"] for f in all_facts if isinstance(f.get("shares"), dict)]
    shares = [s for s in known if isinstance(s, dict) and _has_intervals(s)]
    if len(shares) < 2:
        return ""
    parts = []
    for name in ("init", "order"):
        low, high = (percent(end([float(s[name][0]) for s in shares])) for end in (min, max))
        parts.append(low if low == high else f"{low} to {high}")
    every = len(shares) == len(all_facts)
    over = f"{len(shares)} groups" if every else f"{len(shares)} of {len(all_facts)} groups"
    return (
        f"Over {over}, init accounts for {parts[0]} of the variance of scores and order for "
        f"{parts[1]}. These are estimates; each group has its intervals."
    )


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
            "sd": "does not vary" if get("sd") == 0 else number(get("sd"), d),
            "init share": "–",
            "order share": "–",
            "runs for the mean": "–",
            "saved by early stopping": "–",
            PROMISED: choosing_cell(facts, d),
        }
        if isinstance(shares, dict) and _has_intervals(shares):
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
    frame = pd.DataFrame(rows)
    return frame if (frame[PROMISED] != "–").any() else frame.drop(columns=PROMISED)


def _selected_text(study: Study) -> list[str]:
    """The best run so far, and the scores at the last common evaluation."""
    sentences = [selection_text(study)]
    # A stopped run has no test score.
    runs = study.runs.dropna(subset=["score"]).reset_index(drop=True)
    if runs.empty:
        return sentences
    up = bool(runs["higher_is_better"].iloc[0])
    scores = runs["score"].astype("float64")
    d = digits_for(spread(scores))
    kind = "started" if len(runs) == len(study.runs) else "scored"
    best = row_dict(runs, int((scores if up else -scores).to_numpy().argmax()))
    sentences.append(
        f"The best of all {len(runs)} {kind} runs has {best['metric']} {number(best['score'], d)} "
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
