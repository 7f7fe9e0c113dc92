"""Training recorded runs again, bit for bit: to verify them, to save their models, to start from.

The three uses need each other, so they share this module. A run with an intermediate task starts
from the saved model of another run. To repeat it, that model may have to be made again, which
means to repeat and save the other run.

`repeat` trains a run again. `retrain` also compares the result with the record and returns the
model. `save` writes that model to a folder. `intermediate_checkpoint` keeps such folders in the
cache, for runs that start from them.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

from seedlab.errors import SeedlabError
from seedlab.execution.train import train
from seedlab.inputs.loaded import load_task_of, load_weights_of, prepare
from seedlab.lock_files import LockFile
from seedlab.models.checkpoint_folder import locate, weights_hash
from seedlab.models.saved import ABOUT
from seedlab.paths import cache_folder
from seedlab.reproduce.choose_run import choose
from seedlab.reproduce.compare import compare, explain
from seedlab.reproduce.model_folder import new_folder, write_model_folder
from seedlab.spec.pack import EngineSpec
from seedlab.spec.run import RunSpec
from seedlab.store.chosen import ScoredRun, scored
from seedlab.store.record import Record
from seedlab.store.study import StoredRun, StudyFolder, find_study
from seedlab.training.checkpoint import Checkpoint
from seedlab.training.result import RunResult

if TYPE_CHECKING:
    from seedlab.models.pretrained import Weights

log = logging.getLogger(__name__)


def repeat(stored: StoredRun, *, trust: bool = False) -> RunResult:
    """Train a recorded run again, with the engine, width and threads on record.

    A run that was stopped early is trained up to the step at which it stopped.

    Parameters
    ----------
    stored : StoredRun
    trust : bool
        Run the code of the model's folder where the record says that it was run.

    Raises
    ------
    SeedlabError
        When its data or weights are gone or have changed, the device is missing, another release
        trained it with a setting that this one does not know, or it needs trust.
    """
    record = stored.record
    run = record.run_spec()
    check_repeatable(run, trust)
    _restore_intermediate(run, trust)
    _check_weights(run)
    task = load_task_of(run)
    checkpoint_manager = _StopAt(record.steps) if record.status == "stopped" else None
    (result,) = train([run], task, _engine_of(record), checkpoint_manager=checkpoint_manager)
    return result


def retrain(stored: StoredRun, *, trust: bool = False) -> Weights:
    """Train a recorded run again and return the model with the weights it keeps; see `repeat`.

    Raises
    ------
    SeedlabError
        When the result differs from the record in any bit; see also `repeat`.
    """
    record = stored.record
    verification = compare(stored, repeat(stored, trust=trust))
    if not verification.equal:
        raise SeedlabError(
            f"{explain(record, verification)}; only a model that equals its record is saved or used. "
            "Use the versions and the machine on record."
        )
    run = record.run_spec()
    return load_weights_of(run, load_task_of(run), prepare(_engine_of(record)))


def save(
    study: StudyFolder,
    which: str,
    out: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    trust: bool = False,
) -> ScoredRun:
    """Write the model that a run keeps (`evaluation.keep`) as a `save_pretrained` folder.

    The model is trained again, and its logits must equal the recorded ones bit for bit. Where
    averaged weights were scored, they are saved. Low-rank updates are merged into the weights,
    which rounds them once more: the logits of the saved model equal the recorded ones to float32
    rounding. A head of seedlab's own is saved beside the encoder (`seedlab.models.saved`).

    Parameters
    ----------
    study : StudyFolder
    which : str
        See `choose`.
    out : path
        A folder that does not exist yet, or is empty.
    overwrite : bool
        Replace a model that seedlab saved there.
    trust : bool
        See `repeat`.

    Returns
    -------
    ScoredRun
        The run's record, with its chosen score.

    Raises
    ------
    SeedlabError
        When the folder is not empty or can't be made, or the repeated run differs from its record.
    """
    stored = study.read(choose(study, which))
    record = stored.record
    scored_run = scored(study, record)
    with new_folder(Path(out), overwrite=overwrite) as made:
        weights = retrain(stored, trust=trust)
        write_model_folder(weights, made, record, _about(scored_run))
    return scored_run


def intermediate_checkpoint(study: StudyFolder, record: Record, *, trust: bool = False) -> Path:
    """Return the folder of the model that a run keeps, which is made unless the cache has it.

    `trust` is that of `repeat`.
    """
    # A run of the same id can have other bits elsewhere; its record tells them apart.
    digest = hashlib.sha256((study.run_folder(record.run_id) / "record.json").read_bytes())
    folder = cache_folder() / "intermediate" / f"{record.run_id}-{digest.hexdigest()[:12]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = LockFile(folder.with_suffix(".lock"), "name a folder on a local one with SEEDLAB_CACHE")
    with lock:
        if not (folder / ABOUT).is_file():
            log.info(
                f"training run {record.run_id} of study '{study.name}' again, whose encoder is the "
                f"start ({record.steps} steps, {record.seconds:.0f} s on record)"
            )
            _save_undisturbed(study, record, folder, trust=trust)
    return folder.absolute()


class _StopAt:
    """A `seedlab.training.checkpoint.CheckpointManager` that stops runs and keeps no checkpoint."""

    every = None

    def __init__(self, until: int) -> None:
        self.until = until

    def load(self, run_id: str) -> None:
        """Return no checkpoint: the run starts from its first step."""

    def save(self, run_id: str, checkpoint: Checkpoint) -> None:
        """Drop the checkpoint: the run never continues."""


def _engine_of(record: Record) -> EngineSpec:
    """Return the engine settings of a run; in a stack, dummies take the place of other runs."""
    provenance = record.provenance
    stack = int(provenance.get("stack") or 1)
    return EngineSpec(
        record.engine,
        stack if stack > 1 else record.width,
        record.threads,
        "cpu" if record.device == "cpu" else "cuda",
        stack=provenance.get("stack"),
        graphs=bool(provenance.get("graphs", False)),
        constant_width=stack > 1,
    )


def check_repeatable(run: RunSpec, trust: bool) -> None:
    """Refuse a run of another release's settings, or one that needs trust; see `repeat`."""
    _check_known(run)
    _check_trust(run, trust)


def _check_known(run: RunSpec) -> None:
    """Refuse to repeat a run whose settings this release does not know."""
    if run.unknown.decide:
        settings = ", ".join(f"{name}={text}" for name, text in run.unknown.values)
        raise SeedlabError(
            f"run {run.run_id} was trained by another release of seedlab, with settings that this "
            f"one does not know ({settings}); use the seedlab that trained it."
        )


def _check_trust(run: RunSpec, trust: bool) -> None:
    """Refuse to run the code of a model's folder because a record says so: it may be anybody's.

    `model.allow_pickle` needs no trust here: torch restores pickled weights and nothing else.
    """
    if run.model.trust_remote_code and not trust:
        raise SeedlabError(
            f"run {run.run_id} was trained with model.trust_remote_code=true, so training it again runs "
            f"code in {run.model.path or run.model.name}; if you trust that folder and this study, add "
            "--trust."
        )


def _check_weights(run: RunSpec) -> None:
    """Refuse to repeat a run whose pre-trained weights have changed."""
    folder = locate(run.model.name, run.model.path, run.model.allow_pickle)
    found = weights_hash(folder, cache_folder())
    if found != run.weights_hash:
        raise SeedlabError(
            f"the weights of model '{run.model.name}' have changed since run {run.run_id} was "
            f"trained (content {found}, recorded {run.weights_hash}); restore the checkpoint."
        )


def _restore_intermediate(run: RunSpec, trust: bool) -> None:
    """Make the checkpoint of a run's intermediate task again, if it is gone.

    Raises
    ------
    SeedlabError
        When the study of the intermediate task is no longer in its place.
    """
    intermediate = run.recipe.intermediate
    if intermediate.study is not None and not Path(str(run.model.path)).is_dir():
        study = find_study(intermediate.study)
        intermediate_checkpoint(study, study.read(intermediate.run).record, trust=trust)


def _save_undisturbed(study: StudyFolder, record: Record, folder: Path, *, trust: bool) -> None:
    """Save a run's model and restore this process's number of CPU threads."""
    import torch

    threads = torch.get_num_threads()
    try:
        save(study, record.run_id, folder, trust=trust)
    finally:
        torch.set_num_threads(threads)


def _about(run: ScoredRun) -> dict[str, object]:
    """Return the entries of a saved model's description that are about its run."""
    record = run.record
    return {
        "run": record.run_id,
        "seeds": record.seeds,
        "final_score": record.final_score,
        "best_score": record.best_score,
        "chosen_score": None if math.isnan(run.chosen_score) else run.chosen_score,
        "chosen_step": run.chosen_step,
        "kept_step": record.weights_step,
    }
