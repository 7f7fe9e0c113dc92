"""Repeating recorded runs, saving their models, and restoring what they began from."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import shutil
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock
from transformers import AutoTokenizer

from seedlab.errors import SeedlabError
from seedlab.execution.train import train
from seedlab.inputs.loaded import load_task_of, load_weights_of, prepare
from seedlab.models.checkpoint_folder import locate
from seedlab.models.saved import ABOUT, ABOUT_VERSION, write_model
from seedlab.paths import cache_folder
from seedlab.reproduce.choose_run import choose
from seedlab.reproduce.compare import compare, explain
from seedlab.spec.pack import EngineSpec
from seedlab.spec.run import RunSpec
from seedlab.store.record import Record
from seedlab.store.study import StoredRun, StudyFolder, find_study
from seedlab.tasks.registry import find_source
from seedlab.training.checkpoint import Checkpoint
from seedlab.training.recipe_effects import model_options_of
from seedlab.training.result import RunResult

if TYPE_CHECKING:
    from seedlab.models.pretrained import Weights


log = logging.getLogger(__name__)


def repeat(stored: StoredRun) -> RunResult:
    """Train a recorded run again, with the engine, width and threads it was trained with.

    One that was stopped early is trained up to the step at which it was.

    Raises
    ------
    SeedlabError
        When its data or weights are gone or have changed, the device is not there, or another
        release trained it with a setting that this one does not know.
    """
    record = stored.record
    run = record.run_spec()
    _check_known(run)
    restore(run)
    _check_weights(run)
    engine = _engine_of(record)
    task = load_task_of(run)
    checkpoint_manager = _PauseAt(record.steps) if record.status == "stopped" else None
    (result,) = train([run], task, engine, checkpoint_manager=checkpoint_manager)
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
    """Stops runs and keeps no checkpoint; a `seedlab.training.checkpoint.CheckpointManager`."""

    every = None

    def __init__(self, until: int) -> None:
        self.until = until

    def load(self, run_id: str) -> None:
        """There is nothing to go on from."""

    def save(self, run_id: str, checkpoint: Checkpoint) -> None:
        """Nobody will go on from it."""


def _check_known(run: RunSpec) -> None:
    """Refuse to repeat a run whose settings this release does not know."""
    if run.unknown.decide:
        settings = ", ".join(f"{name}={text}" for name, text in run.unknown.values)
        raise SeedlabError(
            f"run {run.run_id} was trained by another release of seedlab, with settings that this "
            f"one does not know ({settings}); use the seedlab that trained it."
        )


def _check_weights(run: RunSpec) -> None:
    """Refuse to repeat a run from other weights than it was trained from."""
    from seedlab.models.checkpoint_folder import locate, weights_hash
    from seedlab.paths import cache_folder

    folder = locate(run.model.name, run.model.path, run.model.allow_pickle)
    found = weights_hash(folder, cache_folder())
    if found != run.weights_hash:
        raise SeedlabError(
            f"the weights of model '{run.model.name}' have changed since run {run.run_id} was "
            f"trained (content {found}, recorded {run.weights_hash}); restore the checkpoint."
        )


def save(study: StudyFolder, which: str, out: str | os.PathLike[str]) -> Record:
    """Write a run's final model as a `save_pretrained` folder.

    The model is trained again, and what comes out must have the recorded logits bit for bit.
    Averaged weights are saved where they are what was scored. Low-rank updates are merged into
    the weights, which rounds them once more: the saved model's logits are the recorded ones to
    float32 rounding. A head of ours is saved beside the encoder (`seedlab.models.saved`).

    Parameters
    ----------
    study : StudyFolder
    which : str
        See `choose`.
    out : path
        A folder that does not exist yet, or is empty.

    Returns
    -------
    Record
        Of the run.

    Raises
    ------
    SeedlabError
        When the folder is taken, or the repeated run is not equal to its record.
    """
    folder = Path(out)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SeedlabError(f"{folder} is there already and not empty; name a new folder.")
    stored = study.read(choose(study, which))
    record = stored.record
    folder = folder.absolute()
    beside = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}")
    try:
        # Made before training: a place that can't be written to costs nothing then.
        beside.mkdir(parents=True)
    except OSError as error:
        raise SeedlabError(
            f"{folder} can't be made ({error.strerror}); name a folder in a place that you can "
            "write to."
        ) from error
    try:
        weights = trained_again(stored)
        run = record.run_spec()
        task = load_task_of(run)
        write_model(weights, beside, task.label_names)
        source = locate(run.model.name, run.model.path, run.model.allow_pickle)
        AutoTokenizer.from_pretrained(source).save_pretrained(beside)
        pairs = find_source(run.task).read().splits["train"].pairs is not None
        (beside / ABOUT).write_text(json.dumps(_about(record, pairs), indent=2) + "\n")
        if folder.exists():
            folder.rmdir()
        beside.replace(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return record


def _about(record: Record, pairs: bool) -> dict[str, object]:
    """Return what `seedlab predict` and a reader need to know of a saved model."""
    model_options = model_options_of(record.run_spec().recipe)
    return {
        "schema_version": ABOUT_VERSION,
        "run": record.run_id,
        "task": record.spec["task"],
        "pairs": pairs,
        "recipe": record.recipe,
        "truncation": dataclasses.asdict(record.run_spec().recipe.truncation),
        "seeds": record.seeds,
        "metric": record.metric,
        "final_score": record.final_score,
        "best_score": record.best_score,
        "n_labels": record.n_labels,
        "head": None if model_options.head is None else model_options.head._asdict(),
        "merged_low_rank_updates": model_options.low_rank is not None,
    }


def restore(run: RunSpec) -> None:
    """Make the checkpoint of a recorded run's intermediate task again, if it is gone.

    Raises
    ------
    SeedlabError
        When the study of the intermediate task is not where it was.
    """
    began = run.recipe.intermediate
    if began.study is not None and not Path(str(run.model.path)).is_dir():
        study = find_study(began.study)
        intermediate_checkpoint(study, study.read(began.run).record)


def intermediate_checkpoint(study: StudyFolder, record: Record) -> Path:
    """Return the folder of a run's final model, made where it is not in the cache."""
    from seedlab.models.saved import ABOUT

    # A run of the same id can have other bits elsewhere; its record tells them apart.
    digest = hashlib.sha256((study.run_folder(record.run_id) / "record.json").read_bytes())
    folder = cache_folder() / "intermediate" / f"{record.run_id}-{digest.hexdigest()[:12]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not (folder / ABOUT).is_file():
            log.info(
                f"training run {record.run_id} of study '{study.name}' again, whose encoder is the "
                f"start ({record.steps} steps, {record.seconds:.0f} s on record)"
            )
            _save_undisturbed(study, record, folder)
    return folder.absolute()


def _save_undisturbed(study: StudyFolder, record: Record, folder: Path) -> None:
    """Save a run, and leave this process with the CPU threads that it had."""
    import torch

    threads = torch.get_num_threads()
    try:
        save(study, record.run_id, folder)
    finally:
        torch.set_num_threads(threads)
