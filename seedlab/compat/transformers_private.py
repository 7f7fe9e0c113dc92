"""Undocumented interfaces of transformers. This module imports transformers alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import eager_mask


def register_attention(name: str, attend: Callable[..., Any]) -> None:
    """Register an attention function that gets additive float masks, as eager attention does.

    Parameters
    ----------
    name : str
        Value of ``attn_implementation`` that selects it.
    attend : callable
        With the signature of transformers' attention functions.
    """
    AttentionInterface.register(name, attend)
    AttentionMaskInterface.register(name, eager_mask)


def use_attention(model: PreTrainedModel, name: str) -> None:
    """Select a registered attention function where the model lets it be selected, in place."""
    if model._can_set_attn_implementation():
        model.set_attn_implementation(name)


def own_class_name(model: PreTrainedModel) -> str | None:
    """Return the name of a model's class if transformers itself defines it, else None.

    A class of a checkpoint's own code may bear a known name and compute something else.
    """
    kind = type(model)
    return kind.__name__ if kind.__module__.startswith("transformers.models.") else None
