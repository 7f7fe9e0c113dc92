"""Saved models: files that transformers reads alone, and what a head of ours needs beside them."""

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
"""The file of a head of ours, beside the encoder's."""


def write_model(weights: Weights, folder: Path, label_names: tuple[str, ...]) -> None:
    """Write the model as it is now, its low-rank updates merged, with `save_pretrained`.

    With a head of ours the folder holds the encoder, which transformers loads with `AutoModel`,
    and the head's tensors in a file of their own: no class of transformers has such a head.

    Parameters
    ----------
    weights : Weights
    folder : pathlib.Path
    label_names : tuple of str
        Names of the classes; none for regression.
    """
    model = weights.model
    headed = isinstance(model, HeadedModel)
    written = model.base_model if headed else model
    if label_names:
        written.config.id2label = dict(enumerate(label_names))
        written.config.label2id = {name: number for number, name in enumerate(label_names)}
    tensors = weights.plain()
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


def read_model(folder: Path, head: HeadChoice | None) -> PreTrainedModel | HeadedModel:
    """Return a model that `write_model` wrote, in evaluation mode.

    Parameters
    ----------
    folder : pathlib.Path
    head : HeadChoice, optional
        The head of ours that it was trained with.
    """
    if head is None:
        return AutoModelForSequenceClassification.from_pretrained(folder).eval()
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        # The pooler that is missing in the files is drawn, and left out.
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
"""The file beside the weights that says what the model was trained for."""
ABOUT_VERSION = 1
"""Raised when an older reader would predict otherwise; a new entry that changes no prediction
raises nothing."""
