"""Saving a run as a model: trained again from its record, checked, written for transformers."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import uuid
from pathlib import Path

from transformers import AutoTokenizer

from seedlab.errors import SeedlabError
from seedlab.launch.execute import load_task_of
from seedlab.models.checkpoint import locate
from seedlab.models.saved import write_model
from seedlab.store.record import Record
from seedlab.store.study import Study
from seedlab.tasks.load import find_source
from seedlab.train.structure import structure_of
from seedlab.verify import trained_again

ABOUT = "seedlab.json"
"""The file beside the weights that says what the model was trained for."""


def choose(study: Study, which: str) -> str:
    """Return the run that `which` means.

    Parameters
    ----------
    study : Study
    which : str
        ``best`` or ``median`` by final score, since a run's final weights are what is saved (the
        lower of two middle ones), or a run id or its beginning.

    Raises
    ------
    SeedlabError
        When there is no such run, or runs of several tasks or metrics compete.
    """
    if which not in ("best", "median"):
        return study.find_run(which)
    records = [record for record in study.finished().values() if record.is_over]
    if not records:
        raise SeedlabError(f"study '{study.name}' has no finished run yet; train one first.")
    kinds = sorted({f"{record.task} ({record.metric})" for record in records})
    if len(kinds) > 1:
        raise SeedlabError(
            f"study '{study.name}' has runs of several tasks ({', '.join(kinds)}), whose scores "
            f"can't be ranked together; name the run instead of '{which}'."
        )
    sign = 1.0 if records[0].direction == "max" else -1.0
    ranked = sorted(records, key=lambda r: (sign * r.final_score, r.run_id))
    return ranked[-1 if which == "best" else (len(ranked) - 1) // 2].run_id


def save(study: Study, which: str, out: str | os.PathLike[str]) -> Record:
    """Write a run's final model as a `save_pretrained` folder.

    The model is trained again, and what comes out must have the recorded logits bit for bit.
    Averaged weights are saved where they are what was scored. Low-rank updates are merged into
    the weights, which rounds them once more: the saved model's logits are the recorded ones to
    float32 rounding. A head of ours is saved beside the encoder (`seedlab.models.saved`).

    Parameters
    ----------
    study : Study
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
    structure = structure_of(record.run_spec().recipe)
    return {
        "schema_version": 1,
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
        "head": None if structure.head is None else structure.head._asdict(),
        "merged_low_rank_updates": structure.low_rank is not None,
    }
