"""Answers to planning questions in sentences: numbers of runs, and the best use of a budget."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pandas as pd

from analysis.best_of_n.target_chance import chance_of_target, runs_for_target
from analysis.data.early_stopped import is_selected, selection_text
from analysis.data.frames import row_dict
from analysis.data.labels import group_labels
from analysis.data.study import Study
from analysis.data.warnings import untested_runs
from analysis.errors import OptionError, TableError
from analysis.formatting import count, digits_apart, digits_for, number, percent
from analysis.planning.grid_size import (
    SeedVariances,
    grid_for_power,
    grid_for_width,
    seed_variances,
)
from analysis.planning.sample_size import (
    budget_table,
    interval_width,
    runs_for_power,
    runs_for_width,
)
from analysis.rounding import spread, varies

SHOWN_N = (1, 5, 10, 20, 50)


@dataclasses.dataclass(frozen=True)
class Questions:
    """Planning questions; None leaves a question out.

    Attributes
    ----------
    width : float
        Whole width of an interval for a mean, in units of the metric.
    effect : float
        Difference of the mean scores of two recipes that a test should detect.
    target : float
        Score that the best of n should reach.
    budget : int
        Full trainings.
    sd : float
        Standard deviation of runs that share no seed. By default the pilot's, from the sum of its
        variance components.
    power, level, chance : floats in (0, 1)
    paired : bool
        Both recipes with the same seeds; `sd` is then that of the difference.
    """

    width: float | None = None
    effect: float | None = None
    target: float | None = None
    budget: int | None = None
    sd: float | None = None
    power: float = 0.8
    level: float = 0.95
    chance: float = 0.95
    paired: bool = False


def plan_answers(questions: Questions, study: Study | None = None, *, seed: int = 0) -> list[str]:
    """Sentences that answer the questions, per group of the pilot study where there is one.

    Raises
    ------
    OptionError
        There is no question, a number is outside its range, or a question needs a
        pilot study or a standard deviation that was not given.
    """
    asked = (questions.width, questions.effect, questions.target, questions.budget)
    if all(value is None for value in asked):
        raise OptionError(
            "there is nothing to plan; give a width (--width), an effect (--effect), a target "
            "(--target) or a budget (--budget)."
        )
    if study is None:
        if questions.target is not None or questions.budget is not None:
            raise OptionError(
                "a target or a budget needs runs to plan from; give a pilot study or a table."
            )
        if questions.sd is None:
            raise OptionError(
                "the standard deviation of a run's score is unknown; give it, or a pilot study or "
                "a table to take it from."
            )
        return _moments(questions, questions.sd, digits_for(questions.sd))
    labels = group_labels(study)
    sentences = [warning.message for warning in untested_runs(study)]
    for k, (key, part) in enumerate(study.groups()):
        generator = np.random.default_rng([seed, k])
        answers = _for_group(questions, part, generator)
        sentences += [f"{labels[key]}: {text}" for text in answers] if len(labels) > 1 else answers
    return sentences


def _for_group(questions: Questions, part: Study, generator: np.random.Generator) -> list[str]:
    if is_selected(part):
        return [f"no pilot to plan with: {selection_text(part)}"]
    runs = part.complete_runs()
    if len(runs) < 2:
        return ["fewer than two runs were trained to their end: no pilot to plan with."]
    scores = runs["score"].astype("float64")
    lower = not bool(runs["higher_is_better"].iloc[0])
    parts = None if questions.sd is not None else seed_variances(runs)
    # The standard deviation of a small grid is low, because its runs share seeds.
    pilot_sd = parts.sd if parts is not None else spread(scores)
    sd = questions.sd if questions.sd is not None else pilot_sd
    d = digits_for(sd)
    metric = str(runs["metric"].iloc[0])
    tested = " on the test set" if part.score == "test" else ""
    sentences = [
        f"pilot of {count(len(runs), 'run')}, {metric}{tested} {number(float(scores.mean()), d)} on average, "
        f"standard deviation {number(sd, d + 1)}."
        if varies(scores) or questions.sd is not None
        else f"pilot of {count(len(runs), 'run')}: {metric} does not vary, every score is "
        f"{float(scores.iloc[0]):.6g}."
    ]
    if sd > 0:
        sentences += _moments(questions, sd, d, parts)
    elif questions.width is not None or questions.effect is not None:
        sentences.append("the scores do not vary, so any number of runs is enough.")
    if questions.target is not None:
        sentences.append(_target(questions, questions.target, scores, lower))
    if questions.budget is not None:
        answer = _budget(questions, questions.budget, part, generator, lower, d)
        # Only curves tell what a run was worth when it was stopped.
        sentences.append(f"by validation scores, {answer}" if tested else answer)
    return sentences


def _moments(
    questions: Questions, sd: float, d: int, parts: SeedVariances | None = None
) -> list[str]:
    sentences = []
    if questions.width is not None:
        n = runs_for_width(questions.width, sd, level=questions.level)
        now = interval_width(5, sd, level=questions.level)
        text = (
            f"a {percent(questions.level)} interval for the mean at most {questions.width:g} wide "
            f"takes {count(n, 'run')} that share no seed (5 runs give one {number(now, d)} wide)"
        )
        if parts is not None:
            size = grid_for_width(questions.width, parts, level=questions.level)
            text += f", or a grid of {size} x {size} seeds"
        sentences.append(text + ".")
    if questions.effect is not None:
        sentences.append(_effect(questions, questions.effect, sd, parts))
    return sentences


def _effect(questions: Questions, effect: float, sd: float, parts: SeedVariances | None) -> str:
    text = (
        f"detecting a difference of {effect:g} between two recipes with power "
        f"{percent(questions.power)} takes "
    )
    if questions.paired:
        # Without another word, the same seeds help neither recipe: differences vary like two runs.
        differences = sd if questions.sd is not None else math.sqrt(2) * sd
        n = runs_for_power(effect, differences, power=questions.power, paired=True)
        text += f"{n:,} pairs of runs, no two of which share a seed"
        if questions.sd is None:
            text += " (if the recipes' scores are uncorrelated over seeds)"
    else:
        n = runs_for_power(effect, sd, power=questions.power)
        text += f"{n:,} runs of each, no two of which share a seed"
    text += " (two-sided t test at 5%)"
    if parts is not None:
        size = grid_for_power(effect, parts.doubled(), power=questions.power)
        text += f", or the same grid of {size} x {size} seeds for both (crossed test)"
    return text + "."


def _target(questions: Questions, target: float, scores: pd.Series, lower: bool) -> str:
    values = scores.to_numpy(dtype=np.float64)
    needed = runs_for_target(
        values, target, chance=questions.chance, level=questions.level, lower_is_better=lower
    )
    chances = []
    for n in SHOWN_N:
        chance = chance_of_target(values, target, n, level=questions.level, lower_is_better=lower)
        chances.append(
            f"{percent(chance.plugin)} for n = {n} ({percent(chance.lower)} to {percent(chance.upper)})"
        )
    text = f"the best of n runs reaches {target:g} with a chance of {', '.join(chances)}; "
    if needed.expected is None:
        return f"{text}no run of the pilot reached it, so no number of runs can be given."
    worst = "no finite number" if needed.at_worst is None else f"{needed.at_worst:,}"
    return (
        f"{text}{percent(questions.chance)} takes {count(needed.expected, 'run')} (between "
        f"{needed.at_best:,} and {worst}, by the interval from the pilot)."
    )


def _budget(
    questions: Questions,
    budget: int,
    part: Study,
    generator: np.random.Generator,
    lower: bool,
    d: int,
) -> str:
    curves = part.complete_curves()
    if curves is None:
        return "the value of a budget needs evaluations during training, which the pilot lacks."
    names = part.runs.set_index("run")[["task", "recipe"]]
    try:
        table = budget_table(
            curves.join(names, on="run"),
            budget,
            generator=generator,
            target=questions.target,
            lower_is_better=lower,
        )
    except TableError as error:
        return f"the value of the budget is unknown: {error}"
    if table.empty:
        return (
            f"a budget of {count(budget, 'training')} is more than the pilot's runs; give a smaller one, "
            "or train more runs."
        )
    row = row_dict(table, 0)
    if row["fraction"] >= 1:
        return (
            f"a budget of {count(budget, 'full training')} is best spent on plain runs: expected "
            f"best {number(row['baseline'], d)}."
        )
    d = digits_apart(row["expected_best"], row["baseline"], d)
    text = (
        f"a budget of {count(budget, 'full training')} is best spent by starting "
        f"{count(int(row['started']), 'run')}, stopping them after {percent(row['fraction'])} and "
        f"continuing {int(row['continued'])}: expected best {number(row['expected_best'], d)} "
        f"against {number(row['baseline'], d)} for plain runs"
    )
    gain = abs(float(row["expected_best"]) - float(row["baseline"]))
    text += f", a gain of {number(gain, d)}"
    if math.isfinite(row["split_half"]) and row["split_half_plans"]:
        text += (
            f" (chosen on one half of the runs and evaluated on the other, plans of at most "
            f"{count(int(row['split_half_most']), 'run')} give {number(row['split_half'], d)})"
        )
    if "reach" in row:
        text += (
            f"; chance of reaching {questions.target:g}: {percent(row['reach'])} against "
            f"{percent(row['baseline_reach'])}"
        )
    return f"{text}. {_command(row)}"


def _command(row: dict[str, Any]) -> str:
    """The plan as settings of ``seedlab run``, with its cost."""
    t, f, p = int(row["started"]), float(row["fraction"]), int(row["continued"])
    # Rounded up, so that the fraction does not fall short of its evaluation.
    shown = math.ceil(f * 1e4) / 1e4
    return (
        f"It costs t f + p (1 - f) = {t * f + p * (1 - f):.2f} full trainings: "
        f"early_stopping=start_many early_stopping.started={t} early_stopping.fraction={shown:g} "
        f"early_stopping.continued={p}"
    )
