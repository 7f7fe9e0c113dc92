"""`StepPlan`: number of steps of a run, learning-rate multipliers, and evaluation steps."""

from __future__ import annotations

import math
from dataclasses import dataclass

from seedlab.spec.recipe import RecipeSpec, active_techniques
from seedlab.spec.run import EvaluationSpec
from seedlab.training.schedules import Length, get_schedule


@dataclass(frozen=True)
class StepPlan:
    """The steps of a run.

    Parameters
    ----------
    steps_per_epoch, total_steps, warmup_steps : int
    multipliers : tuple of float, one per step
        Factors of the peak learning rate; the first step is number 0.
    evaluation_steps : tuple of int
        Ascending numbers of updates after which the model is scored; 0 is before training.
    averaging_start : int or None
        First update whose weights enter the average, counted from 0; None: no averaging.
    """

    steps_per_epoch: int
    total_steps: int
    warmup_steps: int
    multipliers: tuple[float, ...]
    evaluation_steps: tuple[int, ...]
    averaging_start: int | None = None


def make_plan(recipe: RecipeSpec, evaluation: EvaluationSpec, n_examples: int) -> StepPlan:
    """Return the plan of a recipe on `n_examples` training examples.

    The last, shorter batch of an epoch is kept. With a warm-up ratio, the warm-up has
    ``int(ratio * total_steps)`` steps, as in the released code of the literature.

    Raises
    ------
    SeedlabError
        When the schedule does not exist, or averaging would start after the last step.
    """
    per_epoch = math.ceil(n_examples / recipe.batch_size)
    total = per_epoch * recipe.epochs if recipe.max_steps is None else recipe.max_steps
    warmup = recipe.schedule.warmup_steps
    if warmup is None:
        warmup = int(recipe.schedule.warmup_ratio * total)
    warmup = min(warmup, total)
    schedule = get_schedule(recipe.schedule.name)
    whole = int(n_examples * total / (per_epoch * recipe.batch_size))
    length = Length(total, warmup, per_epoch, max(1, whole))
    multipliers = tuple(schedule(step, length) for step in range(total))
    techniques = active_techniques(recipe).values()
    starts = [technique.averaging_start(per_epoch, total) for technique in techniques]
    return StepPlan(
        per_epoch,
        total,
        warmup,
        multipliers,
        _evaluations(evaluation, per_epoch, total),
        next((start for start in starts if start is not None), None),
    )


def _evaluations(evaluation: EvaluationSpec, per_epoch: int, total: int) -> tuple[int, ...]:
    """Return the steps at which the model is scored, ascending; the last step is always one."""
    steps = {total}
    if evaluation.at_start:
        steps.add(0)
    if evaluation.every is not None:
        steps.update(range(evaluation.every, total, evaluation.every))
    elif evaluation.per_epoch:
        for epoch in range(math.ceil(total / per_epoch)):
            for part in range(1, evaluation.per_epoch + 1):
                step = epoch * per_epoch + round(part * per_epoch / evaluation.per_epoch)
                if 0 < step < total:
                    steps.add(step)
    first = evaluation.start_epoch * per_epoch
    return tuple(sorted(step for step in steps if step in (0, total) or step > first))
