"""A user's own task: a training and a validation file with named columns."""

from __future__ import annotations

import hashlib
import math
import re
from pathlib import Path
from typing import Any

from seedlab.errors import SeedlabError, nearest
from seedlab.printable import is_printable
from seedlab.spec.run import TaskSpec
from seedlab.tasks.readers.found_labels import check_found_labels
from seedlab.tasks.readers.raw import RawSplit, RawTask, Source
from seedlab.tasks.readers.reader import PathUse
from seedlab.tasks.readers.table_files import (
    Rows,
    read_bytes,
    read_rows,
    refuse_half_characters,
    shown,
)

_WHOLE_NUMBER = re.compile(r"-?\d+")
_REGRESSION = ("rmse", "pearson", "spearman")
_TWO_CLASSES = ("accuracy", "f1", "matthews")
_CLASSES = ("accuracy", "matthews")


class TableReader:
    """Reads files whose names and columns the specification gives."""

    name = "table"
    settings = (
        *("train_file", "dev_file", "test_file"),
        *("text", "text_pair", "label", "labels", "kind"),
    )
    path: PathUse = "working folder"

    def check(self, spec: TaskSpec) -> None:
        """Refuse a specification that lacks a file or a column."""
        trains_and_validates_on_one_file = spec.folds is not None or spec.dev_split == "from_train"
        for key, meaning in (
            ("train_file", "the training file"),
            ("dev_file", "the validation file"),
            ("text", "the column that holds the text"),
            ("label", "the column that holds the label or target"),
        ):
            if key == "dev_file" and trains_and_validates_on_one_file:
                continue
            if not getattr(spec, key):
                raise SeedlabError(
                    f"task.{key} is not set; with task.reader=table it must name {meaning}, for "
                    f"example task.{key}={'train.csv' if 'file' in key else key}."
                )

    def source(self, spec: TaskSpec) -> Source:
        """Return the files; their content and the named columns decide the examples."""
        digest = hashlib.sha256()
        for split, path in _files(spec).items():
            content = read_bytes(path, f"task.{split}_file")
            digest.update(f"{path.suffix}/{len(content)}/".encode())
            digest.update(content)
        columns = (spec.text, spec.text_pair, spec.label, spec.labels, spec.kind)
        return Source(f"table/{digest.hexdigest()}/{columns}", lambda: read_table(spec))


def read_table(spec: TaskSpec) -> RawTask:
    """Read the files of a task.

    Raises
    ------
    SeedlabError
        At the first wrong cell; the message has its file, row and column.
    """
    rows = {split: read_rows(path) for split, path in _files(spec).items()}
    for found in rows.values():
        for key in ("text", "text_pair", "label"):
            if getattr(spec, key):
                found.column(getattr(spec, key), f"task.{key}")
    if spec.kind == "regression":
        splits = {split: _regression(spec, found) for split, found in rows.items()}
        return RawTask(splits, (), _REGRESSION)
    names = spec.labels or _found_labels(spec, rows["train"])
    if not spec.labels and len(names) == 1:
        raise _one_class(spec, rows["train"], "train", names[0])
    if len(names) < 2 or len(set(names)) < len(names):
        raise SeedlabError(
            f"task.labels is [{', '.join(names)}]; classification needs at least two different "
            "labels. A number to predict is task.kind=regression."
        )
    splits = {split: _classification(spec, found, names) for split, found in rows.items()}
    for split in ("train", "dev"):
        # A single example is of one class whatever the table holds.
        if split in splits and len(rows[split]) > 1 and len(set(splits[split].labels)) == 1:
            raise _one_class(spec, rows[split], split, names[int(splits[split].labels[0])])
    return RawTask(splits, tuple(names), _TWO_CLASSES if len(names) == 2 else _CLASSES)


def texts(rows: Rows, column: str, setting: str) -> tuple[str, ...]:
    """Return a column of texts.

    Raises
    ------
    SeedlabError
        For a cell that is not text, or is empty.
    """
    cells = rows.column(column, setting)
    refuse_half_characters(rows, column)
    for index, cell in enumerate(cells):
        if not isinstance(cell, str):
            kind = type(cell).__name__
            got = "nothing (null)" if cell is None else f"{shown(cell)}, a {kind}"
            raise SeedlabError(
                f"{rows.place(index, column)}: expected text, got {got}; fill in the text, remove "
                f"the row, or name another column with {setting}."
            )
        if not cell.strip():
            raise SeedlabError(
                f"{rows.place(index, column)}: the text is empty; fill it in or remove the row."
            )
    return tuple(cells)


def _files(spec: TaskSpec) -> dict[str, Path]:
    folder = Path(spec.path or ".").expanduser()
    named = {"train": spec.train_file, "dev": spec.dev_file, "test": spec.test_file}
    return {split: folder / name for split, name in named.items() if name}


def _texts_of(spec: TaskSpec, rows: Rows) -> tuple[tuple[str, ...], tuple[str, ...] | None]:
    pairs = texts(rows, spec.text_pair, "task.text_pair") if spec.text_pair else None
    return texts(rows, str(spec.text), "task.text"), pairs


def _regression(spec: TaskSpec, rows: Rows) -> RawSplit:
    column = str(spec.label)
    targets = []
    for index, cell in enumerate(rows.column(column, "task.label")):
        try:
            target = math.nan if cell is None or isinstance(cell, bool) else float(cell)
        except (TypeError, ValueError, OverflowError):
            target = math.nan
        if not math.isfinite(target):
            raise SeedlabError(
                f"{rows.place(index, column)}: expected a finite number as target, got {shown(cell)}; "
                "correct or remove the row, or use task.kind=classification for classes."
            )
        targets.append(target)
    return RawSplit(*_texts_of(spec, rows), tuple(targets))


def _classification(spec: TaskSpec, rows: Rows, names: tuple[str, ...]) -> RawSplit:
    column = str(spec.label)
    numbers = {name: number for number, name in enumerate(names)}
    labels = []
    for index, cell in enumerate(rows.column(column, "task.label")):
        name = _label(rows, index, column, cell)
        if name not in numbers:
            shown = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
            source = "task.labels" if spec.labels else "the labels of the training file"
            raise SeedlabError(
                f"{rows.place(index, column)}: label '{name}' is none of the {len(names)} allowed, "
                f"{shown} ({source}).{nearest(name, names)} Correct the row, or name all labels with "
                "task.labels=[...]."
            )
        labels.append(numbers[name])
    return RawSplit(*_texts_of(spec, rows), tuple(labels))


def _one_class(spec: TaskSpec, rows: Rows, split: str, name: str) -> SeedlabError:
    """Return the refusal of a file whose examples are all of one class."""
    labels = ", ".join(spec.labels or (name,))
    return SeedlabError(
        f"{rows.path}, column '{spec.label}': all {len(rows)} rows are of the class '{name}', and "
        f"task.labels is [{labels}]; task.{split}_file must hold at least two classes. Shuffle a "
        "sorted table before it is cut, or name another column with task.label. A number to predict "
        "is task.kind=regression."
    )


def _found_labels(spec: TaskSpec, rows: Rows) -> tuple[str, ...]:
    """Return the labels of the training file, sorted as numbers if all are whole numbers."""
    column = str(spec.label)
    first: dict[str, int] = {}
    for index, cell in enumerate(rows.column(column, "task.label")):
        first.setdefault(_label(rows, index, column, cell), index)
    check_found_labels(rows, column, first)
    if all(_WHOLE_NUMBER.fullmatch(name) for name in first):
        return tuple(sorted(first, key=lambda name: (int(name), name)))
    return tuple(sorted(first))


def _label(rows: Rows, index: int, column: str, cell: Any) -> str:
    """Return a cell as the name of a class; 1 and 1.0 are the class "1"."""
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    if (
        cell is None
        or isinstance(cell, dict | list)
        or (isinstance(cell, float) and math.isnan(cell))
        or (isinstance(cell, str) and not cell.strip())
    ):
        got = "nothing" if cell is None or cell == "" else shown(cell)
        raise SeedlabError(
            f"{rows.place(index, column)}: expected a label, got {got}; fill it in or remove the row."
        )
    name = str(cell)
    if not is_printable(name):
        raise SeedlabError(
            f"{rows.place(index, column)}: label {shown(name)} holds a character that can't be "
            "shown; allowed are letters, digits, signs and emoji. Correct the row."
        )
    return name
