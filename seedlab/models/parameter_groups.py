"""Groups of parameters that an optimiser treats alike."""

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
        Which learning rate is theirs.
    decayed : bool
        Whether weight decay applies.
    names : list of str
    """

    column: int
    decayed: bool
    names: list[str]


def parameter_groups(
    model: nn.Module, column: Callable[[str], int] = lambda name: 0
) -> list[ParameterGroup]:
    """Return the trainable parameters in groups: by learning rate, decayed ones first.

    Exempt from weight decay are biases and everything that belongs to a normalisation layer,
    decided by module type and not by a name that another architecture may not use.

    Parameters
    ----------
    model : torch.nn.Module
    column : callable
        From a parameter's name to which learning rate is its.

    Returns
    -------
    list of Group
        Every trainable parameter is in exactly one; tied parameters appear once. Without a
        trainable parameter a group is left out.
    """
    groups: dict[tuple[bool, int], list[str]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((is_exempt(model, name), column(name)), []).append(name)
    return [ParameterGroup(at, not exempt, names) for (exempt, at), names in sorted(groups.items())]


def is_exempt(model: nn.Module, name: str) -> bool:
    """Whether weight decay does not apply to a parameter of this name."""
    module_name, _, leaf = name.rpartition(".")
    return leaf == "bias" or is_norm(model.get_submodule(module_name))
