"""Hostile and damaged training files for `run task=table`: dry runs, and trainings of two steps."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from numpy.random import Generator, Philox

from tests.soak import checks
from tests.soak.hostile_files import (
    HOSTILE_NAMES,
    damage,
    deep_json,
    hostile_characters,
    long_integer_json,
    pick,
)

SHORT = 10
FULL = 100

Expected = Literal["accepted", "refused", "either"]
Row = dict[str, Any]
Case = Callable[[Generator, Path], Expected]

WORDS = ("the", "dog", "cat", "sees", "sleeps", "bird", "a", "that", "runs", "dogs")


def run_case(seed: int, folder: Path) -> str:
    """Write a training and a validation file, plan or train one run, and look at its end."""
    rng = Generator(Philox(seed))
    label, case = CASES[seed % len(CASES)]
    with checks.labelled(label):
        expected = case(rng, folder)
        before = checks.files_in(folder)
        trains = expected == "accepted" and rng.random() < 0.4
        kind = next(path.suffix for path in folder.glob("train.*"))
        arguments = [
            "task=table",
            f"task.train_file=train{kind}",
            f"task.dev_file=dev{kind}",
            "task.text=text",
            "task.label=label",
            "task.allow_unknown_tokens=true",
            *(["task.kind=regression"] if label == "huge and wrong numbers" else []),
            "study=fuzz",
            "recipe.max_steps=2",
            "engine.threads=1",
            *([] if trains else ["dry=true"]),
        ]
        ended = checks.seedlab("run", *arguments, folder=folder)
        if expected == "accepted":
            checks.assert_done(ended)
        if expected == "refused" or ended.code != 0:
            checks.assert_refused(ended)
            # Hydra keeps the configuration of a refused job, and its log.
            left = {
                name
                for name in checks.files_in(folder) - before
                if (folder / name).is_file() and not name.startswith("studies/fuzz/jobs/")
            }
            assert not left, f"left behind: {sorted(left)[:10]}: {ended}"
        elif trains:
            records = list((folder / "studies" / "fuzz" / "runs").glob("*/record.json"))
            assert len(records) == 1, f"no run on record: {ended}"
    return label


def rows(rng: Generator, count: int = 12) -> list[Row]:
    """Rows of a sound file: made sentences in two classes."""
    return [
        {"text": " ".join(rng.choice(WORDS, int(rng.integers(2, 7)))), "label": f"c{i % 2}"}
        for i in range(count)
    ]


def _write(made: list[Row], path: Path) -> Path:
    kind = path.suffix[1:]
    if kind == "parquet":
        pd.DataFrame(made).to_parquet(path, index=False)
    elif kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in made), encoding="utf-8")
    else:
        pd.DataFrame(made).to_csv(path, index=False, sep="," if kind == "csv" else "\t")
    return path


def _any_kind(rng: Generator) -> str:
    return pick(rng, ["csv", "tsv", "jsonl", "parquet"])


def _both(rng: Generator, folder: Path, kind: str, train: list[Row] | None = None) -> Path:
    _write(rows(rng), folder / f"dev.{kind}")
    return _write(rows(rng) if train is None else train, folder / f"train.{kind}")


def _sound(rng: Generator, folder: Path) -> Expected:
    _both(rng, folder, _any_kind(rng))
    return "accepted"


def _minus_signs(rng: Generator, folder: Path) -> Expected:
    """Labels that look like numbers and are none."""
    odd = pick(rng, ["--1", "-", "- 1", "+-2", "---", "1-", "²", "٣", "9" * 5000, "-" * 4000])
    made = [{**row, "label": odd if i % 2 else "0"} for i, row in enumerate(rows(rng))]
    kind = _any_kind(rng)
    _write(made, folder / f"dev.{kind}")
    _write(made, folder / f"train.{kind}")
    return "either"


def _long_integer(rng: Generator, folder: Path) -> Expected:
    made = rows(rng)
    column = pick(rng, ["label", "text", "other"])
    _both(rng, folder, "jsonl")
    lines = [json.dumps(row) for row in made]
    lines[1] = long_integer_json(made[1], column, int(rng.choice([4301, 6000, 50_000])))
    (folder / "train.jsonl").write_text("\n".join(lines) + "\n")
    return "refused"


def _deep(rng: Generator, folder: Path) -> Expected:
    path = _both(rng, folder, "jsonl")
    path.write_text(path.read_text() + deep_json(rng) + "\n")
    return "refused"


def _one_bit(rng: Generator, folder: Path) -> Expected:
    path = _both(rng, folder, "parquet")
    content = bytearray(path.read_bytes())
    bit = int(rng.integers(len(content) * 8))
    content[bit // 8] ^= 1 << (bit % 8)
    path.write_bytes(content)
    return "either"


def _odd_text(rng: Generator, folder: Path) -> Expected:
    texts = [*HOSTILE_NAMES, *(f"the {c} dog" for c in hostile_characters()), "x" * 100_000]
    made = [{**row, "text": pick(rng, texts)} for row in rows(rng)]
    _both(rng, folder, pick(rng, ["jsonl", "parquet"]), made)
    return "either"


def _lone_surrogate(rng: Generator, folder: Path) -> Expected:
    made = rows(rng)
    made[int(rng.integers(len(made)))][pick(rng, ["text", "label"])] = "the \ud83d dog"
    _both(rng, folder, "jsonl", made)
    return "refused"


def _unprintable_label(rng: Generator, folder: Path) -> Expected:
    made = rows(rng)
    for row in made[::2]:
        row["label"] = f"a{pick(rng, hostile_characters())}b"
    _both(rng, folder, pick(rng, ["jsonl", "parquet"]), made)
    return "refused"


def _emoji_label(rng: Generator, folder: Path) -> Expected:
    names = [f"{pick(rng, HOSTILE_NAMES)}{i}" for i in range(2)]
    made = [{**row, "label": names[i % 2]} for i, row in enumerate(rows(rng))]
    kind = _any_kind(rng)
    _write(made, folder / f"dev.{kind}")
    _write(made, folder / f"train.{kind}")
    return "accepted"


def _damaged(kind: str) -> Case:
    def case(rng: Generator, folder: Path) -> Expected:
        path = _both(rng, folder, kind, rows(rng, 60))
        path.write_bytes(damage(path.read_bytes(), rng))
        return "either"

    return case


def _damaged_both(rng: Generator, folder: Path) -> Expected:
    path = _both(rng, folder, _any_kind(rng))
    dev = path.with_name(f"dev{path.suffix}")
    dev.write_bytes(damage(dev.read_bytes(), rng))
    return "either"


def _mixed_types(rng: Generator, folder: Path) -> Expected:
    values: list[object] = [1, "1", 1.5, True, None, "x", 10**30, [1], {"a": 1}, float("nan"), ""]
    made = rows(rng)
    column = pick(rng, ["text", "label"])
    for row in made:
        row[column] = values[int(rng.integers(len(values)))]
    _both(rng, folder, "jsonl", made)
    return "either"


def _targets(rng: Generator, folder: Path) -> Expected:
    values: list[object] = [1e308, -1e308, 10**400, "1e400", "x", True, None, 5e-324, "0x1", "½"]
    made = [{**row, "label": i / 10} for i, row in enumerate(rows(rng))]
    _write(made, folder / "dev.jsonl")
    made[int(rng.integers(len(made)))]["label"] = values[int(rng.integers(len(values)))]
    _write(made, folder / "train.jsonl")
    return "either"


def _encoding(rng: Generator, folder: Path) -> Expected:
    made = [{**row, "text": f"{row['text']} très"} for row in rows(rng)]
    path = _both(rng, folder, pick(rng, ["csv", "tsv"]), made)
    name = pick(rng, ["utf-16", "utf-16-le", "utf-32", "latin-1", "cp500"])
    path.write_bytes(path.read_text(encoding="utf-8").encode(name))
    return "refused"


def _empty(rng: Generator, folder: Path) -> Expected:
    path = _both(rng, folder, _any_kind(rng))
    contents = [b"", b"\n", b"\xef\xbb\xbf", b"\0", b"\0" * 5000, b"text,label\n", b"text\tlabel"]
    path.write_bytes(contents[int(rng.integers(len(contents)))])
    return "refused"


def _columns(rng: Generator, folder: Path) -> Expected:
    name = pick(rng, ["txt", "text\x1b[31m", "TEXT", " text", "text\0"])
    made = [{name: row["text"], "label": row["label"]} for row in rows(rng)]
    if rng.random() < 0.3:
        made = [{**row, **{f"x{i}": 1 for i in range(5000)}} for row in made]
    _both(rng, folder, pick(rng, ["jsonl", "parquet"]), made)
    return "refused"


def _repeated_column(rng: Generator, folder: Path) -> Expected:
    kind = pick(rng, ["csv", "tsv"])
    path = _both(rng, folder, kind)
    mark = "," if kind == "csv" else "\t"
    lines = [
        f"{line}{mark}{'text' if i == 0 else 'x'}"
        for i, line in enumerate(path.read_text().splitlines())
    ]
    path.write_text("\n".join(lines) + "\n")
    return "refused"


def _compressed(rng: Generator, folder: Path) -> Expected:
    path = _both(rng, folder, _any_kind(rng))
    bomb = bytes(20_000_000) if rng.random() < 0.5 else path.read_bytes()
    path.write_bytes(gzip.compress(bomb))
    return "refused"


def _other_format(rng: Generator, folder: Path) -> Expected:
    path = _both(rng, folder, "parquet")
    other = folder / f"train.{pick(rng, ['csv', 'jsonl', 'tsv'])}"
    path.rename(other)
    (folder / "dev.parquet").rename(folder / f"dev{other.suffix}")
    return "refused"


def _ragged(rng: Generator, folder: Path) -> Expected:
    path = _both(rng, folder, pick(rng, ["csv", "tsv"]))
    path.write_text(path.read_text() + pick(rng, ["only one cell\n", 'a,b,c\td\te,"x\n']))
    return "refused"


def _line_ends(rng: Generator, folder: Path) -> Expected:
    path = _both(rng, folder, pick(rng, ["csv", "jsonl"]))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    return "accepted"


def _many_labels(rng: Generator, folder: Path) -> Expected:
    made = [{**row, "label": f"{rng.random()}"} for row in rows(rng, 500)]
    _both(rng, folder, _any_kind(rng), made)
    return "refused"


def _no_regular_file(rng: Generator, folder: Path) -> Expected:
    path = _both(rng, folder, _any_kind(rng))
    path.unlink()
    kind = int(rng.integers(2))
    if kind == 0:
        path.mkdir()
    else:
        os.symlink("nowhere", path)
    return "refused"


CASES: tuple[tuple[str, Case], ...] = (
    ("sound", _sound),
    ("labels that look like numbers", _minus_signs),
    ("an integer of many digits", _long_integer),
    ("deeply nested JSON", _deep),
    ("parquet: one bit", _one_bit),
    ("odd texts", _odd_text),
    ("a lone surrogate", _lone_surrogate),
    ("a control character in a label", _unprintable_label),
    ("sound: emoji labels", _emoji_label),
    ("parquet: damaged bytes", _damaged("parquet")),
    ("CSV: damaged bytes", _damaged("csv")),
    ("TSV: damaged bytes", _damaged("tsv")),
    ("JSON lines: damaged bytes", _damaged("jsonl")),
    ("a damaged validation file", _damaged_both),
    ("mixed types", _mixed_types),
    ("huge and wrong numbers", _targets),
    ("a wrong encoding", _encoding),
    ("an empty file", _empty),
    ("other columns", _columns),
    ("a repeated column", _repeated_column),
    ("compressed", _compressed),
    ("another extension than format", _other_format),
    ("rows of other lengths", _ragged),
    ("sound: other line ends", _line_ends),
    ("a class per example", _many_labels),
    ("a folder or a broken link", _no_regular_file),
)
"""The classes of files; case `seed` is of class `seed % 26`, with values that its seed draws."""
