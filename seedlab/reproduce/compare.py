"""Comparison of a repeated run with its record, bit for bit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seedlab.store.record import Record
from seedlab.store.run_arrays import Arrays
from seedlab.store.study import StoredRun
from seedlab.training.result import RunResult


@dataclass(frozen=True)
class Verification:
    """The comparison of a repeated run with its record.

    Parameters
    ----------
    equal : bool
        Every loss, gradient norm, evaluation and final logit has the same bits.
    first_step : int or None
        Updates made at the first difference; None when there is none.
    detail : str
        The first difference, or the compared values, as text.
    """

    equal: bool
    first_step: int | None
    detail: str


def compare(stored: StoredRun, result: RunResult) -> Verification:
    """Compare a repeated run with its record, bit for bit, in the order of training."""
    arrays, record = stored.arrays, stored.record
    differences = [
        found
        for found in (
            _first_step(arrays.losses, result.losses, "training loss"),
            _first_step(arrays.grad_norms, result.grad_norms, "gradient norm"),
            _first_evaluation(arrays, result),
        )
        if found is not None
    ]
    if differences:
        step, detail = min(differences)
        return Verification(False, step, detail)
    for split, logits in arrays.logits.items():
        again = result.logits.get(split, np.empty(0, np.float32))
        if logits.tobytes() != np.ascontiguousarray(again).tobytes():
            return Verification(False, record.steps, f"the final logits of '{split}' differ")
    if record.status != result.status:
        return Verification(
            False, record.steps, f"it ended as '{result.status}', recorded is '{record.status}'"
        )
    n = len(arrays.losses)
    return Verification(
        True, None, f"{n} losses, {len(arrays.evaluations)} evaluations and the final logits"
    )


def explain(record: Record, verification: Verification) -> str:
    """Return a verification as text, with the versions that changed since the run was recorded."""
    from seedlab.store.provenance import versions

    if verification.equal:
        return f"run {record.run_id}: bitwise equal ({verification.detail})"
    now = versions()
    changed = [
        f"{name} {record.versions.get(name, '(absent)')} -> {now[name]}"
        for name in now
        if record.versions.get(name) != now[name]
    ]
    notes = f"; since then changed: {', '.join(changed)}" if changed else ""
    if record.provenance.get("narrowed"):
        notes += (
            "; runs left its stack while it was in training, or it was resumed, so that other kernels may "
            "have computed it (provenance.narrowed): engine.constant_width=true avoids that"
        )
    return (
        f"run {record.run_id}: NOT equal from step {verification.first_step} on "
        f"({verification.detail}){notes}"
    )


def _first_step(a: np.ndarray, b: np.ndarray, name: str) -> tuple[int, str] | None:
    """Return the first step at which two histories differ."""
    n = min(len(a), len(b))
    different = np.flatnonzero(a[:n].view(np.int64) != b[:n].view(np.int64))
    if len(different):
        step = int(different[0])
        return step + 1, f"{name} {b[step]!r}, recorded {a[step]!r}"
    if len(a) != len(b):
        return n + 1, f"{len(b)} values of the {name}, recorded {len(a)}"
    return None


def _first_evaluation(arrays: Arrays, result: RunResult) -> tuple[int, str] | None:
    """Return the first evaluation that differs."""
    for old, new in zip(arrays.evaluations, result.evaluations, strict=False):
        if old != new:
            return old.step, f"{new.metric} on {new.split} {new.value!r}, recorded {old.value!r}"
    made, recorded = len(result.evaluations), len(arrays.evaluations)
    if made != recorded:
        return result.total_steps, f"{made} evaluations, recorded {recorded}"
    return None
