"""Labels that a training file can't mean: refused with the row and the remedy, or named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedlab.errors import SeedlabError
from seedlab.tasks.readers.found_labels import check_found_labels
from seedlab.tasks.readers.table_files import Rows
from tests.tasks.readers.test_user_table import read, spec, write_parquet


def labelled(folder: Path, *labels: str, repeats: int = 1, **changes: Any) -> tuple[str, ...]:
    """The classes of a file with these labels."""
    lines = [f"text {i},{label}" for i, label in enumerate(labels * repeats)]
    (folder / "d.csv").write_text("\n".join(["text,label", *lines]) + "\n", encoding="utf-8")
    return read(spec(folder, "d.csv", **changes)).label_names


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (("1", "0", " 1"), r"line 4, column 'label': the label ' 1' is the same number as '1' \(l"),
        (
            ("0", "1", "01"),
            r"line 4, .*'01' is the same number as '1' \(line 3\).*write both alike",
        ),
        (
            ("1.0", "1", "0"),
            r"line 3, .*'1' is the same number as '1.0' \(line 2\), .* two classes",
        ),
        (("no", "yes", "yes "), r"line 4, .*'yes ' is the same text but for spaces as 'yes'"),
        (
            ("0", "nan", "1"),
            r"line 3, .*'nan' is no class but a number .* missing or infinite; fill",
        ),
        (("good", "bad", "-inf"), r"line 4, .*'-inf' is no class .*task.labels=\[-inf,...\]"),
        (("0.5", "1.0", "3"), r"line 2, .*numbers, and '0.5' is not whole.*task.kind=regression"),
        (
            ("1", "2", "3", "4", "50"),
            r"5 different labels in 5 rows would be 5 classes.*regression",
        ),
        (tuple("abcdefghijk"), r"11 different labels in 11 rows .*Check task.label, or name"),
    ],
)
def test_labels_that_are_no_classes(tmp_path: Path, labels: tuple[str, ...], message: str) -> None:
    with pytest.raises(SeedlabError, match=message):
        labelled(tmp_path, *labels)


def test_a_number_that_is_infinite_in_a_typed_file(tmp_path: Path) -> None:
    columns = {"text": ["a", "b", "c"], "label": [1.0, 0.0, float("inf")]}
    write_parquet(tmp_path / "d.parquet", columns)
    with pytest.raises(SeedlabError, match=r"row 3, column 'label': the label 'inf' is no class"):
        read(spec(tmp_path, "d.parquet"))


def test_named_labels_are_taken_as_they_are(tmp_path: Path) -> None:
    named = ("nan", "0.5", "01", "1")
    assert labelled(tmp_path, *named, labels=named) == named


def test_classes_stay_classes(tmp_path: Path) -> None:
    assert labelled(tmp_path, "2", "9", "10") == ("2", "9", "10")
    assert labelled(tmp_path, " a", " b") == (" a", " b")
    assert labelled(tmp_path, "none", "1_000", "1000") == ("1000", "1_000", "none")
    assert len(labelled(tmp_path, *(str(i) for i in range(77)), repeats=2)) == 77


@settings(max_examples=60, deadline=None)
@given(
    st.integers(-99, 99),
    st.lists(st.sampled_from(["{}", "{}.0", " {}", "{} ", "0{}", "{}e0"]), min_size=1, max_size=3),
)
def test_one_number_is_one_class_or_refused(number: int, spellings: list[str]) -> None:
    texts = [form.format(number) if number >= 0 else f" {number}" for form in spellings]
    labels = list(dict.fromkeys([str(number), *texts, "other"]))
    rows = Rows(Path("d.csv"), {"label": labels}, list(range(2, len(labels) + 2)), "line")
    first = {label: i for i, label in enumerate(labels)}
    if len(labels) == 2:
        check_found_labels(rows, "label", first)
    else:
        with pytest.raises(SeedlabError, match="the same number as"):
            check_found_labels(rows, "label", first)
