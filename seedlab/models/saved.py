"""Saving and loading of trained models in the format of transformers' `save_pretrained`."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    PreTrainedModel,
)
from transformers.utils import logging as transformers_logging

from seedlab.models.heads import HeadChoice, HeadedModel
from seedlab.models.keyed_dropout import DropoutState
from seedlab.models.pretrained import Weights

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
    """
    if head is None:
        return AutoModelForSequenceClassification.from_pretrained(folder).eval()
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        # transformers initialises the missing pooler at random; `HeadedModel` removes it.
        with torch.random.fork_rng(devices=[]):
            encoder = AutoModel.from_pretrained(folder)
            model = HeadedModel(encoder, head, DropoutState(max_length=1), 0.0)
    finally:
        transformers_logging.set_verbosity(verbosity)
    tensors = load_file(folder / HEAD)
    own = {name.removeprefix("head."): tensor for name, tensor in tensors.items()}
    model.head.load_state_dict(own, strict=True)
    return model.eval()


ABOUT = "seedlab.json"
"""File beside the weights that describes the model's task and training."""
ABOUT_VERSION = 1
"""Increased when an older reader would predict something else; new entries that change no prediction
keep it."""
