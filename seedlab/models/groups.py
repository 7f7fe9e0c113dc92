"""Groups of parameters that an optimiser treats alike."""

from __future__ import annotations

from torch import nn

from seedlab.models.initialise import is_norm


def decay_groups(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Return the parameters that weight decay applies to, and those it does not.

    Exempt are biases and everything that belongs to a normalisation layer, decided by
    module type and not by a name that another architecture may not use.

    Returns
    -------
    decayed, exempt : lists of parameters
        Every trainable parameter is in exactly one; tied parameters appear once.
    """
    decayed: list[nn.Parameter] = []
    exempt: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            module_name, _, leaf = name.rpartition(".")
            free = leaf == "bias" or is_norm(model.get_submodule(module_name))
            (exempt if free else decayed).append(parameter)
    return decayed, exempt
