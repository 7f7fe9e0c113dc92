"""Labels of groups for readers and for files: as short as they can be and still differ."""

from __future__ import annotations

import re

from analysis.data.study import Group, Study


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
