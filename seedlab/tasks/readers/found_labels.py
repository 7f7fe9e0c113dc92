"""Labels that a training file holds, before they become classes: what they can't be.

`task.labels` names the classes, and then nothing is inferred or refused here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from seedlab.errors import SeedlabError
from seedlab.tasks.readers.table_files import Rows

# More classes than this, with fewer than two examples each, are no classes.
_FEW_CLASSES = 10
# Distinct numbers in as many rows are targets from here on.
_MANY_NUMBERS = 5


def check_found_labels(rows: Rows, column: str, first: Mapping[str, int]) -> None:
    """Refuse labels that are one class in several spellings, missing values, or targets.

    Parameters
    ----------
    rows : Rows
        The training file.
    column : str
        The column of the labels.
    first : mapping of str to int
        Every label with the index of its first row, in the order of the file.

    Raises
    ------
    SeedlabError
        Naming the file, the row, the column, the label and the remedy.
    """
    written: dict[str | float, str] = {}
    for label, index in first.items():
        value = _number(label)
        if value is not None and not math.isfinite(value):
            raise SeedlabError(
                f"{rows.place(index, column)}: the label {label!r} is no class but a number that "
                "is missing or infinite; fill in the label or remove the row. If it is the name of "
                f"a class, name all classes: task.labels=[{label.strip()},...]."
            )
        meaning = label.strip() if value is None else value
        other = written.setdefault(meaning, label)
        if other != label:
            what = "text but for spaces" if value is None else "number"
            raise SeedlabError(
                f"{rows.place(index, column)}: the label {label!r} is the same {what} as {other!r} "
                f"({rows.unit} {rows.numbers[first[other]]}), and they would be two classes; write "
                "both alike, or name all classes with task.labels=[...]."
            )
    _refuse_targets(rows, column, first)


def _refuse_targets(rows: Rows, column: str, first: Mapping[str, int]) -> None:
    """Refuse numbers to predict: fractions, or nearly a class per example."""
    values = [_number(label) for label in first]
    numeric = all(value is not None for value in values)
    fraction = next(
        (label for label, v in zip(first, values, strict=True) if v is not None and v % 1 != 0), ""
    )
    n, classes = len(rows), len(first)
    if numeric and fraction:
        index = first[fraction]
        raise SeedlabError(
            f"{rows.place(index, column)}: the labels are numbers, and {fraction!r} is not whole: "
            "they look like a target. Use task.kind=regression to predict it, or name all classes "
            "with task.labels=[...]."
        )
    singles = numeric and classes == n >= _MANY_NUMBERS
    if singles or (classes > _FEW_CLASSES and 2 * classes > n):
        remedy = "Use task.kind=regression to predict a number" if numeric else "Check task.label"
        raise SeedlabError(
            f"{rows.path}, column '{column}': {classes} different labels in {n} rows would be "
            f"{classes} classes with hardly an example each. {remedy}, or name all classes with "
            "task.labels=[...]."
        )


def _number(label: str) -> float | None:
    """Return the number that a label writes; None for other texts."""
    # Python also reads 1_000 as a number, and a file does not.
    if "_" in label:
        return None
    try:
        return float(label)
    except ValueError:
        return None
