"""A user's own tables: the four formats, and every refusal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from seedlab.errors import SeedlabError
from seedlab.spec.run import TaskSpec
from seedlab.tasks.readers.raw import RawTask
from seedlab.tasks.registry import find_source

GOOD = [("it is good", "yes"), ('a "bad", fox', "no")]


def spec(folder: Path, file: str, **changes: Any) -> TaskSpec:
    values: dict[str, Any] = {
        "name": "own",
        "reader": "table",
        "path": str(folder),
        "train_file": file,
        "dev_file": file,
        "text": "text",
        "label": "label",
    }
    return TaskSpec(**{**values, **changes})


def read(task: TaskSpec) -> RawTask:
    return find_source(task).read()


def write_csv(path: Path, *lines: str) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_parquet(path: Path, columns: dict[str, list[Any]]) -> None:
    pyarrow.parquet.write_table(pyarrow.table(columns), path)


def test_the_four_formats_read_alike(tmp_path: Path) -> None:
    write_csv(tmp_path / "d.csv", "text,label", "it is good,yes", '"a ""bad"", fox",no')
    write_csv(tmp_path / "d.tsv", "label\ttext", *(f"{label}\t{text}" for text, label in GOOD))
    rows = [json.dumps({"text": text, "label": label}) for text, label in GOOD]
    write_csv(tmp_path / "d.jsonl", *rows)
    texts, labels = zip(*GOOD, strict=True)
    write_parquet(tmp_path / "d.parquet", {"text": list(texts), "label": list(labels)})
    tasks = [read(spec(tmp_path, f"d.{e}")) for e in ("csv", "tsv", "jsonl", "parquet")]
    assert tasks[0].splits["train"].texts == texts
    assert tasks[0].splits["train"].labels == (1, 0)
    assert tasks[0].label_names == ("no", "yes")
    assert all(task == tasks[0] for task in tasks)


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_bytes(b"\xef\xbb\xbftext,label\na,0\nb,1\n")
    assert read(spec(tmp_path, "d.csv")).splits["dev"].texts == ("a", "b")


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["--1", "0"], ("--1", "0")),
        (["-", "0"], ("-", "0")),
        (["10", "9", "-1"], ("-1", "9", "10")),
    ],
    ids=["two signs", "a sign", "numbers"],
)
def test_labels_that_look_like_numbers_are_sorted(
    tmp_path: Path, labels: list[str], names: tuple[str, ...]
) -> None:
    write_csv(tmp_path / "d.csv", "text,label", *(f"a,{label}" for label in labels))
    assert read(spec(tmp_path, "d.csv")).label_names == names


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[" * 100_000, r"line 2 is nested too deeply; every line must be one flat object"),
        ('{"a": ' + "9" * 6000 + "}", r"line 2 holds an integer of more than 4,300 digits; every"),
        (r'{"text": "\ud83d", "label": 1}', r"line 2, column 'text': .*a lone surrogate"),
        (r'{"text": "a", "label": "\ud83d"}', r"line 2, column 'label': .* can't be shown"),
        (r'{"text": "a", "label": "\u0000"}', r"line 2, column 'label': label '\\x00' holds"),
    ],
    ids=["nested", "digits", "half a text", "half a label", "NUL"],
)
def test_hostile_json_lines_are_refused(tmp_path: Path, line: str, message: str) -> None:
    write_csv(tmp_path / "d.jsonl", '{"text": "a", "label": 0}', line)
    with pytest.raises(SeedlabError, match=message):
        read(spec(tmp_path, "d.jsonl"))


def test_a_target_beyond_all_floats_is_refused_and_shown_shortened(tmp_path: Path) -> None:
    write_csv(tmp_path / "d.jsonl", '{"text": "a", "label": ' + "9" * 4000 + "}")
    with pytest.raises(SeedlabError, match=r"expected a finite number as target, got 9{70}\.\.\.9"):
        read(spec(tmp_path, "d.jsonl", kind="regression"))


def test_a_flipped_bit_in_a_parquet_file_is_read_or_refused(tmp_path: Path) -> None:
    """Of 60 bits, spread over the file; a bit in a page of texts may go unnoticed."""
    path = tmp_path / "d.parquet"
    write_parquet(path, {"text": ["needle", "b", "c"], "label": ["x", "y", "x"]})
    content = path.read_bytes()
    refused = 0
    # The last one makes a text that is not UTF-8.
    bits = [number * (len(content) * 8 - 1) // 59 for number in range(60)]
    for bit in [*bits, content.find(b"needle") * 8 + 7]:
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(damaged)
        try:
            read(spec(tmp_path, "d.parquet"))
        except SeedlabError:
            refused += 1
    assert refused > 10


def test_pairs_a_test_file_and_labels_in_an_order_of_ones_own(tmp_path: Path) -> None:
    write_csv(tmp_path / "d.csv", "text,other,label", "a,b,yes", "c,d,no")
    task = read(spec(tmp_path, "d.csv", test_file="d.csv", text_pair="other", labels=("yes", "no")))
    assert list(task.splits) == ["train", "dev", "test"]
    assert task.splits["test"].pairs == ("b", "d")
    assert task.splits["test"].labels == (0, 1)
    assert task.metrics == ("accuracy", "f1", "matthews")


def test_numbers_as_labels_are_sorted_as_numbers(tmp_path: Path) -> None:
    write_csv(tmp_path / "d.csv", "text,label", "a,10", "b,9", "c,2")
    task = read(spec(tmp_path, "d.csv"))
    assert task.label_names == ("2", "9", "10")
    assert task.metrics == ("accuracy", "matthews")
    write_parquet(tmp_path / "d.parquet", {"text": ["a", "b", "c"], "label": [10.0, 9.0, 2.0]})
    assert read(spec(tmp_path, "d.parquet")).label_names == ("2", "9", "10")


def test_regression(tmp_path: Path) -> None:
    write_csv(tmp_path / "d.csv", "text,label", "a,1.5", "b,-2")
    task = read(spec(tmp_path, "d.csv", kind="regression"))
    assert task.splits["train"].labels == (1.5, -2.0)
    assert task.n_labels == 1
    assert task.metrics == ("rmse", "pearson", "spearman")


def test_the_identity_is_the_content_and_not_the_place(tmp_path: Path) -> None:
    write_csv(tmp_path / "d.csv", "text,label", "a,0", "b,1")
    (tmp_path / "else").mkdir()
    write_csv(tmp_path / "else" / "d.csv", "text,label", "a,0", "b,1")
    first, second = (find_source(spec(p, "d.csv")) for p in (tmp_path, tmp_path / "else"))
    assert first.identity == second.identity
    write_csv(tmp_path / "else" / "d.csv", "text,label", "a,0", "c,1")
    assert find_source(spec(tmp_path / "else", "d.csv")).identity != first.identity


@pytest.mark.parametrize(
    ("name", "content", "changes", "message"),
    [
        ("d.csv", "text,label\na,0\n", {"text": None}, "task.text is not set.*name the column"),
        ("d.csv", "text,label\na,0\n", {"dev_file": None}, "task.dev_file is not set"),
        ("d.csv", "text,label\na,0\n", {"train_file": "e.csv"}, "e.csv does not exist.*'d.csv'"),
        ("d.csv", "text,label\na,0\n", {"path": "/nowhere"}, "there is no folder /nowhere either"),
        ("d.txt", "text,label\na,0\n", {}, r"extension '\.txt'.*allowed: \.csv, \.tsv"),
        ("d.csv", "text,label\n", {}, "d.csv has no rows"),
        ("d.csv", "", {}, "d.csv has no rows"),
        ("d.csv", "txt,label\na,0\n", {}, "no column 'text' .*columns are txt, label.*'txt'"),
        ("d.csv", "text,text\na,0\n", {}, "two columns named 'text'"),
        ("d.csv", "text,label\na,0\nb,1,2\n", {}, "line 3 has 3 columns and the header has 2"),
        ("d.csv", 'text,label\n"a\nb,0\n', {}, "line 2 can't be read as a row"),
        ("d.csv", 'text,label\n"a\nb",0\n ,1\n', {}, "line 4, column 'text': the text is empty"),
        ("d.csv", "text,label\na,0\nb,\n", {}, "line 3, column 'label': expected a label, got no"),
        ("d.csv", "text,label\na,0\nb,0\n", {}, r"task.labels is \[0\]; .* at least two"),
        (
            "d.csv",
            "text,label\na,0\nb,0\n",
            {"labels": ("0", "1")},
            r"column 'label': all 2 rows are of the class '0', .*train_file must hold at least two",
        ),
        (
            "d.csv",
            "text,label\na,yes\nb,noo\n",
            {"labels": ("yes", "no")},
            r"line 3, column 'label': label 'noo' is none of the 2 allowed, yes, no.*'no'",
        ),
        (
            "d.csv",
            "text,label\na,1\nb,nan\n",
            {"kind": "regression"},
            "line 3, column 'label': expected a finite number as target, got 'nan'",
        ),
        (
            "d.csv",
            "text,label\na,1\nb,good\n",
            {"kind": "regression"},
            "line 3.*expected a finite number as target, got 'good'",
        ),
        ("d.tsv", "text\tlabel\na\tb\t0\n", {}, "line 2 has 3 columns.*a TSV has no quoting"),
        ("d.jsonl", '{"text": "a", "label": 1}\n{"text"\n', {}, "line 2 is not JSON"),
        ("d.jsonl", '{"text": "a", "label": 1}\n[1]\n', {}, "line 2 holds a list"),
        (
            "d.jsonl",
            '{"text": "a", "label": 1}\n\n{"text": 3, "label": 0}\n',
            {},
            "line 3, column 'text': expected text, got 3, a int",
        ),
        (
            "d.jsonl",
            '{"text": "a", "label": 1}\n{"label": 0}\n',
            {},
            r"line 2, column 'text': expected text, got nothing \(null\)",
        ),
        ("d.parquet", "text,label\na,0\n", {}, "d.parquet is not a Parquet file"),
    ],
)
def test_refusals(
    tmp_path: Path, name: str, content: str, changes: dict[str, Any], message: str
) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(SeedlabError, match=message):
        read(spec(tmp_path, name, **changes))


def test_refusal_of_a_label_that_only_the_validation_file_has(tmp_path: Path) -> None:
    write_csv(tmp_path / "train.csv", "text,label", "a,no", "b,yes")
    write_csv(tmp_path / "dev.csv", "text,label", "a,no", "b,yse")
    with pytest.raises(
        SeedlabError, match=r"dev.csv, line 3.*'yse' is none.*labels of the training file.*'yes'"
    ):
        read(spec(tmp_path, "train.csv", dev_file="dev.csv"))


def test_refusal_of_parquet_cells_names_the_row(tmp_path: Path) -> None:
    write_parquet(tmp_path / "d.parquet", {"text": ["a", None], "label": [0, 1]})
    with pytest.raises(SeedlabError, match=r"d.parquet, row 2, column 'text': expected text"):
        read(spec(tmp_path, "d.parquet"))
    write_parquet(tmp_path / "e.parquet", {"text": ["a", "b"], "label": [1.0, float("nan")]})
    with pytest.raises(SeedlabError, match=r"row 2, column 'label': expected a label, got nan"):
        read(spec(tmp_path, "e.parquet"))


def test_refusal_of_bytes_that_are_not_text(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_bytes("text,label\na,0\ncaf\u00e9,1\n".encode("latin-1"))
    with pytest.raises(SeedlabError, match=r"line 3: byte 0xe9 is not UTF-8.*iconv"):
        read(spec(tmp_path, "d.csv"))


def test_a_missing_file_is_named_by_its_own_setting(tmp_path: Path) -> None:
    write_csv(tmp_path / "d.csv", "text,label", "a,0", "b,1")
    for key in ("train_file", "dev_file", "test_file"):
        with pytest.raises(SeedlabError) as caught:
            read(spec(tmp_path, "d.csv", **{key: "c.csv"}))
        assert str(caught.value) == (
            f"task.{key}=c.csv: {tmp_path / 'c.csv'} does not exist; task.path must name the folder "
            f"that holds the data, and task.{key} a file in it. Did you mean 'd.csv'?"
        )


def test_a_validation_file_of_one_class_is_refused(tmp_path: Path) -> None:
    write_csv(tmp_path / "d.csv", "text,label", "a,0", "b,1")
    write_csv(tmp_path / "e.csv", "text,label", "a,1", "b,1")
    with pytest.raises(
        SeedlabError, match=r"e.csv, column 'label': all 2 rows.*task.dev_file must"
    ):
        read(spec(tmp_path, "d.csv", dev_file="e.csv"))
    # A test file may hold anything.
    assert read(spec(tmp_path, "d.csv", test_file="e.csv")).splits["test"].labels == (1, 1)
