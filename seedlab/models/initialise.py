"""Initialisation of new parameters from the `init` stream, keyed by parameter name."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from seedlab.randomness.streams import normal


def initialise(model: nn.Module, names: Iterable[str], seed: int, std: float) -> None:
    """Initialise the named parameters in place.

    Tensors of two or more dimensions are drawn from a normal distribution with mean 0 and
    standard deviation `std`. Weights of normalisation layers are 1; biases and other vectors
    are 0. A tensor depends only on its name, its shape and the seed.

    Parameters
    ----------
    model : torch.nn.Module
    names : iterable of str
        Parameter names as in ``model.named_parameters()``.
    seed : int
        The init seed.
    std : float
        Standard deviation, positive; BERT's ``initializer_range``.
    """
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name in names:
            parameter = parameters[name]
            module_name, _, leaf = name.rpartition(".")
            if parameter.ndim >= 2:
                drawn = torch.from_numpy(normal(seed, name, tuple(parameter.shape)) * std)
                parameter.copy_(drawn.to(parameter.dtype))
            elif leaf == "weight" and is_norm(model.get_submodule(module_name)):
                parameter.fill_(1.0)
            else:
                parameter.zero_()


def is_norm(module: nn.Module) -> bool:
    """Whether a module is a normalisation layer: its class name contains ``Norm``."""
    return "Norm" in type(module).__name__
