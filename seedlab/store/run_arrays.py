"""Conversion of a run's curves, step records, logits and diagnostics to Parquet, and back.

Never pickles. Columns that another release added are ignored; see `columns_of` for missing ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from seedlab.errors import CorruptRunError, SeedlabError

if TYPE_CHECKING:
    from seedlab.tasks.encoded import EncodedTask
    from seedlab.training.result import Evaluation, Profile, RunResult

NAMES = ("evaluations.parquet", "steps.parquet", "predictions.parquet")
DIAGNOSTICS = ("profiles.parquet", "representations.parquet")
"""Optional files: written if the run recorded these diagnostics."""
_REQUIRED = {
    "evaluations": ("step", "split", "metric", "value"),
    "steps": ("step", "train_loss"),
    "predictions": ("split", "label", "logits"),
    "profiles": ("step", "name", "value"),
    "representations": ("depth", "values"),
}
"""Required columns, by table."""


@dataclass(frozen=True)
class Arrays:
    """The arrays of a run, which its record does not hold.

    Parameters
    ----------
    evaluations : tuple of Evaluation
    losses, learning_rates, grad_norms : (step,) arrays of float64
        See `seedlab.training.result.RunResult`.
    logits : mapping of split to (example, class) array of float32
    labels : mapping of split to (example,) array of int64 or float64
    profiles : tuple of Profile
        Empty without this diagnostic.
    representations : (depth, example, feature) array of float32, optional
    """

    evaluations: tuple[Evaluation, ...]
    losses: npt.NDArray[np.float64]
    learning_rates: npt.NDArray[np.float64]
    grad_norms: npt.NDArray[np.float64]
    logits: Mapping[str, npt.NDArray[np.float32]]
    labels: Mapping[str, npt.NDArray[Any]]
    profiles: tuple[Profile, ...] = ()
    representations: npt.NDArray[np.float32] | None = None


def encode(result: RunResult, task: EncodedTask) -> dict[str, bytes]:
    """Return the content of a run's Parquet files by file name.

    Raises
    ------
    SeedlabError
        When the engine returned arrays whose shapes do not match.
    """
    files = {
        "evaluations.parquet": to_parquet(_evaluations(result)),
        "steps.parquet": to_parquet(_steps(result)),
        "predictions.parquet": to_parquet(_predictions(result, task)),
    }
    if result.profiles:
        files["profiles.parquet"] = to_parquet(_profiles(result))
    if result.representations is not None:
        files["representations.parquet"] = to_parquet(_representations(result))
    return files


def decode(files: Mapping[str, bytes]) -> Arrays:
    """Return the arrays in a run's Parquet files, bit for bit as they were encoded.

    Parameters
    ----------
    files : mapping of file name to bytes
        All of `NAMES`, and any of `DIAGNOSTICS`.

    Raises
    ------
    CorruptRunError
        When a file lacks a required column.
    """
    from seedlab.training.result import Evaluation

    names = ("step", "epoch", "split", "metric", "value")
    evaluations = columns_of(files, "evaluations", names).to_pylist()
    steps = columns_of(files, "steps", ("train_loss", "learning_rate", "grad_norm"))
    predictions = columns_of(files, "predictions", ("split", "label", "logits"))
    splits = np.asarray(predictions["split"].to_pylist(), dtype=str)
    labels = predictions["label"].to_numpy()
    values = flat_logits(predictions)
    selected = {str(split): splits == split for split in dict.fromkeys(splits)}
    return Arrays(
        evaluations=tuple(Evaluation(**row) for row in evaluations),
        losses=steps["train_loss"].to_numpy(),
        learning_rates=steps["learning_rate"].to_numpy(),
        grad_norms=steps["grad_norm"].to_numpy(),
        logits={split: values[rows] for split, rows in selected.items()},
        labels={split: labels[rows] for split, rows in selected.items()},
        profiles=_read_profiles(files),
        representations=_read_representations(files),
    )


def columns_of(files: Mapping[str, bytes], table: str, names: Iterable[str]) -> pa.Table:
    """Return columns of one of a run's files, whichever release wrote it.

    Parameters
    ----------
    files : mapping of file name to bytes
    table : str
        The file's name without its suffix.
    names : iterable of str
        A missing one that is not required is a column of NaN in float64.

    Raises
    ------
    CorruptRunError
        When a required column is missing.
    """
    found = from_parquet(files[f"{table}.parquet"])
    missing = [name for name in _REQUIRED[table] if name not in found.column_names]
    if missing:
        raise CorruptRunError(
            f"{table}.parquet lacks required columns: {', '.join(missing)}; it has "
            f"{', '.join(found.column_names)}"
        )
    for name in names:
        if name not in found.column_names:
            found = found.append_column(name, pa.array(np.full(len(found), np.nan)))
    return found.select([*names])


def to_parquet(table: pa.Table) -> bytes:
    """Return a table as the bytes of a Parquet file."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue().to_pybytes())


def from_parquet(data: bytes) -> pa.Table:
    """Return the table in the bytes of a Parquet file.

    Raises
    ------
    CorruptRunError
        When the bytes are damaged.
    """
    try:
        return pq.ParquetFile(pa.BufferReader(data)).read(use_threads=False)
    except Exception as error:  # Arrow raises any class at damaged bytes.
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CorruptRunError(f"a Parquet file of the run can't be read ({reason})") from error


def flat_logits(predictions: pa.Table) -> npt.NDArray[np.float32]:
    """Return the logits of a run's predictions, an (example, class) array of float32."""
    return _flat(predictions["logits"])


def _flat(column: pa.ChunkedArray) -> npt.NDArray[np.float32]:
    """Return lists of one length as the rows of an array."""
    lists = column.combine_chunks()
    flat = lists.flatten().to_numpy(zero_copy_only=False)
    return np.asarray(flat.reshape(len(lists), -1) if len(lists) else np.empty((0, 0), np.float32))


def _lists(rows: npt.NDArray[np.float32]) -> pa.ListArray:
    """Return the rows of an array as lists."""
    starts = np.arange(len(rows) + 1, dtype=np.int32) * rows.shape[1]
    flat = np.ascontiguousarray(rows, dtype=np.float32).ravel()
    return pa.ListArray.from_arrays(pa.array(starts), pa.array(flat, pa.float32()))


def _evaluations(result: RunResult) -> pa.Table:
    rows = result.evaluations
    return pa.table(
        {
            "step": pa.array([e.step for e in rows], pa.int64()),
            "epoch": pa.array([e.epoch for e in rows], pa.float64()),
            "split": pa.array([e.split for e in rows], pa.string()),
            "metric": pa.array([e.metric for e in rows], pa.string()),
            "value": pa.array([float(e.value) for e in rows], pa.float64()),
        }
    )


def _steps(result: RunResult) -> pa.Table:
    columns = {
        "train_loss": result.losses,
        "learning_rate": result.learning_rates,
        "grad_norm": result.grad_norms,
    }
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise SeedlabError(
            f"run {result.spec.run_id}: one value per step is needed in every step record, got "
            f"{lengths}; the engine must record all three at every step."
        )
    table = {"step": pa.array(np.arange(1, len(result.losses) + 1), pa.int64())}
    for name, values in columns.items():
        table[name] = pa.array(
            np.asarray(values, dtype=np.float64), pa.float64(), from_pandas=False
        )
    return pa.table(table)


def _predictions(result: RunResult, task: EncodedTask) -> pa.Table:
    schema = pa.schema(
        {
            "split": pa.string(),
            "example": pa.int64(),
            "label": pa.float64() if task.is_regression else pa.int64(),
            "logits": pa.list_(pa.float32()),
        }
    )
    parts = []
    for split, logits in result.logits.items():
        labels = task.splits[split].labels
        expected = (len(labels), task.n_labels)
        if logits.shape != expected:
            raise SeedlabError(
                f"run {result.spec.run_id}: the logits of split '{split}' have shape "
                f"{logits.shape}, expected (examples, classes) = {expected}; the engine must "
                "score every example of the task in its order."
            )
        columns = {
            "split": pa.array([split] * len(labels), pa.string()),
            "example": pa.array(np.arange(len(labels))),
            "label": pa.array(np.asarray(labels), schema.field("label").type),
            "logits": _lists(logits),
        }
        parts.append(pa.table(columns, schema=schema))
    return pa.concat_tables(parts) if parts else schema.empty_table()


def _profiles(result: RunResult) -> pa.Table:
    rows = [(p, depth, value) for p in result.profiles for depth, value in enumerate(p.values)]
    return pa.table(
        {
            "step": pa.array([p.step for p, _, _ in rows], pa.int64()),
            "name": pa.array([p.name for p, _, _ in rows], pa.string()),
            "depth": pa.array([depth for _, depth, _ in rows], pa.int64()),
            "value": pa.array([value for _, _, value in rows], pa.float64()),
        }
    )


def _read_profiles(files: Mapping[str, bytes]) -> tuple[Profile, ...]:
    from seedlab.training.result import Profile

    if "profiles.parquet" not in files:
        return ()
    values: dict[tuple[int, str], list[float]] = {}
    for row in columns_of(files, "profiles", ("step", "name", "value")).to_pylist():
        values.setdefault((row["step"], row["name"]), []).append(row["value"])
    return tuple(Profile(step, name, tuple(found)) for (step, name), found in values.items())


def _representations(result: RunResult) -> pa.Table:
    found = result.representations
    if found is None or found.ndim != 3:
        shape = None if found is None else found.shape
        raise SeedlabError(
            f"run {result.spec.run_id}: representations have shape {shape}, expected (depth, "
            "example, feature); the engine must hand back first tokens of every depth."
        )
    depths, examples, features = found.shape
    return pa.table(
        {
            "depth": pa.array(np.repeat(np.arange(depths), examples)),
            "example": pa.array(np.tile(np.arange(examples), depths)),
            "values": _lists(found.reshape(-1, features)),
        }
    )


def _read_representations(files: Mapping[str, bytes]) -> npt.NDArray[np.float32] | None:
    if "representations.parquet" not in files:
        return None
    table = columns_of(files, "representations", ("depth", "values"))
    depths = int(table["depth"].to_numpy().max()) + 1
    rows = _flat(table["values"])
    return rows.reshape(depths, -1, rows.shape[1])
