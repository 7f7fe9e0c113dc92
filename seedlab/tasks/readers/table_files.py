"""`Rows`: the content of a table file, with line or row numbers for messages."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seedlab.errors import SeedlabError, nearest

_SURROGATE = re.compile("[\ud800-\udfff]")
EXTENSIONS = (".csv", ".tsv", ".jsonl", ".parquet")


@dataclass(frozen=True)
class Rows:
    """The rows of a file.

    Parameters
    ----------
    path : pathlib.Path
    columns : dict of column name to list of cells
        Cells of text files are str. Cells of JSON lines and Parquet have the file's types.
    numbers : list of int
        Position of every row in the file, counted from 1.
    unit : str
        Unit of the numbers: ``line`` (text files, header included) or ``row``.
    """

    path: Path
    columns: dict[str, list[Any]]
    numbers: list[int]
    unit: str

    def __len__(self) -> int:
        return len(self.numbers)

    def column(self, name: str, setting: str) -> list[Any]:
        """Return a column's cells.

        Raises
        ------
        SeedlabError
            When the file lacks the column; `setting` is the key that named it.
        """
        if name not in self.columns:
            raise SeedlabError(
                f"{self.path} has no column '{name}' ({setting}={name}); its columns are "
                f"{listed(self.columns)}.{nearest(name, [*self.columns][:1000])}"
            )
        return self.columns[name]

    def place(self, index: int, column: str) -> str:
        """Return the file, line and column of a cell, for a message."""
        return f"{self.path}, {self.unit} {self.numbers[index]}, column '{column}'"


def listed(names: Iterable[str], most: int = 20) -> str:
    """Return names for a message; those after the first `most` are left out."""
    shown = [*names]
    return ", ".join(shown[:most]) + (", ..." if len(shown) > most else "")


def shown(cell: Any) -> str:
    """Return a cell as Python writes it, without the middle of a long one."""
    text = repr(cell)
    return text if len(text) <= 100 else f"{text[:70]}...{text[-20:]}"


def refuse_half_characters(rows: Rows, column: str) -> None:
    """Refuse texts that hold half of a character; JSON can write it, and no tokenizer reads it."""
    for index, cell in enumerate(rows.columns[column]):
        if isinstance(cell, str) and _SURROGATE.search(cell):
            raise SeedlabError(
                f"{rows.place(index, column)}: the text holds half of a character (a lone "
                "surrogate); write the whole character, or remove it."
            )


def read_rows(path: Path) -> Rows:
    """Read a CSV, TSV, JSON lines or Parquet file.

    CSV is quoted as usual (RFC 4180). TSV has no quoting, as in GLUE: a quotation mark is
    a character like any other. Text is UTF-8, with or without a byte-order mark.

    Raises
    ------
    SeedlabError
        For a missing file, an unknown extension, text that is not UTF-8, a row of another length
        than the header, a line that is not a JSON object, and a file without rows.
    """
    extension = path.suffix.lower()
    if extension not in EXTENSIONS:
        raise SeedlabError(
            f"{path} has the extension '{path.suffix}', which names no format that is read; "
            f"allowed: {', '.join(EXTENSIONS)}.{nearest(extension, EXTENSIONS)}"
        )
    if extension == ".parquet":
        rows = _parquet(path)
    elif extension == ".jsonl":
        rows = _jsonl(path)
    else:
        rows = _delimited(path, "," if extension == ".csv" else "\t")
    if not len(rows):
        raise SeedlabError(f"{path} has no rows; a split needs at least one example.")
    return rows


def read_bytes(path: Path, setting: str | None = None) -> bytes:
    """Return a file's content; the message for a missing file suggests the nearest name.

    Parameters
    ----------
    path : pathlib.Path
    setting : str, optional
        The key that names the file in the folder `task.path`, for the message.
    """
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        folder = path.parent
        beside = [p.name for p in folder.iterdir() if p != path] if folder.is_dir() else []
        what = "is a folder, not a file" if path.is_dir() else "does not exist"
        where = "" if path.parent.is_dir() else f" (there is no folder {path.parent} either)"
        named = f"{setting}={path.name}: " if setting and path.parent.is_dir() else ""
        file = f", and {setting} a file in it" if named else ""
        raise SeedlabError(
            f"{named}{path} {what}{where}; task.path must name the folder that holds the data{file}."
            f"{nearest(path.name, beside)}"
        ) from error


def read_text(path: Path) -> str:
    """Return a UTF-8 text file's content without its byte-order mark."""
    raw = read_bytes(path)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise SeedlabError(
            f"{path}, line {line}: byte 0x{raw[error.start]:02x} is not UTF-8 text; only UTF-8 is "
            "read. Convert the file, for example with iconv -t UTF-8."
        ) from error


def _delimited(path: Path, delimiter: str) -> Rows:
    text = io.StringIO(read_text(path), newline="")
    if delimiter == ",":
        reader = csv.reader(text, strict=True)
    else:
        reader = csv.reader(text, delimiter=delimiter, quoting=csv.QUOTE_NONE, strict=True)
    lines = _lines(reader, path)
    header = next(lines, (0, []))[1]
    cells: list[list[str]] = []
    numbers: list[int] = []
    for number, row in lines:
        if not row:
            continue
        if len(row) != len(header):
            hint = (
                "a text with commas or quotation marks must be quoted"
                if delimiter == ","
                else "a TSV has no quoting: a text with tabs or line ends needs CSV"
            )
            raise SeedlabError(
                f"{path}, line {number} has {len(row)} columns and the header has {len(header)}; "
                f"every row must have the header's columns ({hint})."
            )
        cells.append(row)
        numbers.append(number)
    columns = {name: [row[i] for row in cells] for i, name in enumerate(header)}
    if len(columns) < len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise SeedlabError(
            f"{path} has two columns named '{twice}'; names must differ: rename one."
        )
    return Rows(path, columns, numbers, "line")


def _lines(reader: Any, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield (number of a row's first line, its cells)."""
    start = 1
    try:
        for row in reader:
            yield start, row
            start = reader.line_num + 1
    except csv.Error as error:
        raise SeedlabError(
            f"{path}, line {start} can't be read as a row ({error}); look for a quotation mark that "
            "is not closed."
        ) from error


def _jsonl(path: Path) -> Rows:
    records: list[dict[str, Any]] = []
    numbers: list[int] = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise SeedlabError(
                f"{path}, line {number} is not JSON ({error.msg} at column {error.colno}); every line "
                'must be one object, for example {"text": "...", "label": "..."}.'
            ) from error
        except (ValueError, RecursionError) as error:
            deep = isinstance(error, RecursionError)
            what = "is nested too deeply" if deep else "holds an integer of more than 4,300 digits"
            raise SeedlabError(
                f"{path}, line {number} {what}; every line must be one flat object, for example "
                '{"text": "...", "label": "..."}.'
            ) from error
        if not isinstance(record, dict):
            raise SeedlabError(
                f"{path}, line {number} holds a {type(record).__name__}; every line must be one "
                'object, for example {"text": "...", "label": "..."}.'
            )
        records.append(record)
        numbers.append(number)
    names = list(dict.fromkeys(name for record in records for name in record))
    columns = {name: [record.get(name) for record in records] for name in names}
    return Rows(path, columns, numbers, "line")


def _parquet(path: Path) -> Rows:
    import pyarrow
    import pyarrow.parquet

    raw = read_bytes(path)
    try:
        table = pyarrow.parquet.read_table(pyarrow.BufferReader(raw))
        names = table.column_names
        columns = {name: table.column(i).to_pylist() for i, name in enumerate(names)}
    except Exception as error:  # Arrow raises any class at damaged bytes.
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise SeedlabError(
            f"{path} is not a Parquet file, or it is damaged ({reason}); write it again, or give the "
            "file the extension of its format."
        ) from error
    if len(columns) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise SeedlabError(
            f"{path} has two columns named '{twice}'; names must differ: rename one."
        )
    return Rows(path, columns, list(range(1, table.num_rows + 1)), "row")
