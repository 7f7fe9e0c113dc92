"""Labels of settings and groups, for readers and for files: short, and different."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from analysis.data.frames import is_missing
from analysis.data.study import GROUP_COLUMNS, Group, Study

# Settings in tables of earlier releases, whose schema does not mark them.
SETTINGS = (
    "learning_rate",
    "batch_size",
    "epochs",
    "max_steps",
    "accumulation",
    "schedule",
    "warmup_ratio",
    "warmup_steps",
    "beta1",
    "beta2",
    "eps",
    "weight_decay",
    "bias_correction",
    "clip_mode",
    "clip_norm",
    "dropout",
    "max_length",
    "train_examples",
    "dtype",
    "keep",
)


def group_labels(study: Study) -> dict[Group, str]:
    """A label for every group: the task, and recipe and model where they differ."""
    keys = study.group_keys()
    recipes, models = ({key.recipe for key in keys}, {key.model for key in keys})
    labels = {}
    for key in keys:
        parts = [key.task]
        if len(recipes) > 1:
            parts.append(key.recipe)
        if len(models) > 1:
            parts.append(key.model)
        labels[key] = ", ".join(parts)
    return labels


def file_stems(labels: dict[Group, str]) -> dict[Group, str]:
    """A file name without extension for every label: letters, digits and hyphens, all different."""
    stems: dict[Group, str] = {}
    taken: set[str] = set()
    for key, label in labels.items():
        base = file_stem(label)
        stem, number = base, 2
        while stem in taken:
            stem, number = f"{base}-{number}", number + 1
        taken.add(stem)
        stems[key] = stem
    return stems


def file_stem(label: str) -> str:
    """A label as a file name without extension: letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")[:60] or "group"


def recipes_by_setting(frame: pd.DataFrame) -> pd.Series:
    """Recipe names where an earlier release exported the tables, which had no labels."""
    named = frame["recipe"].copy()
    for _, part in frame.groupby(list(GROUP_COLUMNS), sort=False):
        if part["setting"].nunique() < 2:
            continue
        varied = [c for c in SETTINGS if c in part and part[c].nunique(dropna=False) > 1]
        names = part["recipe"]
        for column in varied:
            names = names + f", {column}=" + part[column].astype("str")
        settings_of_name = part.groupby(names)["setting"].transform("nunique")
        names = names.where(settings_of_name == 1, names + ", setting " + part["setting"])
        named.loc[part.index] = names
    return named


def in_order_of_settings(runs: pd.DataFrame, settings: tuple[str, ...]) -> pd.DataFrame:
    """The runs of every recipe that varies, by the values of its settings; null comes first.

    Groups are shown in the order of their first run, and a table's runs are sorted by their ids.
    """
    if (runs["recipe"] == runs["recipe_name"]).all():
        return runs
    recipe = runs.groupby(["task", "model", "recipe_name"], sort=False).ngroup()
    varied = [name for name in settings if runs[name].nunique(dropna=False) > 1]
    keys = runs[varied].apply(setting_values).assign(recipe=recipe)
    ordered = keys.sort_values(["recipe", *varied], kind="stable", na_position="first")
    return runs.loc[ordered.index].reset_index(drop=True)


def setting_values(column: pd.Series) -> pd.Series:
    """A column of settings as float64 if all its values are numbers, else as it is.

    CSV files hold numbers as texts. True and false are no numbers; missing values are null.
    """
    known = column[~is_missing(column)]
    if known.empty or known.map(lambda value: isinstance(value, bool | np.bool_)).any():
        return column
    parsed = pd.to_numeric(known, errors="coerce")
    return column if parsed.isna().any() else parsed.reindex(column.index).astype("float64")
