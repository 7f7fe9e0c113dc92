"""Files as frames: CSV, TSV, JSON lines and Parquet; a refusal names the file and the row."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from analysis.errors import TableError

EXTENSIONS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
MOST_COLUMNS = 10_000


def read_frame(path: Path, *, empty_allowed: bool = False) -> pd.DataFrame:
    """A CSV, TSV, JSON lines or Parquet file as a frame; text files as text.

    Raises
    ------
    TableError
        The file is missing, empty, of another kind, or cannot be parsed.
    """
    if not path.is_file():
        raise TableError(f"{path}: no such file; give the path of an existing table.")
    kind = path.suffix.lower()
    if kind not in EXTENSIONS:
        raise TableError(
            f"{path}: unknown extension {kind!r}; allowed: {', '.join(EXTENSIONS)}. "
            "Convert the table or rename the file."
        )
    try:
        if kind in (".csv", ".tsv"):
            frame = _read_delimited(path, "," if kind == ".csv" else "\t")
        elif kind == ".parquet":
            frame = pd.read_parquet(path)
        else:
            frame = _read_json_lines(path)
    except TableError:
        raise
    except Exception as error:  # Decoders raise any class at damaged bytes.
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise TableError(
            f"{path}: cannot be read as {kind[1:]}: {reason}. Write the table again, as UTF-8 if "
            "it is text, or give the file the extension of its format."
        ) from error
    _refuse_many_columns(frame.shape[1], path)
    if frame.empty and not empty_allowed:
        raise TableError(f"{path}: holds no rows; at least one run is needed.")
    return frame.reset_index(drop=True)


def _read_delimited(path: Path, separator: str) -> pd.DataFrame:
    # The csv module, not pandas, because pandas silently shifts or fills rows
    # whose number of fields is wrong.
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, delimiter=separator, strict=True)
        header = next(reader, None)
        if not header:
            raise TableError(f"{path}: is empty; the first line must name the columns.")
        names = [name.strip() for name in header]
        _refuse_many_columns(len(names), path)
        refuse_repeated_names(names, str(path))
        rows = []
        for row in reader:
            if not row:
                continue
            rows.append(row)
            if len(row) != len(names):
                raise TableError(
                    f"{path}: row {len(rows)} has {len(row)} fields, the header {len(names)}; "
                    "every row needs one field per column (quote fields that hold the separator)."
                )
    return pd.DataFrame(rows, columns=pd.Index(names), dtype="str")


def _read_json_lines(path: Path) -> pd.DataFrame:
    records: list[dict[str, object]] = []
    # Lines end at line feeds alone: a JSON text may hold other Unicode line separators.
    for text in path.read_text(encoding="utf-8-sig").split("\n"):
        if not text.strip():
            continue
        try:
            record = json.loads(text)
        except json.JSONDecodeError as error:
            raise TableError(
                f"{path}: row {len(records) + 1} is not JSON ({error}); "
                "each line must be one object."
            ) from error
        except (ValueError, RecursionError) as error:
            deep = isinstance(error, RecursionError)
            what = "is nested too deeply" if deep else "holds an integer of more than 4,300 digits"
            raise TableError(
                f"{path}: row {len(records) + 1} {what}; each line must be one flat object of "
                "column: value. Correct or remove the line."
            ) from error
        if not isinstance(record, dict):
            raise TableError(
                f"{path}: row {len(records) + 1} is a JSON {type(record).__name__}; "
                "each line must be one object of column: value."
            )
        records.append(record)
    return pd.DataFrame.from_records(records)


def _refuse_many_columns(count: int, path: Path) -> None:
    if count > MOST_COLUMNS:
        raise TableError(
            f"{path}: has {count:,} columns; allowed: {MOST_COLUMNS:,}. Keep the columns that the "
            "study needs, one row per run."
        )


def refuse_repeated_names(names: Iterable[str], table: str) -> None:
    """Refuse a header that names a column twice."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise TableError(f"{table}: the column {name!r} occurs twice; rename one of them.")
        seen.add(name)
