"""Tidy tables of a study: `runs`, `evaluations`, `steps`, `predictions`, `rates`, and their schema.

Diagnostics (`profiles`, `representations`) are exported if a run recorded them. The tables
are the interface to every analysis. They never contain a damaged run.
"""

from __future__ import annotations

import dataclasses
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from seedlab.errors import SeedlabError, nearest
from seedlab.store.atomic_files import FULL, disk_full, dump_json, write_synced
from seedlab.store.chosen import scored
from seedlab.store.run_arrays import flat_logits, from_parquet
from seedlab.store.tables.foreign import refuse_foreign_tables
from seedlab.store.tables.rates import rate_rows
from seedlab.store.tables.run_row import run_row
from seedlab.store.tables.schema import (
    DIAGNOSTICS,
    PARQUET_ALONE,
    SCHEMA_VERSION,
    TABLES,
    Columns,
    flattened,
)
from seedlab.store.tables.setting_columns import (
    KEYS,
    setting_columns,
    setting_values,
    with_settings,
)
from seedlab.store.tables.setting_names import named_settings
from seedlab.store.writable import check_folder

if TYPE_CHECKING:
    from seedlab.store.record import Record
    from seedlab.store.study import StudyFolder

FORMATS = ("csv", "parquet")
# A row group per run would make large files slow to read; this is a few megabytes.
ROWS_PER_WRITE = 200_000
_TYPES = {
    "string": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "list of number": pa.list_(pa.float32()),
}


def export(
    study: StudyFolder,
    out: str | os.PathLike[str] | None = None,
    format: str = "csv",
    *,
    overwrite: bool = False,
) -> Path:
    """Write a study's tables.

    Parameters
    ----------
    study : StudyFolder
    out : path, optional
        Folder of the tables; the study's own ``tables`` by default.
    format : {"csv", "parquet"}
        Logits are a list in Parquet and columns ``logit_0``, ``logit_1``, ... in CSV.
        Representations are Parquet in both.
    overwrite : bool
        Also replace tables in `out` that no export has written.

    Returns
    -------
    Path
        The folder, which also holds ``schema.json``. Every file is replaced as a whole, and an
        earlier export's tables in the other format are removed.

    Raises
    ------
    SeedlabError
        When no run is on record, the format is unknown, the folder is not writable or holds
        tables of others, or the disk is full.
    """
    if format not in FORMATS:
        raise SeedlabError(
            f"table format '{format}' does not exist; allowed: {', '.join(FORMATS)}."
            f"{nearest(format, FORMATS)}"
        )
    folder = Path(out) if out is not None else study.folder / "tables"
    if out is not None and not overwrite:
        refuse_foreign_tables(folder, FORMATS)
    if study.recorded():
        check_folder(folder, "tables", "name another one with --out FOLDER")
    # Every file is hashed first: no table may contain a damaged run.
    settings = named_settings(records := study.records().values())
    if not settings:
        raise SeedlabError(
            f"study '{study.name}' has no finished run to export; `seedlab status` shows the runs that are "
            "running."
        )
    further = setting_columns(settings)
    shared = {
        record.run_id: {"label": setting.label, **setting_values(setting, further)}
        for setting in settings
        for record in setting.records
    }
    sources = [_Source(study, record, shared[record.run_id]) for record in records]
    schema = _schema(sources, format)
    schema["runs"] = with_settings(schema["runs"], further)
    keys = KEYS | {column: key for column, (key, _) in further.items()}
    files = {name: _file(name, format) for name in schema}
    temporary = folder / f".writing-{uuid.uuid4().hex[:12]}"
    try:
        temporary.mkdir(parents=True)
        for name, columns in schema.items():
            rows: Iterable[pa.Table] = (getattr(source, name)(columns) for source in sources)
            if name == "rates":
                of_rates = pa.schema(_types(columns))
                rows = (rate_rows(setting, of_rates) for setting in settings)
            _write(rows, columns, temporary / files[name])
        write_synced(temporary / "schema.json", dump_json(_described(schema, keys), indent=2))
        # The schema first: it marks the tables of an export that is interrupted here.
        for file in ("schema.json", *files.values()):
            os.replace(temporary / file, folder / file)
        for stale in {f"{name}.{kind}" for name in TABLES for kind in FORMATS} - {*files.values()}:
            (folder / stale).unlink(missing_ok=True)
    except OSError as error:
        if error.errno in FULL:
            raise disk_full(folder, "writing the tables", error) from error
        raise
    finally:
        for left in temporary.glob("*"):
            left.unlink()
        if temporary.exists():
            temporary.rmdir()
    return folder


def _schema(sources: Sequence[_Source], format: str) -> dict[str, Columns]:
    """Return the tables to write, with their columns."""
    present = {
        name: columns
        for name, columns in TABLES.items()
        if name not in DIAGNOSTICS or any(source.has(name) for source in sources)
    }
    if format == "parquet":
        return present
    widest = max(source.record.n_labels for source in sources)
    return {n: c if n in PARQUET_ALONE else flattened(c, widest) for n, c in present.items()}


def _file(name: str, format: str) -> str:
    return f"{name}.{'parquet' if name in PARQUET_ALONE else format}"


@dataclasses.dataclass(frozen=True)
class _Source:
    """A run in its study; each method returns the run's rows of one table."""

    study: StudyFolder
    record: Record
    shared: Mapping[str, Any]
    """Values that all runs of its setting have: the label, and further settings by column."""

    def runs(self, columns: Columns) -> pa.Table:
        values = {**run_row(scored(self.study, self.record), self.study.name), **self.shared}
        return pa.table([pa.array([values[n]], t) for n, t in _types(columns).items()], [*columns])

    def evaluations(self, columns: Columns) -> pa.Table:
        table = self._read("evaluations.parquet")
        # A run of 0 steps is complete from the start.
        fraction = table["step"].to_numpy() / max(self.record.total_steps, 1)
        return _conform(table.append_column("fraction", pa.array(fraction)), columns)

    def steps(self, columns: Columns) -> pa.Table:
        return _conform(self._read("steps.parquet"), columns)

    def predictions(self, columns: Columns) -> pa.Table:
        table = self._read("predictions.parquet")
        if "logits" not in columns:
            logits = flat_logits(table)
            for index in range(sum(name.startswith("logit_") for name in columns)):
                exists = index < logits.shape[1]
                values = (
                    pa.array(logits[:, index]) if exists else pa.nulls(len(table), pa.float32())
                )
                table = table.append_column(f"logit_{index}", values)
        return _conform(table, columns)

    def profiles(self, columns: Columns) -> pa.Table:
        return self._diagnostic("profiles", columns)

    def representations(self, columns: Columns) -> pa.Table:
        return self._diagnostic("representations", columns)

    def has(self, name: str) -> bool:
        """Whether the run recorded a diagnostic."""
        return (self.study.folder_of(self.record) / f"{name}.parquet").is_file()

    def _diagnostic(self, name: str, columns: Columns) -> pa.Table:
        if not self.has(name):
            return pa.schema(_types(columns)).empty_table()
        return _conform(self._read(f"{name}.parquet"), columns)

    def _read(self, name: str) -> pa.Table:
        table = from_parquet((self.study.folder_of(self.record) / name).read_bytes())
        run = pa.array([self.record.run_id] * len(table), pa.string())
        return table.append_column("run", run)


def _types(columns: Columns) -> dict[str, pa.DataType]:
    # Logits stay float32: CSV then shows the digits that matter and no more.
    return {
        name: pa.float32() if name.startswith("logit_") else _TYPES[kind]
        for name, (kind, _) in columns.items()
    }


def _conform(table: pa.Table, columns: Columns) -> pa.Table:
    """Return a table with these columns, in their order and with their types.

    A column that the table lacks, because another release wrote it, is null.
    """
    for name, kind in _types(columns).items():
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(len(table), kind))
    return table.select([*columns]).cast(pa.schema(_types(columns)))


def _write(parts: Iterable[pa.Table], columns: Columns, path: Path) -> None:
    schema = pa.schema(_types(columns))
    with path.open("wb") as file:
        writer = (
            pq.ParquetWriter(file, schema)
            if path.suffix == ".parquet"
            else pyarrow.csv.CSVWriter(file, schema)
        )
        with writer:
            for table in _batched(parts):
                writer.write_table(table)
        file.flush()
        os.fsync(file.fileno())


def _batched(parts: Iterable[pa.Table]) -> Iterator[pa.Table]:
    waiting: list[pa.Table] = []
    rows = 0
    for part in parts:
        waiting.append(part)
        rows += len(part)
        if rows >= ROWS_PER_WRITE:
            yield pa.concat_tables(waiting)
            waiting, rows = [], 0
    if waiting:
        yield pa.concat_tables(waiting)


def _described(schema: dict[str, Columns], keys: Mapping[str, str]) -> dict[str, Any]:
    """Return the schema for ``schema.json``; columns of settings name their key."""
    tables: dict[str, dict[str, dict[str, str]]] = {
        table: {name: {"type": kind, "meaning": text} for name, (kind, text) in columns.items()}
        for table, columns in schema.items()
    }
    for name, key in keys.items():
        tables["runs"][name]["key"] = key
    return {"schema_version": SCHEMA_VERSION, "tables": tables}
