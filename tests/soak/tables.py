"""Hostile and damaged tables of scores for `report --table` and `plan --table`."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from numpy.random import Generator, Philox

from tests.soak import checks
from tests.soak.hostile_files import HOSTILE_NAMES, damage, deep_json, hostile_characters, pick

SHORT = 10
FULL = 200

Expected = Literal["accepted", "refused", "either"]
Case = Callable[[Generator, Path], Expected]


def run_case(seed: int, folder: Path) -> str:
    """Write one table, give it to a verb, and look at the end of the verb and at what it left."""
    rng = Generator(Philox(seed))
    label, case = CASES[seed % len(CASES)]
    with checks.labelled(label):
        expected = case(rng, folder)
        before = checks.files_in(folder)
        table = next(path.name for path in folder.iterdir() if path.name.startswith("table"))
        # Figures cost seconds, so a third of the cases draws them.
        if rng.random() < 0.33:
            ended = checks.seedlab("report", "--table", table, "--out", "page", folder=folder)
        else:
            arguments = ("--table", table, "--width", "0.01", "--budget", "10")
            ended = checks.seedlab("plan", *arguments, folder=folder)
        if expected == "accepted":
            checks.assert_done(ended)
        if expected == "refused" or ended.code != 0:
            checks.assert_refused(ended)
            left = checks.files_in(folder) - before
            assert not left, f"left behind: {sorted(left)[:10]}: {ended}"
        elif (folder / "page").is_dir():
            checks.assert_shown_as_text(folder / "page")
    return label


def frame(rng: Generator, *, inits: int = 3, orders: int = 2) -> pd.DataFrame:
    """A sound table of crossed seeds: one task, one recipe or two."""
    rows = [
        {"task": "rte", "recipe": recipe, "init_seed": i, "order_seed": o}
        for recipe in ("devlin", "mixout")[: int(rng.choice([1, 1, 2]))]
        for i in range(inits)
        for o in range(orders)
    ]
    made = pd.DataFrame(rows)
    return made.assign(score=rng.uniform(0.55, 0.75, len(made)).round(4))


def _write(made: pd.DataFrame, folder: Path, kind: str) -> Path:
    path = folder / f"table.{kind}"
    if kind == "parquet":
        made.to_parquet(path, index=False)
    elif kind == "jsonl":
        made.to_json(path, orient="records", lines=True, force_ascii=False)
    else:
        made.to_csv(path, index=False, sep="," if kind == "csv" else "\t")
    return path


def _any_kind(rng: Generator) -> str:
    return pick(rng, ["csv", "tsv", "jsonl", "parquet"])


def _sound(rng: Generator, folder: Path) -> Expected:
    _write(frame(rng), folder, _any_kind(rng))
    return "accepted"


def _sound_names(rng: Generator, folder: Path) -> Expected:
    made = frame(rng)
    column = pick(rng, ["task", "recipe"])
    made[column] = made[column] + pick(rng, HOSTILE_NAMES)
    _write(made, folder, _any_kind(rng))
    return "accepted"


def _unprintable(rng: Generator, folder: Path) -> Expected:
    made = frame(rng)
    column = pick(rng, ["task", "recipe", "model", "run", "status", "metric"])
    bad = f"a{pick(rng, hostile_characters())}b"
    made[column] = [bad if column != "run" else f"{bad}{i}" for i in range(len(made))]
    _write(made, folder, pick(rng, ["jsonl", "parquet"]))
    return "refused"


def _nul_in_csv(rng: Generator, folder: Path) -> Expected:
    path = _write(frame(rng), folder, pick(rng, ["csv", "tsv"]))
    path.write_bytes(path.read_bytes().replace(b"rte", b"r\0te"))
    return "refused"


def _odd_column_name(rng: Generator, folder: Path) -> Expected:
    made = frame(rng)
    made[f"note{pick(rng, hostile_characters())}"] = "x"
    if rng.random() < 0.5:
        made = made.drop(columns="order_seed")
    _write(made, folder, pick(rng, ["jsonl", "parquet"]))
    return "either"


def _note_column(rng: Generator, folder: Path) -> Expected:
    made = frame(rng)
    made["note"] = f"a{pick(rng, hostile_characters())}b<script>alert(1)</script>"
    _write(made, folder, pick(rng, ["jsonl", "parquet"]))
    return "accepted"


def _html(rng: Generator, folder: Path) -> Expected:
    made = frame(rng)
    text = pick(rng, ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{7*7}}"])
    made[pick(rng, ["task", "recipe"])] = [f"{text}{i % 2}" for i in range(len(made))]
    made["order_seed"] = range(len(made))
    _write(made, folder, _any_kind(rng))
    return "accepted"


def _lone_surrogate(rng: Generator, folder: Path) -> Expected:
    rows = frame(rng).to_dict("records")
    column = pick(rng, ["task", "recipe", "note"])
    lines = [json.dumps({**row, column: "a\ud83d"}) for row in rows]
    (folder / "table.jsonl").write_text("\n".join(lines) + "\n")
    return "refused"


def _number(values: list[object], expected: Expected = "either") -> Case:
    def case(rng: Generator, folder: Path) -> Expected:
        rows = frame(rng).to_dict("records")
        column = pick(rng, ["score", "init_seed", "order_seed", "majority", "n_examples"])
        for row in rows:
            row.setdefault(column, 0.5)
        value = values[int(rng.integers(len(values)))]
        if rng.random() < 0.5:
            rows[int(rng.integers(len(rows)))][column] = value
            text = "\n".join(json.dumps(row) for row in rows)
            (folder / "table.jsonl").write_text(text + "\n")
        else:
            rows[int(rng.integers(len(rows)))][column] = str(value)
            _write(pd.DataFrame(rows).astype("str"), folder, "csv")
        return expected

    return case


def _long_integer(rng: Generator, folder: Path) -> Expected:
    digits = "9" * int(rng.choice([400, 4300, 4301, 6000, 100_000]))
    rows = frame(rng).to_dict("records")
    column = pick(rng, ["score", "init_seed", "order_seed"])
    lines = [json.dumps(row) for row in rows]
    lines[0] = json.dumps({**rows[0], column: "XX"}).replace('"XX"', digits)
    if rng.random() < 0.3:
        made = frame(rng).astype("str")
        made.loc[0, column] = digits
        _write(made, folder, "csv")
    else:
        (folder / "table.jsonl").write_text("\n".join(lines) + "\n")
    return "refused"


def _deep(rng: Generator, folder: Path) -> Expected:
    lines = [json.dumps(row) for row in frame(rng).to_dict("records")]
    lines.insert(int(rng.integers(len(lines))), deep_json(rng))
    (folder / "table.jsonl").write_text("\n".join(lines) + "\n")
    return "refused"


def _nested(rng: Generator, folder: Path) -> Expected:
    rows: list[dict[str, Any]] = frame(rng).to_dict("records")
    column = pick(rng, ["task", "score", "init_seed", "note", "higher_is_better"])
    value: list[object] = [[1, 2], {"a": [1]}, [], {}, [[["x"]]], None, True]
    for row in rows:
        row[column] = value[int(rng.integers(len(value)))]
    (folder / "table.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    return "either"


def _duplicates(rng: Generator, folder: Path) -> Expected:
    made = frame(rng)
    _write(pd.concat([made, made.iloc[[int(rng.integers(len(made)))]]]), folder, _any_kind(rng))
    return "refused"


def _repeated_column(rng: Generator, folder: Path) -> Expected:
    path = _write(frame(rng), folder, "csv")
    path.write_text(path.read_text().replace("recipe", "score", 1))
    return "refused"


def _damaged(kind: str) -> Case:
    def case(rng: Generator, folder: Path) -> Expected:
        path = _write(frame(rng, inits=5, orders=5), folder, kind)
        path.write_bytes(damage(path.read_bytes(), rng))
        return "either"

    return case


def _one_bit(rng: Generator, folder: Path) -> Expected:
    path = _write(frame(rng, inits=4, orders=4), folder, "parquet")
    content = bytearray(path.read_bytes())
    bit = int(rng.integers(len(content) * 8))
    content[bit // 8] ^= 1 << (bit % 8)
    path.write_bytes(content)
    return "either"


def _empty(rng: Generator, folder: Path) -> Expected:
    kind = _any_kind(rng)
    contents = [b"", b"\n", b"\n\n\n", b"\xef\xbb\xbf", b" ", b"\0", b"\0" * 5000]
    (folder / f"table.{kind}").write_bytes(contents[int(rng.integers(len(contents)))])
    return "refused"


def _header_only(rng: Generator, folder: Path) -> Expected:
    _write(frame(rng).iloc[:0], folder, _any_kind(rng))
    return "refused"


def _one_row(rng: Generator, folder: Path) -> Expected:
    _write(frame(rng).iloc[[0]], folder, _any_kind(rng))
    return "accepted"


def _many_columns(rng: Generator, folder: Path) -> Expected:
    count = int(rng.choice([1_000, 20_000, 100_000]))
    kept = list(frame(rng).astype("str").itertuples(index=False, name=None))
    names = ["task", "recipe", "init_seed", "order_seed", "score"]
    if rng.random() < 0.5:
        names[2] = "other"
    names += [f"x{i}" for i in range(count)]
    lines = [",".join(names)] + [",".join([*row, *["1"] * count]) for row in kept[:4]]
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    return "refused" if "other" in names or count > 10_000 else "accepted"


def _long_cell(rng: Generator, folder: Path) -> Expected:
    made = frame(rng).astype("str")
    column = pick(rng, ["task", "recipe", "score", "init_seed"])
    made.loc[0, column] = pick(rng, ["x", "9", "é", "."]) * int(rng.choice([10_000, 200_000]))
    _write(made, folder, pick(rng, ["csv", "jsonl", "parquet"]))
    return "either"


def _encoding(rng: Generator, folder: Path) -> Expected:
    made = frame(rng)
    made["task"] = "très"
    path = _write(made, folder, pick(rng, ["csv", "tsv", "jsonl"]))
    name = pick(rng, ["utf-16", "utf-16-le", "utf-32", "latin-1", "cp500"])
    path.write_bytes(path.read_text(encoding="utf-8").encode(name))
    return "refused"


def _wrong_extension(rng: Generator, folder: Path) -> Expected:
    wrote, named = rng.permutation(["csv", "jsonl", "parquet"])[:2]
    content = _write(frame(rng), folder, str(wrote)).read_bytes()
    (folder / f"table.{wrote}").unlink()
    (folder / f"table.{named}").write_bytes(content)
    return "refused"


def _compressed(rng: Generator, folder: Path) -> Expected:
    content = _write(frame(rng), folder, "csv").read_bytes()
    (folder / "table.csv").unlink()
    bomb = bytes(20_000_000) if rng.random() < 0.5 else content
    (folder / f"table.{pick(rng, ['csv', 'jsonl', 'parquet'])}").write_bytes(gzip.compress(bomb))
    return "refused"


def _wrong_types(rng: Generator, folder: Path) -> Expected:
    made = frame(rng)
    column = pick(rng, ["init_seed", "order_seed", "score"])
    kinds: list[Callable[[pd.Series], Any]] = [
        lambda s: pd.to_datetime(s.astype("int64"), unit="D"),
        lambda s: s.astype("bool"),
        lambda s: s.map(lambda v: f"{v}".encode()),
        lambda s: s.map(lambda v: [v]),
        lambda s: s.map(lambda v: {"v": v}),
        lambda s: s.astype("str").astype("category"),
        lambda s: s.astype("complex128").astype("str"),
        lambda s: pd.to_timedelta(s, unit="h"),
    ]
    made[column] = kinds[int(rng.integers(len(kinds)))](made[column])
    _write(made, folder, "parquet")
    return "either"


def _ragged(rng: Generator, folder: Path) -> Expected:
    path = _write(frame(rng), folder, pick(rng, ["csv", "tsv"]))
    lines = path.read_text().splitlines()
    place = int(rng.integers(1, len(lines)))
    mark = "," if path.suffix == ".csv" else "\t"
    lines[place] = pick(rng, [lines[place] + mark + "1", lines[place].rpartition(mark)[0]])
    path.write_text("\n".join(lines) + "\n")
    return "refused"


def _open_quote(rng: Generator, folder: Path) -> Expected:
    path = _write(frame(rng), folder, "csv")
    path.write_text(path.read_text().replace("rte", '"rte', 1))
    return "refused"


def _line_ends(rng: Generator, folder: Path) -> Expected:
    path = _write(frame(rng), folder, pick(rng, ["csv", "jsonl"]))
    mark = b"\r\n" if path.suffix == ".jsonl" or rng.random() < 0.5 else b"\r"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", mark))
    return "accepted"


def _separator_in_text(rng: Generator, folder: Path) -> Expected:
    rows = frame(rng).to_dict("records")
    text = f"a{pick(rng, list(chr(0x2028) + chr(0x2029) + chr(0x85)))}b"
    lines = [json.dumps({**row, "note": text}, ensure_ascii=False) for row in rows]
    (folder / "table.jsonl").write_text("\n".join(lines) + "\n")
    return "accepted"


def _mixed_types(rng: Generator, folder: Path) -> Expected:
    rows = frame(rng).to_dict("records")
    column = pick(rng, ["task", "recipe", "init_seed", "score"])
    values: list[object] = [1, "1", 1.5, True, None, "x", 10**30, -1]
    for row in rows:
        row[column] = values[int(rng.integers(len(values)))]
    (folder / "table.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    return "either"


def _constant(rng: Generator, folder: Path) -> Expected:
    made = frame(rng)
    made["score"] = float(rng.choice([0.0, 0.5, 1.0, -1.0]))
    _write(made, folder, _any_kind(rng))
    return "accepted"


def _long_form(rng: Generator, folder: Path) -> Expected:
    made = frame(rng)
    parts = [made.assign(step=step, score=made["score"] + step / 1e4) for step in (10, 20, 30)]
    long = pd.concat(parts, ignore_index=True)
    if rng.random() < 0.5:
        long = long.astype({"step": "object"})
        bad: list[object] = ["x", float("nan"), -5, 1e308, float("inf")]
        long.loc[int(rng.integers(len(long))), "step"] = bad[int(rng.integers(len(bad)))]
        _write(long.astype("str"), folder, "csv")
        return "either"
    _write(long, folder, _any_kind(rng))
    return "accepted"


def _sparse_grid(rng: Generator, folder: Path) -> Expected:
    made = frame(rng, inits=4, orders=4)
    _write(made.sample(frac=0.4, random_state=int(rng.integers(1000))), folder, _any_kind(rng))
    return "accepted"


CASES: tuple[tuple[str, Case], ...] = (
    ("sound", _sound),
    ("a control character in a name", _unprintable),
    ("parquet: one bit", _one_bit),
    ("deeply nested JSON", _deep),
    ("an integer of many digits", _long_integer),
    ("sound: emoji, joined and right-to-left names", _sound_names),
    ("NUL in CSV or TSV", _nul_in_csv),
    ("huge and tiny numbers", _number([1e308, -1e308, 5e-324, 2**53 + 1, 1e200, 1e-300])),
    ("not numbers", _number(["x", "1,5", "0x10", "1e", "--1", "١٢", "1_000", "½", ""])),
    ("a wrong encoding", _encoding),
    ("infinite and NaN", _number([float("nan"), float("inf"), float("-inf")])),
    ("integers beyond 64 bits", _number([2**63, 2**64, 2**64 - 1, -(2**63) - 1, 10**30])),
    ("sound: HTML in names", _html),
    ("a lone surrogate", _lone_surrogate),
    ("parquet: damaged bytes", _damaged("parquet")),
    ("CSV: damaged bytes", _damaged("csv")),
    ("JSON lines: damaged bytes", _damaged("jsonl")),
    ("TSV: damaged bytes", _damaged("tsv")),
    ("nested values", _nested),
    ("a repeated cell", _duplicates),
    ("a repeated column", _repeated_column),
    ("an empty file", _empty),
    ("a header alone", _header_only),
    ("sound: one row", _one_row),
    ("many columns", _many_columns),
    ("a long cell", _long_cell),
    ("another extension than format", _wrong_extension),
    ("compressed", _compressed),
    ("columns of other types", _wrong_types),
    ("rows of other lengths", _ragged),
    ("an open quotation mark", _open_quote),
    ("sound: other line ends", _line_ends),
    ("sound: line separators in a text", _separator_in_text),
    ("mixed types", _mixed_types),
    ("sound: equal scores", _constant),
    ("several evaluations", _long_form),
    ("sound: a sparse grid", _sparse_grid),
    ("a control character in a column's name", _odd_column_name),
    ("sound: a control character in another column", _note_column),
    ("zero and negative numbers", _number([0, -1, -0.0, -5, 10.5])),
)
"""The classes of tables; case `seed` is of class `seed % 40`, with values that its seed draws."""
