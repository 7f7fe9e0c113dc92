"""Verification: train a recorded run again and compare it bit for bit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from seedlab.errors import SeedlabError
from seedlab.grid import EngineSpec
from seedlab.intermediate import restore
from seedlab.launch.execute import load_task_of, load_weights_of, prepare, train
from seedlab.spec import RunSpec
from seedlab.store.arrays import Arrays
from seedlab.store.record import Record
from seedlab.store.study import StoredRun
from seedlab.train.checkpoint import Checkpoint
from seedlab.train.result import RunResult

if TYPE_CHECKING:
    from seedlab.models.weights import Weights


@dataclass(frozen=True)
class Verification:
    """How a repeated run compares with its record.

    Parameters
    ----------
    equal : bool
        Every loss, gradient norm, evaluation and final logit has the same bits.
    first_step : int or None
        Updates made when the first difference was seen; None when there is none.
    what : str
        The first difference, or what was compared.
    """

    equal: bool
    first_step: int | None
    what: str


def repeat(stored: StoredRun) -> RunResult:
    """Train a recorded run again, with the engine, width and threads it was trained with.

    One that was stopped early is trained up to the step at which it was.

    Raises
    ------
    SeedlabError
        When its data or weights are gone or have changed, or the device is not there.
    """
    record = stored.record
    run = record.run_spec()
    restore(run)
    _check_weights(run)
    engine = _engine_of(record)
    task = load_task_of(run)
    keeper = _PauseAt(record.steps) if record.status == "stopped" else None
    (result,) = train([run], task, engine, keeper=keeper)
    return result


def trained_again(stored: StoredRun) -> Weights:
    """Train a recorded run again and return the model with the weights that it ends with.

    Raises
    ------
    SeedlabError
        When the run does not come out bit for bit as it is on record; see also `repeat`.
    """
    record = stored.record
    verification = compare(stored, repeat(stored))
    if not verification.equal:
        raise SeedlabError(
            f"{explain(record, verification)}; a model that is not the recorded run is of no use. "
            "Use the versions and the machine on record."
        )
    run = record.run_spec()
    return load_weights_of(run, load_task_of(run), prepare(_engine_of(record)))


def _engine_of(record: Record) -> EngineSpec:
    """Return the engine's settings that a run was trained with, dummies in its neighbours' place."""
    own, device = record.provenance, "cpu" if record.device == "cpu" else "cuda"
    stack = int(own.get("stack") or 1)
    return EngineSpec(
        record.engine,
        stack if stack > 1 else record.width,
        record.threads,
        device,
        stack=own.get("stack"),
        graphs=bool(own.get("graphs", False)),
        constant_width=stack > 1,
    )


class _PauseAt:
    """Lets runs pause and keeps nothing; a `seedlab.train.checkpoint.Keeper`."""

    every = None

    def __init__(self, pause: int) -> None:
        self.pause = pause

    def load(self, run_id: str) -> None:
        """There is nothing to go on from."""

    def save(self, run_id: str, checkpoint: Checkpoint) -> None:
        """Nobody will go on from it."""


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
        step, what = min(differences)
        return Verification(False, step, what)
    for split, logits in arrays.logits.items():
        again = result.logits.get(split, np.empty(0, np.float32))
        if logits.tobytes() != np.ascontiguousarray(again).tobytes():
            return Verification(False, record.steps, f"the final logits of '{split}' differ")
    status = "stopped" if result.status == "paused" else result.status
    if record.status != status:
        return Verification(
            False, record.steps, f"it ended as '{status}', recorded is '{record.status}'"
        )
    n = len(arrays.losses)
    return Verification(
        True, None, f"{n} losses, {len(arrays.evaluations)} evaluations and the final logits"
    )


def explain(record: Record, verification: Verification) -> str:
    """Return a verification in words, with what differs from the recorded circumstances."""
    from seedlab.store.provenance import versions

    if verification.equal:
        return f"run {record.run_id}: bitwise equal ({verification.what})"
    now = versions()
    changed = [
        f"{name} {record.versions.get(name, '(absent)')} -> {now[name]}"
        for name in now
        if record.versions.get(name) != now[name]
    ]
    circumstances = f"; since then changed: {', '.join(changed)}" if changed else ""
    if record.provenance.get("narrowed"):
        circumstances += (
            "; runs left its stack while it was in training, or it paused, so that other kernels may "
            "have computed it (provenance.narrowed): engine.constant_width=true avoids that"
        )
    return (
        f"run {record.run_id}: NOT equal from step {verification.first_step} on "
        f"({verification.what}){circumstances}"
    )


def _check_weights(run: RunSpec) -> None:
    """Refuse to repeat a run from other weights than it was trained from."""
    from seedlab.config import cache_folder
    from seedlab.models.checkpoint import locate, weights_hash

    folder = locate(run.model.name, run.model.path, run.model.allow_pickle)
    found = weights_hash(folder, cache_folder())
    if found != run.weights_hash:
        raise SeedlabError(
            f"the weights of model '{run.model.name}' have changed since run {run.run_id} was "
            f"trained (content {found}, recorded {run.weights_hash}); restore the checkpoint."
        )


def _first_step(a: np.ndarray, b: np.ndarray, name: str) -> tuple[int, str] | None:
    """Return the first step at which two traces differ."""
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
