"""The intermediate task (STILTs): a run that starts from the final encoder of another run."""

from __future__ import annotations

import dataclasses
import logging
from functools import lru_cache
from pathlib import Path

from seedlab.errors import SeedlabError
from seedlab.models.checkpoint_folder import locate, weights_hash
from seedlab.paths import cache_folder
from seedlab.reproduce.choose_run import choose
from seedlab.spec.run import RunSpec
from seedlab.store.record import Record
from seedlab.store.study import StudyFolder, find_study
from seedlab.techniques.intermediate import IntermediateSpec

log = logging.getLogger(__name__)


def resolve_intermediate(run: RunSpec, studies: Path) -> RunSpec:
    """Return the run with the checkpoint of its intermediate task as its model.

    Parameters
    ----------
    run : RunSpec
        Returned as it is where `recipe.intermediate` names no study.
    studies : pathlib.Path
        The folder of studies.

    Returns
    -------
    RunSpec
        `model.path` is the checkpoint's folder. `recipe.intermediate` names the study's folder and
        the run's id, so that records hold the origin.

    Raises
    ------
    SeedlabError
        When there is no such study or run, the run is not finished, was trained from another
        model, or can't be repeated bit for bit.
    """
    wanted = run.recipe.intermediate
    if wanted.study is None:
        return run
    setting = f"recipe.intermediate.study={wanted.study}"
    try:
        study = StudyFolder(find_study(wanted.study, studies).folder.resolve())
        record = _record(study, wanted.run)
    except SeedlabError as error:
        raise SeedlabError(f"{setting}: {error}") from error
    _check_ended(record, setting)
    _check_model(record, run, setting)
    # It brings torch and transformers along, which no other run needs to be identified.
    from seedlab.reproduce.retrain import intermediate_checkpoint

    # The run loads the same model, and its own configuration says whether that may run code.
    folder = intermediate_checkpoint(study, record, trust=run.model.trust_remote_code)
    found = IntermediateSpec(str(study.folder), record.run_id)
    return dataclasses.replace(
        run,
        model=dataclasses.replace(run.model, path=str(folder)),
        recipe=dataclasses.replace(run.recipe, intermediate=found),
    )


def _record(study: StudyFolder, which: str) -> Record:
    """Return the record of the chosen run."""
    runs = study.folder / "runs"
    # Every run of a grid asks, and a choice reads all records. A new run changes the time of
    # this folder.
    return _chosen(study.folder, which, runs.stat().st_mtime_ns if runs.is_dir() else 0)


@lru_cache(maxsize=8)
def _chosen(folder: Path, which: str, changed: int) -> Record:
    study = StudyFolder(folder)
    # The run starts from final weights; and another rule would give recorded runs other names.
    return study.read(choose(study, which, "final")).record


def _check_ended(record: Record, setting: str) -> None:
    if record.status == "finished":
        return
    end = "was stopped before its end" if not record.is_over else "diverged"
    raise SeedlabError(
        f"{setting}: run {record.run_id} {end}, so it has no encoder to start from; name "
        "another with recipe.intermediate.run=ID (or =best)."
    )


def _check_model(record: Record, run: RunSpec, setting: str) -> None:
    """Refuse a run that was trained from another pre-trained model than the configured one."""
    began = record.run_spec()
    own = weights_hash(
        locate(run.model.name, run.model.path, run.model.allow_pickle), cache_folder()
    )
    # A run with an intermediate task has the weights of that task. Then the name decides.
    chained = began.recipe.intermediate.study is not None and began.model.name == run.model.name
    if began.weights_hash != own and not chained:
        raise SeedlabError(
            f"{setting}: its run {record.run_id} was trained from model '{began.model.name}' (weights "
            f"{began.weights_hash[:8]}), and this run's model is '{run.model.name}' (weights "
            f"{own[:8]}); both must start from the same one: use the model that the study was "
            "trained with."
        )
