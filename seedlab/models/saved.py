"""Saving and loading of trained models in the format of transformers' `save_pretrained`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    PreTrainedModel,
)
from transformers.utils import logging as transformers_logging

from seedlab.errors import SeedlabError, is_out_of_memory
from seedlab.models.heads import HeadChoice, HeadedModel
from seedlab.models.keyed_dropout import DropoutState
from seedlab.models.pretrained import Weights

# A pickle or code of the model's own could run anything.
_TENSORS_ALONE: dict[str, Any] = {"use_safetensors": True, "trust_remote_code": False}
HEAD = "head.safetensors"
"""File of a seedlab head's tensors, beside the encoder's files."""


def write_model(weights: Weights, folder: Path, label_names: tuple[str, ...]) -> None:
    """Write the current model with `save_pretrained`; low-rank updates are merged.

    No class of transformers has one of seedlab's own heads (`seedlab.models.heads`). With such a
    head the folder contains the encoder, which `AutoModel` loads, and the file `HEAD`.

    Parameters
    ----------
    weights : Weights
    folder : pathlib.Path
        An existing folder.
    label_names : tuple of str
        Names of the classes; empty for regression.
    """
    model = weights.model
    headed = isinstance(model, HeadedModel)
    written = model.base_model if headed else model
    if label_names:
        written.config.id2label = dict(enumerate(label_names))
        written.config.label2id = {name: number for number, name in enumerate(label_names)}
    tensors = weights.merged_state_dict()
    if headed:
        base = f"{model.base_model_prefix}."
        head = {name: t.contiguous() for name, t in tensors.items() if not name.startswith(base)}
        save_file(head, folder / HEAD)
        tensors = {
            name.removeprefix(base): t for name, t in tensors.items() if name.startswith(base)
        }
    if weights.low_rank_maps:
        written.save_pretrained(folder, state_dict=tensors)
    else:
        written.save_pretrained(folder)
    share_weights(folder)


def share_weights(folder: Path) -> None:
    """Give the weights in a new folder the permissions of other new files.

    safetensors writes files that their owner alone can read.
    """
    # The umask can't be read without changing it, and the folder was made under it.
    mode = folder.stat().st_mode & 0o666
    for file in folder.glob("*.safetensors"):
        file.chmod(mode)


def read_model(folder: Path, head: HeadChoice | None) -> PreTrainedModel | HeadedModel:
    """Return a model that `write_model` wrote, in evaluation mode.

    Parameters
    ----------
    folder : pathlib.Path
    head : HeadChoice, optional
        The seedlab head that it was trained with; None: the architecture's own head.

    Raises
    ------
    SeedlabError
        When a tensor is missing.
    Exception
        Of any class, when a file is damaged; see `refusing_damage`.
    """
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        if head is None:
            return _own_classifier(folder)
        # transformers initialises the missing pooler at random; `HeadedModel` removes it.
        with torch.random.fork_rng(devices=[]):
            encoder = AutoModel.from_pretrained(folder, **_TENSORS_ALONE)
            model = HeadedModel(encoder, head, DropoutState(max_length=1), 0.0)
    finally:
        transformers_logging.set_verbosity(verbosity)
    tensors = load_file(folder / HEAD)
    own = {name.removeprefix("head."): tensor for name, tensor in tensors.items()}
    model.head.load_state_dict(own, strict=True)
    return model.eval()


def _own_classifier(folder: Path) -> PreTrainedModel:
    with torch.random.fork_rng(devices=[]):
        model, info = AutoModelForSequenceClassification.from_pretrained(
            folder, output_loading_info=True, **_TENSORS_ALONE
        )
    # transformers has drawn them at random.
    if missing := sorted(info["missing_keys"]):
        raise SeedlabError(
            f"{folder} lacks {len(missing)} tensors of the model (the first: {missing[0]}); restore "
            "its files, or save the model again with `seedlab save`."
        )
    return model.eval()


ABOUT = "seedlab.json"
"""File beside the weights that describes the model's task and training."""
ABOUT_VERSION = 1
"""Increased when an older reader would predict something else; new entries that change no prediction
keep it."""


@contextmanager
def refusing_damage(folder: Path) -> Iterator[None]:
    """Turn errors while a saved model's files are read or used into a `SeedlabError`.

    Libraries raise errors of any class at damaged or hostile files.
    """
    try:
        yield
    except SeedlabError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        reason = (str(error).strip().splitlines() or [""])[0]
        raise SeedlabError(
            f"{folder} holds no sound model ({type(error).__name__}: {reason}); restore its files, or "
            "save the model again with `seedlab save`."
        ) from error


def read_about(folder: Path) -> dict[str, Any]:
    """Return the description in a saved model's folder.

    Raises
    ------
    SeedlabError
        When the file is damaged, or a newer release wrote it.
    """
    with refusing_damage(folder):
        about = dict(json.loads((folder / ABOUT).read_text(encoding="utf-8")))
        version = int(about.get("schema_version", 1))
        if version > ABOUT_VERSION:
            raise SeedlabError(
                f"{folder / ABOUT} has schema version {version}; this seedlab reads up to "
                f"{ABOUT_VERSION}. Use the seedlab that saved the model, or a newer one."
            )
        about["task"] = dict(about["task"])
        for place, name in ((about, "n_labels"), (about["task"], "max_length")):
            if not isinstance(place[name], int) or place[name] < 1:
                raise ValueError(f"{name} in {ABOUT} is {place[name]!r}")
        if not isinstance(about["pairs"], bool):
            raise ValueError(f"pairs in {ABOUT} is {about['pairs']!r}")
    return about
