"""Depths of parameters: 0 for embeddings, then the layers from the bottom, then head and pooler."""

from __future__ import annotations

from torch import nn
from transformers import PreTrainedModel

from seedlab.errors import SeedlabError


def layers_of(model: PreTrainedModel) -> tuple[str, ...]:
    """Return the module names of the encoder's layers, lowest first.

    Raises
    ------
    SeedlabError
        When the architecture does not have exactly one list of layers.
    """
    base = model.base_model_prefix
    lists = [
        (name, module)
        for name, module in model.base_model.named_modules(prefix=base)
        if isinstance(module, nn.ModuleList) and len(module) > 0
    ]
    # A list inside a layer of another list is part of that layer.
    outer = [
        (name, module)
        for name, module in lists
        if not any(name.startswith(f"{other}.") for other, _ in lists if other != name)
    ]
    if len(outer) != 1:
        found = ", ".join(name for name, _ in outer) or "none"
        raise SeedlabError(
            f"techniques by layer need an encoder with one list of layers, and "
            f"{type(model).__name__} has {len(outer)} ({found}); allowed are architectures such as "
            "BERT, RoBERTa, DistilBERT, ELECTRA, DeBERTa: leave the technique out."
        )
    name, module = outer[0]
    return tuple(f"{name}.{number}" for number in range(len(module)))


def depths(model: PreTrainedModel) -> dict[str, int]:
    """Return every parameter's depth, by name.

    Returns
    -------
    dict of str to int
        0 for embeddings and for encoder parameters outside all layers, i for the i-th of N
        layers from the bottom, N + 1 for the head and the encoder's pooler.

    Raises
    ------
    SeedlabError
        When the architecture does not have exactly one list of layers.
    """
    layers = layers_of(model)
    base = f"{model.base_model_prefix}."
    found = {}
    for name, _ in model.named_parameters():
        inside = [at for at, layer in enumerate(layers) if name.startswith(f"{layer}.")]
        if inside:
            found[name] = inside[0] + 1
        elif name.startswith(base) and ".pooler." not in name:
            found[name] = 0
        else:
            found[name] = len(layers) + 1
    return found


def lowest_modules(model: PreTrainedModel, layers: int) -> tuple[str, ...]:
    """Return the module names of the embeddings and of the lowest `layers` layers.

    Embeddings are all top-level modules of the encoder except for its pooler and the module that
    contains the layers.
    """
    names, base = layers_of(model), model.base_model_prefix
    parts = [f"{base}.{name}" for name, _ in model.base_model.named_children()]
    embeddings = [
        part for part in parts if not names[0].startswith(f"{part}.") and part != f"{base}.pooler"
    ]
    return (*embeddings, *names[:layers])
