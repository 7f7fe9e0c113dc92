"""Checks of a recipe: its own values, those of its techniques, and their contradictions."""

from __future__ import annotations

from collections.abc import Mapping

from seedlab.allowed import (
    ABOVE_0,
    AT_LEAST_0,
    AT_LEAST_1,
    FRACTION,
    SHARE,
    Allowed,
    OneOf,
    Range,
    check_values,
)
from seedlab.errors import SeedlabError
from seedlab.spec.recipe import TECHNIQUES, RecipeSpec, active_techniques
from seedlab.spec.run import EvaluationSpec
from seedlab.tasks.encoded import EncodedTask
from seedlab.training.schedules import SCHEDULES

_ALLOWED: Mapping[str, Allowed] = {
    "optimizer.learning_rate": Range(0, above=True, note=", for example 2e-5"),
    "optimizer.beta1": FRACTION,
    "optimizer.beta2": FRACTION,
    "optimizer.eps": ABOVE_0,
    "optimizer.weight_decay": AT_LEAST_0,
    "schedule.name": OneOf(tuple(SCHEDULES)),
    "schedule.warmup_ratio": SHARE,
    "schedule.warmup_steps": AT_LEAST_0,
    "clip.mode": OneOf(("global", "tensor", "none")),
    "clip.norm": Range(0, above=True, note="; switch clipping off with clip.mode=none"),
    "batch_size": AT_LEAST_1,
    "accumulation": AT_LEAST_1,
    "epochs": AT_LEAST_1,
    "max_steps": AT_LEAST_1,
    "dropout": Range(0, 1, below=True, note=", or null"),
    "dropout_active": OneOf(("always", "epoch_start")),
    "loss": OneOf(("default", "rmse")),
}


def allowed_in_recipes() -> dict[str, Allowed]:
    """Return the range or the choice of every key of a recipe that has one, techniques included."""
    found = {f"recipe.{key}": allowed for key, allowed in _ALLOWED.items()}
    for name, technique in TECHNIQUES.items():
        found |= {f"recipe.{name}.{key}": limit for key, limit in technique.limits.items()}
    return found


def check_recipe(recipe: RecipeSpec, evaluation: EvaluationSpec) -> None:
    """Refuse values out of range and settings that contradict each other.

    Raises
    ------
    SeedlabError
        Naming the settings, their contradiction and the remedy.
    """
    check_values(recipe, _ALLOWED, "recipe.")
    for name, technique in TECHNIQUES.items():
        check_values(getattr(recipe, name), technique.limits, f"recipe.{name}.")
    _check_combinations(recipe)
    for name in TECHNIQUES:
        getattr(recipe, name).check(recipe)
    if recipe.accumulation > recipe.batch_size:
        raise SeedlabError(
            f"recipe.accumulation={recipe.accumulation} cuts a batch into more parts than it has "
            f"examples (recipe.batch_size={recipe.batch_size}); it must be at most that."
        )
    if recipe.loss == "rmse" and recipe.accumulation > 1:
        raise SeedlabError(
            f"recipe.loss=rmse and recipe.accumulation={recipe.accumulation} can't be combined: the "
            "root of a batch's mean squared error is not made of those of its parts, and another "
            "loss would be trained on; use recipe.accumulation=1, or recipe.loss=default."
        )
    if evaluation.patience is not None and not (evaluation.per_epoch or evaluation.every):
        raise SeedlabError(
            f"evaluation.patience={evaluation.patience} has no effect: with evaluation.per_epoch=0 the "
            "model is scored at the end alone; use evaluation.per_epoch=1 or more, or "
            "evaluation.every=N."
        )


def check_recipe_on_task(recipe: RecipeSpec, task: EncodedTask) -> None:
    """Refuse a recipe that can't be used on a task.

    Raises
    ------
    SeedlabError
    """
    if recipe.loss == "rmse" and not task.is_regression:
        raise SeedlabError(
            f"recipe.loss=rmse is a loss of regression, and task '{task.name}' has {task.n_labels} "
            "classes; use recipe.loss=default, or a task with numbers to predict (task=similarity, "
            "task=stsb, task.kind=regression of a table)."
        )


def check_recipe_on_model(recipe: RecipeSpec, n_layers: int) -> None:
    """Refuse techniques on layers that the model does not have.

    Raises
    ------
    SeedlabError
    """
    for technique in active_techniques(recipe).values():
        technique.check_model(n_layers)


def _check_combinations(recipe: RecipeSpec) -> None:
    """Refuse two techniques that contradict each other."""
    active = active_techniques(recipe)
    known = {key: t for name, t in active.items() for key in (name, f"{name}={t.switched_to}")}
    for technique in active.values():
        for key, why in technique.conflicts().items():
            if (other := known.get(key)) is not None:
                raise SeedlabError(
                    f"{technique.switched_on_by} and {other.switched_on_by} can't be combined: "
                    f"{why}. Switch one of them off: {technique.switched_off_by}, or "
                    f"{other.switched_off_by}."
                )
