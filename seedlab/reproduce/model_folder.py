"""The folder of a saved model: its place, its files and the description that `predict` reads."""

from __future__ import annotations

import dataclasses
import json
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import AutoTokenizer

from seedlab.errors import SeedlabError
from seedlab.inputs.loaded import load_task_of
from seedlab.models.checkpoint_folder import locate
from seedlab.models.saved import ABOUT, ABOUT_VERSION, write_model
from seedlab.store.record import Record, json_value
from seedlab.tasks.registry import find_source
from seedlab.training.effects import model_options_of

if TYPE_CHECKING:
    from seedlab.models.pretrained import Weights


@contextmanager
def new_folder(folder: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Make a folder beside the wanted one, and rename it when the block ends without an error.

    Parameters
    ----------
    folder : pathlib.Path
        A folder that does not exist yet, or is empty.
    overwrite : bool
        Replace a model that seedlab saved there.

    Raises
    ------
    SeedlabError
        When the folder holds files, or can't be made. Nothing has been changed then.
    """
    _check(folder, overwrite)
    # A link keeps its place; its target is replaced.
    folder = folder.resolve() if folder.is_dir() else folder.absolute()
    beside, old = (folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}") for _ in range(2))
    try:
        # Before training, so that a place without write permission is refused at once.
        beside.mkdir(parents=True)
    except OSError as error:
        raise SeedlabError(
            f"{folder} can't be made ({error.strerror}); name a folder in a place that you can "
            "write to."
        ) from error
    try:
        yield beside
        if folder.exists():
            # A rename can't replace a folder that holds files.
            folder.replace(old)
        beside.replace(folder)
    finally:
        if old.exists() and not folder.exists():
            old.replace(folder)
        for leftover in (beside, old):
            shutil.rmtree(leftover, ignore_errors=True)


def write_model_folder(
    weights: Weights, folder: Path, record: Record, about: Mapping[str, Any]
) -> None:
    """Write the current model, the tokenizer and the description into an existing folder.

    Parameters
    ----------
    weights : Weights
    folder : pathlib.Path
    record : Record
        A run of the model's task, model and recipe.
    about : mapping
        Entries of the description besides those that `predict` needs.
    """
    run = record.run_spec()
    write_model(weights, folder, load_task_of(run).label_names)
    source = locate(run.model.name, run.model.path, run.model.allow_pickle)
    AutoTokenizer.from_pretrained(source).save_pretrained(folder)
    # JSON has no NaN, which a metric may be.
    values = json_value({**_about(record), **about})
    (folder / ABOUT).write_text(json.dumps(values, indent=2, allow_nan=False) + "\n")


def _check(folder: Path, overwrite: bool) -> None:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    saved = (folder / ABOUT).is_file()
    if not (saved and overwrite):
        replace = ", or replace the model that it holds with --overwrite" if saved else ""
        raise SeedlabError(
            f"{folder} exists and is not an empty folder; name a new folder{replace}."
        )


def _about(record: Record) -> dict[str, Any]:
    """Return the description that `seedlab predict` reads, for any model of a run's setting."""
    run = record.run_spec()
    model_options = model_options_of(run.recipe)
    return {
        "schema_version": ABOUT_VERSION,
        "task": record.spec["task"],
        "pairs": find_source(run.task).read().splits["train"].pairs is not None,
        "recipe": record.recipe,
        "truncation": dataclasses.asdict(run.recipe.truncation),
        "metric": record.metric,
        "n_labels": record.n_labels,
        "head": None if model_options.head is None else model_options.head._asdict(),
        "merged_low_rank_updates": model_options.low_rank is not None,
    }
