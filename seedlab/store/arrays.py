"""A run's curves, step records and logits as Parquet: to bytes, and back. Never pickles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from seedlab.errors import SeedlabError

if TYPE_CHECKING:
    from seedlab.tasks.encoded import EncodedTask
    from seedlab.train.result import Evaluation, RunResult

NAMES = ("evaluations.parquet", "steps.parquet", "predictions.parquet")


@dataclass(frozen=True)
class Arrays:
    """What a run left besides its record.

    Parameters
    ----------
    evaluations : tuple of Evaluation
    losses, learning_rates, grad_norms : (step,) arrays of float64
    logits : mapping of split to (example, class) array of float32
    labels : mapping of split to (example,) array of int64 or float64
    """

    evaluations: tuple[Evaluation, ...]
    losses: npt.NDArray[np.float64]
    learning_rates: npt.NDArray[np.float64]
    grad_norms: npt.NDArray[np.float64]
    logits: Mapping[str, npt.NDArray[np.float32]]
    labels: Mapping[str, npt.NDArray[Any]]


def encode(result: RunResult, task: EncodedTask) -> dict[str, bytes]:
    """Return the content of a run's Parquet files by file name.

    Raises
    ------
    SeedlabError
        When an engine handed back arrays that do not fit together.
    """
    return {
        "evaluations.parquet": to_parquet(_evaluations(result)),
        "steps.parquet": to_parquet(_steps(result)),
        "predictions.parquet": to_parquet(_predictions(result, task)),
    }


def decode(files: Mapping[str, bytes]) -> Arrays:
    """Return the arrays in a run's Parquet files, bit for bit as they were encoded."""
    from seedlab.train.result import Evaluation

    evaluations = from_parquet(files["evaluations.parquet"]).to_pylist()
    steps = from_parquet(files["steps.parquet"])
    predictions = from_parquet(files["predictions.parquet"])
    splits = np.asarray(predictions["split"].to_pylist(), dtype=str)
    labels = predictions["label"].to_numpy()
    values = flat_logits(predictions)
    places = {str(split): splits == split for split in dict.fromkeys(splits)}
    return Arrays(
        evaluations=tuple(Evaluation(**row) for row in evaluations),
        losses=steps["train_loss"].to_numpy(),
        learning_rates=steps["learning_rate"].to_numpy(),
        grad_norms=steps["grad_norm"].to_numpy(),
        logits={split: values[place] for split, place in places.items()},
        labels={split: labels[place] for split, place in places.items()},
    )


def to_parquet(table: pa.Table) -> bytes:
    """Return a table as the bytes of a Parquet file."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue().to_pybytes())


def from_parquet(data: bytes) -> pa.Table:
    """Return the table in the bytes of a Parquet file."""
    return pq.ParquetFile(pa.BufferReader(data)).read(use_threads=False)


def flat_logits(predictions: pa.Table) -> npt.NDArray[np.float32]:
    """Return the logits of a run's predictions, an (example, class) array of float32."""
    lists = predictions["logits"].combine_chunks()
    flat = lists.flatten().to_numpy(zero_copy_only=False)
    return np.asarray(flat.reshape(len(lists), -1) if len(lists) else np.empty((0, 0), np.float32))


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
        flat = pa.array(np.ascontiguousarray(logits, dtype=np.float32).ravel(), pa.float32())
        starts = np.arange(len(labels) + 1, dtype=np.int32) * task.n_labels
        columns = {
            "split": pa.array([split] * len(labels), pa.string()),
            "example": pa.array(np.arange(len(labels))),
            "label": pa.array(np.asarray(labels), schema.field("label").type),
            "logits": pa.ListArray.from_arrays(pa.array(starts), flat),
        }
        parts.append(pa.table(columns, schema=schema))
    return pa.concat_tables(parts) if parts else schema.empty_table()
