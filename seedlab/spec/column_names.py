"""The columns that tables give the settings of a specification."""

from __future__ import annotations

COLUMNS = {
    "recipe.optimizer.learning_rate": "learning_rate",
    "recipe.optimizer.beta1": "beta1",
    "recipe.optimizer.beta2": "beta2",
    "recipe.optimizer.eps": "eps",
    "recipe.optimizer.weight_decay": "weight_decay",
    "recipe.optimizer.bias_correction": "bias_correction",
    "recipe.schedule.name": "schedule",
    "recipe.schedule.warmup_ratio": "warmup_ratio",
    "recipe.schedule.warmup_steps": "warmup_steps",
    "recipe.clip.mode": "clip_mode",
    "recipe.clip.norm": "clip_norm",
    "task.max_length": "max_length",
    "model.dtype": "dtype",
    "evaluation.keep": "keep",
}
"""Columns of the first tables, by key; every other setting has the column of `column_of`."""


def column_of(key: str) -> str:
    """Return the column of a setting: its key without ``recipe.``, or its older name.

    Labels use the same names: ``reinit.layers`` for ``recipe.reinit.layers``.
    """
    return COLUMNS.get(key, key.removeprefix("recipe."))
