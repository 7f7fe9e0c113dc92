"""The answer on early stopping: the best plan of a budget, its value on other runs, the saving."""

from __future__ import annotations

import math
from typing import Any

from analysis.formatting import count, digits_apart, number, percent
from analysis.report.results.group_results import GroupResults


def stopping_text(group: GroupResults, facts: dict[str, object], d: int) -> list[str]:
    """A sentence or two on the best plan and on the saving; none where no plan was evaluated.

    Parameters
    ----------
    group : GroupResults
    facts : dict
        `facts.answer_facts`.
    d : int
        Least number of decimals for scores.
    """
    plan = facts.get("early_stopping")
    if not isinstance(plan, dict):
        return []
    budget, saved = plan["budget"], plan["budget_with_stopping"]
    if plan["fraction"] >= 1:
        text = (
            f"Early stopping gains nothing at a budget of {count(budget, 'training')}: no plan beats "
            f"{count(budget, 'plain run')}."
        )
        return [_on_validation(group, text)]
    d = digits_apart(plan["expected_best"], plan["baseline"], d)
    text = (
        f"With a budget of {count(budget, 'full training')}, the best early-stopping plan starts "
        f"{count(plan['started'], 'run')}, stops them after {percent(plan['fraction'])} of "
        f"training and continues {plan['continued']}: its expected best is "
        f"{number(plan['expected_best'], d)} against {number(plan['baseline'], d)} for plain runs"
    )
    text += _halves_text(plan, d)
    if saved < budget:
        text += (
            f". Chosen on one half of the runs and judged on the other, a budget of {saved} with early "
            f"stopping has a better expected best than {budget} plain runs, and so has every budget "
            f"between them (one-sided 95% margin): a saving of {percent(1 - saved / budget)}"
        )
    else:
        text += ". These runs do not show that a smaller budget would have been enough"
    return [_on_validation(group, text + ".")]


def _halves_text(plan: dict[str, Any], d: int) -> str:
    """The value on runs that had no part in the choice, and the plans that it belongs to."""
    if not math.isfinite(plan["split_half"]):
        return ""
    most = count(int(plan["split_half_most"]), "run")
    if not plan["split_half_plans"]:
        return f" (no plan of at most {most}, half of them, costs as much, so none was judged on other runs)"
    return (
        f" ({number(plan['split_half'], d)} for plans of at most {most}, chosen on one half of the runs "
        "and evaluated on the other)"
    )


def _on_validation(group: GroupResults, text: str) -> str:
    """The sentence, which says that its scores are validation scores where the others are not."""
    if group.study.score != "test":
        return text
    return f"On the validation set: {text[0].lower()}{text[1:]}"
