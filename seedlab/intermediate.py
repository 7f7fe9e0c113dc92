"""The intermediate task (STILTs): a run that starts where a run of another study ended.

The other run's model is trained again from its record, checked bit for bit, and kept in the
cache folder; from then on it is the pre-trained model, by its folder and its weights' hash.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from functools import lru_cache
from pathlib import Path

from filelock import FileLock

from seedlab.config import cache_folder
from seedlab.errors import SeedlabError
from seedlab.models.checkpoint import locate, weights_hash
from seedlab.recipe_spec import IntermediateSpec
from seedlab.spec import RunSpec
from seedlab.store.record import Record
from seedlab.store.study import Study, find_study

log = logging.getLogger(__name__)


def begin_where_another_ended(run: RunSpec, studies: Path) -> RunSpec:
    """Return the run with the checkpoint of its intermediate task as its model.

    Parameters
    ----------
    run : RunSpec
        Returned as it is where `recipe.intermediate` names no study.
    studies : pathlib.Path
        Where studies lie.

    Returns
    -------
    RunSpec
        `model.path` is the checkpoint's folder; `recipe.intermediate` names the study's
        folder and the id of the run, so that a record says where it began.

    Raises
    ------
    SeedlabError
        When there is no such study or run, the run did not end as it should, was trained from
        another model, or can't be repeated bit for bit.
    """
    wanted = run.recipe.intermediate
    if wanted.study is None:
        return run
    setting = f"recipe.intermediate.study={wanted.study}"
    try:
        study = Study(find_study(wanted.study, studies).folder.resolve())
        record = _record(study, wanted.run)
    except SeedlabError as error:
        raise SeedlabError(f"{setting}: {error}") from error
    _check_ended(record, setting)
    _check_model(record, run, setting)
    found = IntermediateSpec(str(study.folder), record.run_id)
    return dataclasses.replace(
        run,
        model=dataclasses.replace(run.model, path=str(_checkpoint(study, record))),
        recipe=dataclasses.replace(run.recipe, intermediate=found),
    )


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
        _checkpoint(study, study.read(began.run).record)


def _record(study: Study, which: str) -> Record:
    """Return the record of the run that `which` means."""
    runs = study.folder / "runs"
    # Every run of a grid asks, and to choose means to read every record; a new run in the
    # study is a new entry in that folder.
    return _chosen(study.folder, which, runs.stat().st_mtime_ns if runs.is_dir() else 0)


@lru_cache(maxsize=8)
def _chosen(folder: Path, which: str, changed: int) -> Record:
    # It trains and saves, and reaches this module by way of the task's content.
    from seedlab.save import choose

    study = Study(folder)
    return study.read(choose(study, which)).record


def _check_ended(record: Record, setting: str) -> None:
    if record.status == "finished":
        return
    what = "was stopped before its end" if not record.is_over else "diverged"
    raise SeedlabError(
        f"{setting}: run {record.run_id} {what}, so that there is no encoder to start from; name "
        "another with recipe.intermediate.run=ID (or =best)."
    )


def _check_model(record: Record, run: RunSpec, setting: str) -> None:
    """Refuse a run that was trained from another pre-trained model than the configured one."""
    began = record.run_spec()
    own = weights_hash(
        locate(run.model.name, run.model.path, run.model.allow_pickle), cache_folder()
    )
    # A run that had an intermediate task itself has the weights of that; then the name decides.
    chained = began.recipe.intermediate.study is not None and began.model.name == run.model.name
    if began.weights_hash != own and not chained:
        raise SeedlabError(
            f"{setting}: its run {record.run_id} was trained from model '{began.model.name}' (weights "
            f"{began.weights_hash[:8]}), and this run's model is '{run.model.name}' (weights "
            f"{own[:8]}); both must start from the same one: use the model that the study was "
            "trained with."
        )


def _checkpoint(study: Study, record: Record) -> Path:
    """Return the folder of a run's final model, made where it is not in the cache."""
    from seedlab.save import ABOUT

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


def _save_undisturbed(study: Study, record: Record, folder: Path) -> None:
    """Save a run, and leave this process with the CPU threads that it had."""
    import torch

    from seedlab.save import save

    threads = torch.get_num_threads()
    try:
        save(study, record.run_id, folder)
    finally:
        torch.set_num_threads(threads)
