"""Checks of techniques together: combinations that would do nothing, or not what they say.

Each technique's own values are checked in `seedlab.config.checks`.
"""

from __future__ import annotations

from seedlab.errors import SeedlabError
from seedlab.spec.recipe import RecipeSpec
from seedlab.spec.run import EvaluationSpec
from seedlab.tasks.encoded import EncodedTask
from seedlab.training.techniques.parameter_selection import check_layers

_NOT_TRAINED = "the encoder's weights are not trained, so that mixout has nothing to set back"
_STAY_RANDOM = "re-initialised layers would not be trained and stay random"

_CONFLICTS: tuple[tuple[str, str, str], ...] = (
    ("mixout", "features", _NOT_TRAINED),
    ("mixout", "lora", _NOT_TRAINED),
    ("mixout", "bitfit", _NOT_TRAINED),
    ("reinit", "features", _STAY_RANDOM),
    ("reinit", "lora", _STAY_RANDOM),
    ("reinit", "bitfit", _STAY_RANDOM),
    ("layer_rates", "features", "no layer of the encoder is trained, at whatever rate"),
    ("prior_decay", "features", "the encoder stays at its pre-trained weights anyway"),
    (
        "prior_decay",
        "lora",
        "the pre-trained weights are not trained, and weight decay pulls low-rank updates to 0, "
        "which is the pre-trained weights, as it is",
    ),
    ("prior_decay", "bitfit", "biases alone are trained, and they are exempt from any decay"),
    ("lora", "features", "features leave the encoder as it is, and lora trains a part of it"),
    ("bitfit", "features", "features leave the encoder as it is, and bitfit trains a part of it"),
)
"""Two techniques and why they make no sense together."""


def check_recipe(recipe: RecipeSpec, evaluation: EvaluationSpec) -> None:
    """Refuse techniques that contradict each other.

    Raises
    ------
    SeedlabError
        Naming both settings, why they don't go together, and what to change.
    """
    active = active_techniques(recipe)
    for first, second, reason in _CONFLICTS:
        if first in active and second in active:
            raise SeedlabError(
                f"{active[first][0]} and {active[second][0]} can't be combined: {reason}. Switch one "
                f"of them off: {active[first][1]}, or {active[second][1]}."
            )
    _check_dropout(recipe)
    _check_layer_rates(recipe)
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
    for key, asked in (
        ("recipe.reinit.layers", recipe.reinit.layers),
        ("recipe.freeze.layers", recipe.freeze.layers),
    ):
        if asked is not None:
            check_layers(key, asked, n_layers)
    head = recipe.head
    if head.kind != "default":
        # It imports torch, which planning does without.
        from seedlab.models.heads import HeadChoice, hidden_states

        hidden_states(HeadChoice(head.kind, head.layers, head.layer), n_layers)


def active_techniques(recipe: RecipeSpec) -> dict[str, tuple[str, str]]:
    """Return the techniques that a recipe uses.

    Returns
    -------
    dict of name to (setting, setting that switches it off)
        ``lora`` and ``bitfit`` are names of their own.
    """
    method = recipe.adapter.method
    known = {
        "layer_rates": (recipe.layer_rates.scheme != "none", "layer_rates.scheme", "none"),
        "reinit": (recipe.reinit.layers is not None, "reinit.layers", "null"),
        "mixout": (recipe.mixout.p > 0.0, "mixout.p", "0"),
        "prior_decay": (recipe.prior_decay.strength > 0.0, "prior_decay.strength", "0"),
        "freeze": (recipe.freeze.layers is not None, "freeze.layers", "null"),
        "features": (recipe.features.active, "features.active", "false"),
        method: (method != "none", "adapter.method", "none"),
    }
    found = {}
    for name, (on, key, off) in known.items():
        if on:
            section, field = key.split(".")
            value = getattr(getattr(recipe, section), field)
            shown = str(value).lower() if isinstance(value, bool) else value
            found[name] = (f"recipe.{key}={shown}", f"recipe.{key}={off}")
    return found


def _check_dropout(recipe: RecipeSpec) -> None:
    """Refuse dropout settings that mixout would silently replace."""
    if not recipe.mixout.p or recipe.mixout.keep_dropout:
        return
    idle = None
    if recipe.dropout:
        idle = f"recipe.dropout={recipe.dropout}"
    elif recipe.dropout_active != "always":
        idle = f"recipe.dropout_active={recipe.dropout_active}"
    if idle:
        raise SeedlabError(
            f"{idle} has no effect: mixout (recipe.mixout.p={recipe.mixout.p}) replaces all dropout, "
            "as released; leave it out, or keep dropout with recipe.mixout.keep_dropout=true."
        )


def _check_layer_rates(recipe: RecipeSpec) -> None:
    rates = recipe.layer_rates
    if len(rates.multipliers) != 4 or not all(0.0 < m < float("inf") for m in rates.multipliers):
        raise SeedlabError(
            f"recipe.layer_rates.multipliers={list(rates.multipliers)} must be four numbers above 0: "
            "for the lowest third of the layers, the middle third, the top third, and head and "
            "pooler, for example [1,1.75,3.5,3.6]."
        )
    if rates.head_learning_rate is not None and rates.scheme in ("zhang", "sun"):
        raise SeedlabError(
            f"recipe.layer_rates.head_learning_rate={rates.head_learning_rate} has no effect: the "
            f"scheme '{rates.scheme}' trains the head at the peak rate; leave it out, or use "
            "recipe.layer_rates.scheme=chang or grouped."
        )
