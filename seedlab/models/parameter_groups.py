"""Parameter groups: parameters that share a learning rate and a weight decay."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import nn

from seedlab.models.initialise import is_norm


class ParameterGroup(NamedTuple):
    """Parameters with one learning rate and one weight decay.

    Parameters
    ----------
    column : int
        Index of their learning rate.
    decayed : bool
        Whether weight decay applies.
    names : list of str
        Parameter names.
    """

    column: int
    decayed: bool
    names: list[str]


def parameter_groups(
    model: nn.Module, column: Callable[[str], int] = lambda name: 0
) -> list[ParameterGroup]:
    """Return the trainable parameters in groups: decayed ones first, then by learning rate.

    Biases and all parameters of normalisation layers are exempt from weight decay. The module's
    type decides, because names differ between architectures.

    Parameters
    ----------
    model : torch.nn.Module
    column : callable
        Maps a parameter's name to the index of its learning rate.

    Returns
    -------
    list of ParameterGroup
        Every trainable parameter is in exactly one group; tied parameters appear once. No group
        is empty.
    """
    groups: dict[tuple[bool, int], list[str]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((is_exempt(model, name), column(name)), []).append(name)
    return [ParameterGroup(at, not exempt, names) for (exempt, at), names in sorted(groups.items())]


def is_exempt(model: nn.Module, name: str) -> bool:
    """Whether the parameter of this name is exempt from weight decay."""
    module_name, _, leaf = name.rpartition(".")
    return leaf == "bias" or is_norm(model.get_submodule(module_name))
